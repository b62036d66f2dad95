"""Where the work is done: which processor, how many threads, whose graphics card."""

from __future__ import annotations

import contextlib
import ctypes
import logging

import torch
from filelock import FileLock

from repro.compute.card_slots import slot_folder, take_slot

logger = logging.getLogger("repro")

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8

_held: list[FileLock] = []  # a lock is free again as soon as nobody refers to it


def choose(gpu: int) -> torch.device:
    """Return the device for a job that was granted ``gpu`` graphics cards.

    With ``gpu`` of 0, or on a machine without CUDA, that is the CPU. Otherwise a card that no other
    job of this user holds: jobs that run together take different cards, and where all are taken
    the job waits. The card is held until the process ends, however it ends.
    """
    if gpu < 1:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        logger.info("no graphics card that PyTorch can use: working on the CPU")
        return torch.device("cpu")
    cards = [_card_name(index) for index in range(torch.cuda.device_count())]
    index, lock = take_slot(cards, slot_folder())
    _held.append(lock)
    logger.info("working on card %d, %s", index, torch.cuda.get_device_name(index))
    return torch.device("cuda", index)


def _card_name(index: int) -> str:
    # By its own identity, because CUDA_VISIBLE_DEVICES can number the same card differently in two
    # jobs.
    return str(torch.cuda.get_device_properties(index).uuid)


def set_threads(count: int) -> None:
    """Let PyTorch's operators use ``count`` threads, at least one."""
    torch.set_num_threads(max(1, count))


def keep_freed_memory() -> None:
    """Let this process keep the memory it frees, for its next use of it, until it ends.

    A network's layers each ask for megabytes and give them back; the C library's default passes
    each on to the system, which clears the pages anew every time. Keeping them took a third off the
    time of a small network. Does nothing where the C library is not glibc.
    """
    with contextlib.suppress(OSError, AttributeError):
        adjust = ctypes.CDLL("libc.so.6").mallopt
        adjust(_M_MMAP_MAX, 0)
        adjust(_M_TRIM_THRESHOLD, 2**31 - 1)
        adjust(_M_TOP_PAD, 64 << 20)
        adjust(_M_ARENA_MAX, 1)

"""Runs in one folder: the lock that a killed run leaves behind is taken off for the user."""

from __future__ import annotations

import fcntl
import os
import platform
from pathlib import Path

_CLUSTER = b"cluster"
_held: list[int] = []  # open files; a lock lasts as long as its file is open


def enter(folder: Path, *, cluster: bool) -> bool:
    """Note that a run is at work in this folder; take off a dead run's lock if none else is.

    Snakemake locks a folder by files that stay when it is killed, and then asks for ``--unlock``.
    A lock of the kernel's tells whether anyone is at work: every run shares it until it ends,
    however it ends. Jobs that outlive their run hold locks of their own
    (:mod:`repro.writer_lock`), and the next run's jobs wait for them.

    Jobs on a cluster can wait in a queue and hold nothing yet. So the lock of a run that sent its
    jobs to one stays; ``profiles/after-a-kill.sh`` cancels them and takes it off. The lock of a run
    on another machine stays too: on a shared file system the kernel may know of its own runs only.

    Args:
        folder: Snakemake's own folder, ``.snakemake``.
        cluster: whether this run sends jobs to a cluster.

    Returns:
        Whether a lock was taken off.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "runs.lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:  # Snakemake says what is wrong with the folder
        return False
    taken_off = False
    here = f"local {platform.node()}".encode()
    try:
        locks = folder / "locks"
        alone = _alone(handle)
        if alone and os.pread(handle, 1024, 0) == here:
            taken_off = _take_off(locks)
        if cluster or (alone and not any(locks.glob("*.lock"))):
            os.ftruncate(handle, 0)
            os.pwrite(handle, _CLUSTER if cluster else here, 0)
        fcntl.flock(handle, fcntl.LOCK_SH)
    except OSError:  # no such locks on this file system; the user unlocks, as Snakemake says
        os.close(handle)
    else:
        _held.append(handle)
    return taken_off


def _alone(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _take_off(locks: Path) -> bool:
    left = list(locks.glob("*.lock"))
    for lock in left:
        lock.unlink(missing_ok=True)
    return bool(left)

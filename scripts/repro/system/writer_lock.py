"""One writer for each output: a job that lives on after its workflow was killed keeps its place."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import socket
import time
from pathlib import Path
from typing import Any

from repro.system.disk import writing

logger = logging.getLogger("repro")

# What a file system says that has no such locks.
NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}
_held: list[int] = []  # open files; a lock lasts as long as its file is open


def lock_output(output: str | os.PathLike[str], poll_seconds: float = 1.0) -> None:
    """Become the only writer of ``output`` until this process ends, however it ends.

    Where another process is that writer, wait for it to end, and say so once as a warning. Call it
    before anything is written. The lock is the file ``.NAME.lock`` beside the output, which tells
    who has it; it stays when the lock is free. It is ``flock``, which the kernel gives back when a
    process dies, and which NFS and most cluster file systems hold across machines.

    Args:
        output: the file or folder that is going to be written.
        poll_seconds: time between two looks while waiting.

    Raises:
        CannotWriteError: the lock cannot be written.
    """
    lock = lock_of(output)
    with writing(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _wait_for(handle, output, poll_seconds)
    except OSError as error:
        os.close(handle)
        if error.errno not in NO_LOCKS:
            raise
        logger.warning(
            "%s: no locks on this file system; see to it that no other job writes here", output
        )
        return
    with writing(lock):
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(_identity()).encode(), 0)
    _held.append(handle)


def lock_of(output: str | os.PathLike[str]) -> Path:
    """Return the lock file of an output."""
    path = Path(output)
    return path.with_name(f".{path.name}.lock")


def _wait_for(handle: int, output: str | os.PathLike[str], poll_seconds: float) -> None:
    told = False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not told:
                logger.warning(
                    "%s: %s is writing it; waiting until that has ended", output, _holder(handle)
                )
                told = True
            time.sleep(poll_seconds)
        else:
            return


def _identity() -> dict[str, Any]:
    return {
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "host": os.environ.get("SLURMD_NODENAME") or socket.gethostname(),
        "process": os.getpid(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def _holder(handle: int) -> str:
    """Return who has the lock, in words."""
    try:
        holder = json.loads(os.pread(handle, 4096, 0))
        job = f"Slurm job {holder['slurm_job']}, " if holder["slurm_job"] else ""
        return f"{job}process {holder['process']} on {holder['host']} (since {holder['since']})"
    except (ValueError, KeyError, TypeError):
        # Between taking the lock and writing its name.
        return "another process"

"""Runs in one folder: telling a dead run's lock from that of one at work."""

from __future__ import annotations

import fcntl
import os
import platform
from pathlib import Path

# What a run leaves in Snakemake's lock files. Each line there names a file; none has such a name.
_MARK = b"# a run: "
_CLUSTER = _MARK + b"its jobs are on a cluster"

_held: list[int] = []  # open files; a lock lasts as long as its file is open


def mark(locks: Path, *, cluster: bool) -> None:
    """Mark this run's lock as that of a run here, at work until this process ends.

    Snakemake locks a folder by files that stay when it is killed, and then asks for ``--unlock``.
    What tells whether its run is alive is a lock of the kernel's on the file itself: the run holds
    it until it ends, however it ends. Whose a file is cannot be told, so a run marks all that lie
    there once Snakemake has written its own.

    Args:
        locks: Snakemake's own folder of locks, ``.snakemake/locks``.
        cluster: whether this run sends jobs to a cluster.
    """
    line = _CLUSTER if cluster else _here()
    try:
        for lock in locks.glob("*.lock"):
            handle = os.open(lock, os.O_RDWR | os.O_APPEND)
            _held.append(handle)
            fcntl.flock(handle, fcntl.LOCK_SH)
            if line not in _marks(lock):
                os.write(handle, line + b"\n")
    except OSError:  # no such locks on this file system; the user unlocks, as Snakemake says
        return


def take_off(locks: Path) -> bool:
    """Take off the locks of dead runs on this machine; return whether there were any.

    Jobs that outlive their run hold locks of their own (:mod:`repro.system.writer_lock`), and the
    next run's jobs wait for them. But jobs on a cluster can wait in a queue and hold nothing yet,
    so the lock of a run that sent its jobs to one stays; ``profiles/after-a-kill.sh`` cancels them
    and takes it off. The lock of a run on another machine stays too: on a shared file system the
    kernel may know of its own runs only. So does one without a mark: its run may be about to make
    it.
    """
    dead = [lock for lock in locks.glob("*.lock") if _is_dead(lock)]
    for lock in dead:
        lock.unlink(missing_ok=True)
    return bool(dead)


def _here() -> bytes:
    return _MARK + b"on " + platform.node().encode()


def _marks(lock: Path) -> set[bytes]:
    return {line for line in lock.read_bytes().splitlines() if line.startswith(_MARK)}


def _is_dead(lock: Path) -> bool:
    try:
        with lock.open("r+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return _marks(lock) == {_here()}
    except OSError:  # its run is at work, or it is another user's
        return False

"""Which graphics card belongs to which job: one file lock per card."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

logger = logging.getLogger("repro")

_POLL_SECONDS = 1.0


def slot_folder() -> Path:
    """Return this user's folder of card locks on this machine."""
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return Path(tempfile.gettempdir()) / f"repro-gpu-slots-{user}"


def take_slot(
    names: Sequence[str], folder: Path, timeout: float | None = None
) -> tuple[int, FileLock]:
    """Lock the first free one of ``names``; wait while all are taken.

    Args:
        names: one name per card.
        folder: where the lock files are; made if need be.
        timeout: seconds to wait at most; None waits for ever.

    Returns:
        The index of the name, and the lock; the slot is free once the lock is released or the
        process has ended.

    Raises:
        TimeoutError: none became free in time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    told = False
    while True:
        for index, name in enumerate(names):
            # The process holds it, whichever of its threads asked for it.
            lock = FileLock(folder / f"{name}.lock", thread_local=False)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            return index, lock
        if timeout is not None and time.monotonic() - started >= timeout:
            raise TimeoutError(f"all {len(names)} cards are taken")
        if not told:
            logger.info("all %d graphics cards are taken by other jobs: waiting", len(names))
            told = True
        time.sleep(_POLL_SECONDS)

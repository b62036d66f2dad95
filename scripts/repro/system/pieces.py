"""How long the earlier pieces of a job took that was killed and went on where it stood."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from repro.system.files import read_json, write_json


def begin(unfinished: str | os.PathLike[str]) -> None:
    """Note that a piece of a job begins, and how long the ones before it took.

    What is killed cannot say how long it took. So a piece counts from this call to the last change
    of what it left behind; what it did after that is lost, and does not count. The note lies beside
    the unfinished work, ``.NAME.pieces``, and stays when the work is finished.

    Args:
        unfinished: the file or folder that the job goes on from where it is there. Call this once
            no other process writes it (:func:`repro.system.writer_lock.lock_output`).
    """
    note = _note_of(unfinished)
    earlier: float | None = 0.0
    if (changed := _last_change(Path(unfinished))) is not None:
        earlier = None
        if note.exists() and (before := _read(note))["earlier_s"] is not None:
            earlier = before["earlier_s"] + max(0.0, changed - before["began"])
    write_json(note, {"earlier_s": earlier, "began": time.time()})


def earlier_seconds(unfinished: str | os.PathLike[str]) -> float:
    """Return the seconds that all pieces but the last took; NaN where that is not known."""
    note = _note_of(unfinished)
    earlier = _read(note)["earlier_s"] if note.exists() else 0.0
    return float("nan") if earlier is None else float(earlier)


def _note_of(unfinished: str | os.PathLike[str]) -> Path:
    path = Path(unfinished)
    return path.with_name(f".{path.name.removeprefix('.')}.pieces")


def _read(note: Path) -> dict[str, Any]:
    return read_json(note, "delete it and run again")


def _last_change(unfinished: Path) -> float | None:
    """Return when the work was last added to, in seconds since 1970; None where there is none."""
    files = unfinished.iterdir() if unfinished.is_dir() else [unfinished]
    # Those with a dot are what a kill has left of a file that was being written.
    times = [each.stat().st_mtime for each in files if each.exists() and each.name[0] != "."]
    return max(times, default=None)

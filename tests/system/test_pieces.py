"""A killed job's time is not lost: what its pieces took is added up."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from repro.system import pieces
from support import ROOT

# A job that adds to its unfinished work until it is killed.
JOB = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from repro.system import pieces
unfinished = Path(sys.argv[2])
pieces.begin(unfinished)
file = unfinished / "progress.json" if unfinished.suffix == ".partial" else unfinished
file.parent.mkdir(exist_ok=True)
for count in range(1000):
    time.sleep(0.1)
    file.write_text(str(count))
    print(count, flush=True)
"""


def killed_after(unfinished: Path, steps: int) -> None:
    """Run a job for so many tenths of a second, or a little longer, and kill it."""
    command = [sys.executable, "-c", JOB, str(ROOT / "scripts"), str(unfinished)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout
        for _ in range(steps):
            job.stdout.readline()
        job.kill()


@pytest.fixture(params=["net-seed-1.npz", ".net-all.partial"], ids=["file", "folder"])
def unfinished(request, tmp_path: Path) -> Path:
    return tmp_path / request.param


def test_pieces_that_were_killed_add_up(unfinished):
    for _ in range(2):
        killed_after(unfinished, 8)
    pieces.begin(unfinished)
    assert pieces.earlier_seconds(unfinished) >= 1.6


def test_what_was_lost_with_a_kill_does_not_count(unfinished):
    killed_after(unfinished, 3)
    pieces.begin(unfinished)
    first = pieces.earlier_seconds(unfinished)
    # That piece ends without having added anything.
    time.sleep(0.3)
    pieces.begin(unfinished)
    assert pieces.earlier_seconds(unfinished) == first > 0


def test_a_job_that_begins_anew_has_no_earlier_pieces(tmp_path):
    checkpoint = tmp_path / "net.npz"
    killed_after(checkpoint, 3)
    checkpoint.unlink()
    pieces.begin(checkpoint)
    assert pieces.earlier_seconds(checkpoint) == 0


def test_a_job_that_keeps_no_unfinished_work_has_none(tmp_path):
    assert pieces.earlier_seconds(tmp_path / "none") == 0


def test_unfinished_work_without_a_note_is_not_guessed_at(unfinished):
    killed_after(unfinished, 3)
    (note,) = unfinished.parent.glob(".*.pieces")
    note.unlink()
    pieces.begin(unfinished)
    assert math.isnan(pieces.earlier_seconds(unfinished))
    pieces.begin(unfinished)
    assert math.isnan(pieces.earlier_seconds(unfinished)), "nor later"


def test_what_a_kill_left_of_a_file_being_written_is_no_work(tmp_path):
    work = tmp_path / "work"
    pieces.begin(work)
    work.mkdir()
    (work / ".progress.json.x7").touch()
    pieces.begin(work)
    assert pieces.earlier_seconds(work) == 0


def test_a_clock_that_was_set_back_takes_nothing_away(tmp_path):
    checkpoint = tmp_path / "net.npz"
    pieces.begin(checkpoint)
    checkpoint.touch()
    os.utime(checkpoint, (0, 0))
    pieces.begin(checkpoint)
    note = json.loads((tmp_path / ".net.npz.pieces").read_text())
    assert note["earlier_s"] == 0

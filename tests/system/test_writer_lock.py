"""Locks between real processes: no two hold one output, and none outlives its process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from repro.errors import UserError
from repro.system import writer_lock
from support import ROOT

# Takes the lock, then notes when it began and ended in a diary that all writers share.
WRITER = """
import sys, time, os
sys.path.insert(0, sys.argv[1])
from repro.system.writer_lock import lock_output
output, diary, seconds = sys.argv[2], sys.argv[3], float(sys.argv[4])
print("asks", flush=True)
lock_output(output, poll_seconds=0.01)
def note(word):
    with open(diary, "a") as stream:
        stream.write(f"{word} {os.getpid()}\\n")
note("begins")
print("has it", flush=True)
time.sleep(seconds)
note("ends")
"""


def writer(output: Path, seconds: float, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-c", WRITER, str(ROOT / "scripts")),
            *(str(output), str(output.with_name("diary")), str(seconds)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def await_line(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    for said in process.stdout:
        if said.strip() == line:
            return
    raise AssertionError(f"it never said {line!r}: {process.communicate()[1]}")


@pytest.mark.fault("two writers", "four processes write one output", "they take turns")
def test_writers_take_turns(tmp_path, happened):
    output = tmp_path / "history.csv"
    writers = [writer(output, 0.2) for _ in range(4)]
    for process in writers:
        assert process.wait(timeout=60) == 0
        process.communicate()
    words = (tmp_path / "diary").read_text().split()
    assert words[::2] == ["begins", "ends"] * 4
    assert all(words[i] == words[i + 2] for i in range(1, len(words), 4))
    happened("each began after the one before it had ended")


@pytest.mark.fault("two writers", "the first writer is slow", "the second waits and says for whom")
def test_the_second_says_whom_it_waits_for(tmp_path, happened):
    output = tmp_path / "history.csv"
    first = writer(output, 60, SLURM_JOB_ID="4711", SLURMD_NODENAME="node-7")
    await_line(first, "has it")
    second = writer(output, 0)
    await_line(second, "asks")
    time.sleep(0.5)
    assert second.poll() is None
    first.kill()
    first.communicate()
    _, said = second.communicate(timeout=60)
    assert f"{output}: Slurm job 4711, process {first.pid} on node-7 (since " in said
    assert "waiting" in said
    assert said.count("waiting") == 1
    happened(said.strip())


@pytest.mark.fault("two writers", "the first writer is killed", "its lock is free")
@pytest.mark.parametrize("deadly", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_writer_leaves_no_lock(tmp_path, deadly, happened):
    output = tmp_path / "history.csv"
    first = writer(output, 60)
    await_line(first, "has it")
    first.send_signal(deadly)
    first.communicate()
    second = writer(output, 0)
    _, said = second.communicate(timeout=60)
    assert second.returncode == 0
    assert "waiting" not in said
    assert json.loads(writer_lock.lock_of(output).read_text())["process"] == second.pid
    happened("the next writer does not wait")


def test_outputs_do_not_wait_for_each_other(tmp_path):
    first = writer(tmp_path / "a.csv", 60)
    await_line(first, "has it")
    second = writer(tmp_path / "b.csv", 0)
    assert second.wait(timeout=60) == 0
    first.kill()
    for process in (first, second):
        process.communicate()


def test_a_lock_without_a_name_is_waited_for_all_the_same(tmp_path):
    output = tmp_path / "history.csv"
    first = writer(output, 0.5)
    await_line(first, "has it")
    writer_lock.lock_of(output).write_text("")
    second = writer(output, 0)
    _, said = second.communicate(timeout=60)
    first.communicate()
    assert "another process is writing it" in said


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(UserError, match=r"\.history\.csv\.lock: cannot write here"):
        writer_lock.lock_output(tmp_path / "runs/history.csv")


@pytest.mark.fault("two writers", "a file system without locks", "told as a warning")
def test_a_file_system_without_locks(tmp_path, monkeypatch, caplog, happened):
    def refuse(handle: int, how: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(writer_lock.fcntl, "flock", refuse)
    writer_lock.lock_output(tmp_path / "history.csv")
    assert "no locks on this file system" in caplog.text
    happened(caplog.records[0].getMessage())

"""Who is at work in a folder, asked of real processes."""

import signal
import subprocess
import sys

import pytest

from support import ROOT

ENTER = """
import platform, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from repro.run_lock import enter
if sys.argv[4:]:
    platform.node = lambda: sys.argv[4]
print(enter(Path(sys.argv[2]), cluster=sys.argv[3] == "cluster"), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def run(tmp_path):
    """Enter a folder from a process of its own; return that and whether it took off a lock."""
    processes = []

    def start(kind="local", *machine):
        folders = [str(ROOT / "scripts"), str(tmp_path / "dot")]
        process = subprocess.Popen(
            [sys.executable, "-c", ENTER, *folders, kind, *machine],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process, process.stdout.readline().strip() == "True"

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def locks(tmp_path):
    """What Snakemake leaves when it is killed."""

    def leave():
        folder = tmp_path / "dot/locks"
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("0.input.lock", "0.output.lock"):
            (folder / name).write_text("data/x\n")
        return folder

    return leave


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_killed_runs_lock_is_taken_off(run, locks):
    first, _ = run()
    folder = locks()
    kill(first)
    _, taken_off = run()
    assert taken_off
    assert not list(folder.iterdir())


def test_a_living_runs_lock_stays(run, locks):
    run()
    folder = locks()
    _, taken_off = run()
    assert not taken_off
    assert len(list(folder.iterdir())) == 2


def test_it_stays_while_any_run_is_alive(run, locks):
    first, _ = run()
    run()
    folder = locks()
    kill(first)
    _, taken_off = run()
    assert not taken_off
    assert len(list(folder.iterdir())) == 2


def test_the_lock_of_a_run_on_a_cluster_stays_however_often_one_tries(run, locks):
    first, _ = run("cluster")
    folder = locks()
    kill(first)
    for kind in ("local", "local", "cluster", "local"):
        process, taken_off = run(kind)
        assert not taken_off
        assert len(list(folder.iterdir())) == 2
        kill(process)


def test_a_cluster_run_that_started_beside_another_is_known_for_one(run, locks):
    first, _ = run()
    second, _ = run("cluster")
    folder = locks()
    kill(first)
    kill(second)
    assert not run()[1]
    assert len(list(folder.iterdir())) == 2


def test_the_lock_of_a_run_on_another_machine_stays(run, locks):
    """On some shared file systems a lock of the kernel's is unseen there."""
    first, _ = run("local", "node1")
    folder = locks()
    kill(first)
    second, taken_off = run("local", "node2")
    assert not taken_off
    assert len(list(folder.iterdir())) == 2
    kill(second)
    assert run("local", "node1")[1]


def test_a_lock_from_before_is_not_touched(run, locks):
    folder = locks()
    assert not run()[1]
    assert len(list(folder.iterdir())) == 2


def test_without_a_folder_to_write_nothing_happens(tmp_path):
    from repro.run_lock import enter

    (tmp_path / "dot").write_text("a file")
    assert not enter(tmp_path / "dot", cluster=False)

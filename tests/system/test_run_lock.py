"""Whose lock lies in a folder, asked of real processes."""

import re
import signal
import subprocess
import sys

import pytest

from support import ROOT

MARK = """
import platform, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from repro.system.run_lock import mark
if sys.argv[4:]:
    platform.node = lambda: sys.argv[4]
mark(Path(sys.argv[2]), cluster=sys.argv[3] == "cluster")
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path):
    """The folder of a run."""
    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def run(folder):
    """Lock the folder as Snakemake does, and mark that from a process of its own."""
    processes = []

    def start(kind="local", *machine):
        lock(folder)
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", MARK, str(ROOT / "scripts")),
                *(str(folder / ".snakemake/locks"), kind, *machine),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        process.stdout.readline()
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def lock(folder):
    """Write what Snakemake writes, and leaves when it is killed."""
    locks = folder / ".snakemake/locks"
    number = len(list(locks.glob("*.input.lock")))
    for kind in ("input", "output"):
        (locks / f"{number}.{kind}.lock").write_text("data/x\n")


def locks(folder):
    return sorted(lock.name for lock in (folder / ".snakemake/locks").iterdir())


def unlock(folder):
    """Run what `make` runs before Snakemake; return what it said."""
    return subprocess.run(
        [sys.executable, ROOT / "scripts/unlock.py"],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_killed_runs_lock_is_taken_off(run, folder):
    kill(run())
    assert unlock(folder) == "The last run here was killed; its lock is taken off.\n"
    assert locks(folder) == []
    assert unlock(folder) == ""


def test_a_living_runs_lock_stays(run, folder):
    run()
    assert unlock(folder) == ""
    assert locks(folder) == ["0.input.lock", "0.output.lock"]


def test_of_two_runs_the_living_one_keeps_its_lock(run, folder):
    first = run()
    second = run()
    kill(second)
    unlock(folder)
    assert locks(folder) == ["0.input.lock", "0.output.lock"]
    kill(first)
    unlock(folder)
    assert locks(folder) == []


def test_the_lock_of_a_run_on_a_cluster_stays_however_often_one_tries(run, folder):
    kill(run("cluster"))
    assert unlock(folder) == ""
    for kind in ("local", "local", "cluster", "local"):
        kill(run(kind))
        unlock(folder)
        assert {"0.input.lock", "0.output.lock"} <= set(locks(folder))


def test_the_lock_of_a_run_on_another_machine_stays(run, folder):
    """On some shared file systems a lock of the kernel's is unseen there."""
    kill(run("local", "another"))
    assert unlock(folder) == ""
    kill(run())
    unlock(folder)
    assert {"0.input.lock", "0.output.lock"} <= set(locks(folder))


def test_a_lock_without_a_mark_stays(folder):
    """Of a run that has locked the folder and is about to say so."""
    lock(folder)
    assert unlock(folder) == ""
    assert locks(folder) == ["0.input.lock", "0.output.lock"]


def test_a_mark_is_made_once_and_changes_no_name_in_a_lock(run, folder):
    run()
    run()
    lines = (folder / ".snakemake/locks/0.output.lock").read_text().splitlines()
    assert lines[0] == "data/x"
    assert [line[0] for line in lines[1:]] == ["#"]


def test_without_a_folder_of_locks_there_is_nothing_to_do(tmp_path):
    assert unlock(tmp_path) == ""


def test_make_takes_it_off_before_each_run():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+):.*\n(?:\t.*\n)*?\t@snakemake (?!--lint)", makefile, re.M)
    assert targets
    assert {"demo", "reproduce"} == set(
        re.findall(r"^([a-z-]+):.*\n\t@python scripts/run.py", makefile, re.M)
    )
    for target in targets:
        said = subprocess.run(
            ["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout
        before, _, _ = said.partition("\nsnakemake ")
        assert before != said
        assert "python scripts/unlock.py" in before

"""Snakemake itself killed: the same command goes on, and ends in the same bytes."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pandas as pd
import pytest
from test_repeat import results_of

# What is killed, and how: the driver alone leaves its jobs alive.
DRIVER_KILLED = (False, signal.SIGKILL)
ALL_KILLED = (True, signal.SIGKILL)
INTERRUPTED = (True, signal.SIGINT)
TERMINATED = (False, signal.SIGTERM)
TARGETS = ("results/comparison.csv", "results/claims.csv")


def unlock(project):
    """Do what `make` does before it calls Snakemake."""
    return subprocess.run(
        [sys.executable, "scripts/unlock.py"],
        cwd=project.folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def end(driver, whole_group, number):
    (os.killpg if whole_group else os.kill)(driver.pid, number)
    # Jobs that live on go on printing, as to a terminal.
    threading.Thread(target=driver.stdout.read, daemon=True).start()
    try:
        assert driver.wait(timeout=60) != 0
    except subprocess.TimeoutExpired:
        # Snakemake's handler of SIGTERM takes a lock that it may hold itself, and waits for ever.
        # Whoever terminates, a cluster or a shutdown, kills what has not ended after a while.
        driver.kill()
        driver.wait()


@pytest.mark.heavy(minutes=4)
@pytest.mark.fault(
    "kills",
    "Snakemake killed at four random moments: SIGKILL alone and with its jobs, Ctrl-C, SIGTERM",
    "make goes on by itself; results as without the fault, byte for byte",
)
def test_killed_at_random_moments_it_ends_in_the_same_bytes(project, finished, happened):
    chance = random.Random(4)  # noqa: S311
    for kind in (DRIVER_KILLED, ALL_KILLED, INTERRUPTED, TERMINATED):
        unlock(project)
        driver = project.start("--", *TARGETS)
        # From before the first job to well into the trainings.
        time.sleep(chance.uniform(2, 9))
        if driver.poll() is None:
            end(driver, *kind)
    unlock(project)
    project.snakemake("--", *TARGETS)
    assert project.planned("--", *TARGETS) == {}
    suffixes = {".csv", ".npz", ".safetensors"}
    found, expected = results_of(project, suffixes), results_of(finished, suffixes)
    assert len(found) > 25
    assert [name for name in found if found[name] != expected[name]] == []
    happened("went on after each kill; the results are the same")


@pytest.mark.heavy
@pytest.mark.fault(
    "kills",
    "Snakemake killed, its training lives on, the same command given again",
    "Snakemake names --unlock, make takes the lock off; the new job waits for the old one",
)
def test_a_job_that_outlives_its_driver_is_waited_for(project, happened):
    changes = {
        "models": ["numpy_1hidden"],
        "mnist": {"nets": {"numpy_1hidden": {"epochs": 1000}}},
    }
    target = "results/runs/numpy_1hidden/seed-123/predictions.npz"
    checkpoint = project.folder / "results/checkpoints/numpy_1hidden-seed-123.npz"
    project.snakemake("--", target, changes=changes)
    expected = (project.folder / target).read_bytes()
    project.snakemake("--delete-all-output", "--", target, changes=changes)

    driver = project.start("--", target, changes=changes)
    until(checkpoint.exists)
    lock = (project.folder / target).with_name(".history.csv.lock")
    writer = json.loads(lock.read_text())["process"]
    os.kill(writer, signal.SIGSTOP)
    try:
        end(driver, *DRIVER_KILLED)
        assert "--unlock" in project.snakemake("--", target, changes=changes, ok=False)
        assert unlock(project) == "The last run here was killed; its lock is taken off.\n"
        second = project.start("--", target, changes=changes)
        log = project.folder / "logs/train_numpy_1hidden/seed-123.log"
        until(lambda: "is writing it; waiting until that has ended" in text_of(log))
        assert not (project.folder / target).exists()
    finally:
        os.kill(writer, signal.SIGCONT)
    said, _ = second.communicate(timeout=120)
    assert second.returncode == 0, said
    assert (project.folder / target).read_bytes() == expected
    assert project.planned("--", target, changes=changes) == {}
    happened("named, then taken off; the new job waited; the same bytes")


@pytest.mark.heavy
def test_a_killed_trainings_time_is_that_of_all_its_pieces(project):
    changes = {
        "models": ["numpy_1hidden"],
        # Long epochs rather than many: each is a line, and nobody reads them here.
        "mnist": {"nets": {"numpy_1hidden": {"epochs": 400, "batch_size": 1}}},
    }
    driver = project.start(
        "--", "results/runs/numpy_1hidden/seed-123/predictions.npz", changes=changes
    )
    checkpoint = project.folder / "results/checkpoints/numpy_1hidden-seed-123.npz"
    until(checkpoint.exists)
    began = checkpoint.stat().st_mtime
    # A piece counts to the last change of what it left, whatever else the machine is at.
    until(lambda: checkpoint.stat().st_mtime > began + 2.6)
    end(driver, *ALL_KILLED)
    assert checkpoint.exists()
    unlock(project)
    project.snakemake("--", "results/runtime.csv", "results/provenance.json", changes=changes)
    assert not checkpoint.exists()
    table = pd.read_csv(project.folder / "results/runtime.csv").set_index("rule")
    row = table.loc["train_numpy_1hidden"]
    benchmark = project.folder / "benchmarks/train_numpy_1hidden/seed-123.tsv"
    last_piece = pd.read_csv(benchmark, sep="\t")["s"][0]
    assert row["earlier_s"] > 2.5
    assert row["wall_s"] == pytest.approx(row["earlier_s"] + last_piece)
    assert (table["earlier_s"].drop("train_numpy_1hidden") == 0).all()
    record = json.loads((project.folder / "results/provenance.json").read_text())
    job = record["circumstances"]["jobs"]["train_numpy_1hidden/seed-123"]
    assert job["seconds"] == row["wall_s"]
    assert job["of_earlier_pieces"] == row["earlier_s"]


@pytest.mark.heavy
@pytest.mark.fault(
    "two runs",
    "a second run started in a folder where one is at work",
    "it is refused in words and the first goes on",
)
def test_a_second_run_in_the_same_folder_is_refused(project, happened):
    target = "results/runs/numpy_1hidden/seed-123/predictions.npz"
    changes = {"mnist": {"nets": {"numpy_1hidden": {"epochs": 1000}}}}
    checkpoint = project.folder / "results/checkpoints/numpy_1hidden-seed-123.npz"
    first = project.start("--", target, changes=changes)
    until(checkpoint.exists)
    assert unlock(project) == ""
    said = project.snakemake("--", target, changes=changes, ok=False)
    assert "Directory cannot be locked" in said
    first.communicate(timeout=240)
    assert first.returncode == 0
    happened(next(line for line in said.splitlines() if "cannot be locked" in line))


def text_of(file):
    """Return a file's text; Snakemake removes a log before its job."""
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""


def until(look, seconds=60):
    """Wait until ``look`` returns something true."""
    end_of_patience = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end_of_patience, "waited in vain"
        time.sleep(0.05)

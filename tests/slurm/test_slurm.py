"""The workflow on a real Slurm: who runs where, what goes wrong, and how it goes on afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
from itertools import pairwise

import pytest
from slurm_support import EAT, FAIL, METRICS, STAY, TARGET, environment, results_of, until

FLOWER_RULES = {"features_tiny", "features_tiny_too", "train_tiny", "train_tiny_too"}
CPU_RULES = {"draw_flowers", "extract_images", "train_numpy_1hidden", "train_numpy_2hidden"}


def test_flowers_go_to_the_gpu_one_at_a_time_and_the_rest_elsewhere(too_long, project):
    jobs = project.jobs()
    # Rules of seconds have no job at all: they ran where Snakemake ran.
    assert {job.rule for job in jobs} == FLOWER_RULES | CPU_RULES
    assert {job.state for job in jobs} == {"COMPLETED"}
    on_gpu = [job for job in jobs if job.partition == "gpu"]
    assert {job.rule for job in on_gpu} == FLOWER_RULES
    assert {job.gpus for job in on_gpu} == {"gres:gpu:1"}
    assert {job.gpus for job in jobs if job.partition == "cpu"} == {""}
    on_gpu.sort(key=lambda job: job.start)
    assert all(before.end <= after.start for before, after in pairwise(on_gpu))


def test_results_are_those_of_a_run_without_a_cluster(project, expected):
    assert results_of(project.folder) == expected
    assert any(name.endswith("predictions.npz") for name in expected)


@pytest.mark.fault("Slurm", "a job fails", "its message and log are named")
@pytest.mark.fault(
    "Slurm",
    "a job takes more memory than it asked for",
    "ended by Slurm; given more at its second attempt",
)
@pytest.mark.fault("Slurm", "a job is cancelled by scancel", "told; not waited for")
@pytest.mark.fault("Slurm", "a job is refused by its partition", "told")
def test_failing_hungry_cancelled_and_refused_jobs(project, expected, happened):
    """Four jobs fail in one run, each in its own way; the same command then completes."""
    models = ("numpy_1hidden", "numpy_2hidden", "tiny", "tiny_too")
    project.forget(*models)
    faults = [
        project.fault("train_numpy_1hidden", FAIL),
        project.fault("train_numpy_2hidden", EAT),
        project.fault("train_tiny", STAY),
    ]
    small = ("--set-resources", "train_numpy_2hidden:mem_mb=1000*attempt")
    # The partition without GPUs.
    wrong = "train_tiny_too:slurm_partition=cpu"
    driver = project.start("--retries", "0", *small, wrong, "--", TARGET)
    cancelled = project.running("train_tiny")
    subprocess.run(["scancel", str(cancelled.number)], check=True)
    said = project.finish(driver, ok=False)

    assert "ValueError: the fault of this test" in said
    failed = project.jobs("train_numpy_1hidden")[-1]
    assert f"SLURM-job '{failed.number}' failed, SLURM status is: 'FAILED'" in said
    hungry = project.jobs("train_numpy_2hidden")[-1]
    assert hungry.memory == "1000M"
    assert "exceeded memory limit" in project.logs_of(hungry)
    assert f"{hungry.number}.log" in said
    assert f"SLURM-job '{cancelled.number}' failed, SLURM status is: 'CANCELLED'" in said
    assert "Requested node configuration is not available" in said
    for model in models:
        assert not list((project.folder / "results/runs" / model).rglob("predictions.npz"))

    for file in (faults[0], faults[2]):
        file.unlink()
    # The hungry one is still hungry: it is given more at its second attempt.
    project.run(*small, "--", TARGET)
    memory = [(job.memory, job.state) for job in project.jobs("train_numpy_2hidden")[-2:]]
    assert memory == [("1000M", "FAILED"), ("2000M", "COMPLETED")]
    faults[1].unlink()
    assert results_of(project.folder) == expected
    happened(
        "the message of the job is in what Snakemake prints; the same command then completes",
        fault="a job fails",
    )
    happened(
        "its second attempt had twice the memory and completed",
        fault="a job takes more memory than it asked for",
    )
    happened(
        "SLURM status is: 'CANCELLED'; the same command then completes",
        fault="a job is cancelled by scancel",
    )
    happened(
        "Requested node configuration is not available; the right partition then completes",
        fault="a job is refused by its partition",
    )


@pytest.mark.fault(
    "Slurm",
    "SIGINT to Snakemake",
    "its jobs are cancelled; the same command completes with the same results",
)
def test_interrupted_driver_cancels_its_jobs(project, expected, happened):
    project.forget("tiny_too")
    fault = project.fault("train_tiny_too", STAY)
    driver = project.start(TARGET)
    job = project.running("train_tiny_too")
    driver.send_signal(signal.SIGINT)
    said = project.finish(driver, ok=False)
    assert "Terminating processes on user request" in said
    until(lambda: project.jobs("train_tiny_too")[-1].state == "CANCELLED", f"the end of {job}")
    fault.unlink()
    project.run(TARGET)
    assert results_of(project.folder) == expected
    happened("the job is cancelled; the results are those of a run without a cluster")


@pytest.mark.fault(
    "Slurm",
    "SIGKILL to Snakemake",
    "its jobs live on and keep their outputs; a second job waits or the script ends them",
)
def test_killed_driver_leaves_jobs_that_keep_their_outputs(project, expected, happened):
    """Jobs live on: a second one for the same output waits for the first, or the first is ended."""
    project.forget("numpy_1hidden", "tiny")
    stays, cancelled = (project.fault(rule, STAY) for rule in ("train_numpy_1hidden", "train_tiny"))
    driver = project.start(TARGET)
    orphans = [project.running(rule) for rule in ("train_numpy_1hidden", "train_tiny")]
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()

    one_net = METRICS.format("numpy_1hidden", 123)
    said = project.run(one_net, ok=False)
    assert "--unlock" in said
    project.run("--unlock", profile="default")
    driver = project.start(one_net)

    def waiting() -> str | None:
        second = project.jobs("train_numpy_1hidden")[-1]
        said = project.logs_of(second)
        return said if second.number != orphans[0].number and "is writing it" in said else None

    said = until(waiting, "the second job to wait for the first")
    assert f"Slurm job {orphans[0].number}, process" in said
    assert [job.state for job in project.jobs("train_numpy_1hidden")[-2:]] == ["RUNNING"] * 2
    stays.unlink()
    project.finish(driver)

    done = subprocess.run(
        ["profiles/after-a-kill.sh"],
        cwd=project.folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[0] == f"Cancelling {orphans[1].number}"
    assert project.jobs("train_tiny")[-1].state == "CANCELLED"
    cancelled.unlink()
    project.run(TARGET)
    assert results_of(project.folder) == expected
    happened(
        "the second job waited for the first; after-a-kill.sh cancelled the other; same results"
    )


@pytest.mark.fault(
    "Slurm",
    "a job runs longer than it asked for",
    "ended by Slurm and told; the same command completes",
)
def test_a_job_over_its_time(too_long, expected, happened):
    """Started before all other tests, because Slurm takes a minute and a half to end such a job."""
    project, driver = too_long
    said = project.finish(driver, ok=False)
    job = project.jobs("train_numpy_2hidden")[-1]
    assert f"SLURM-job '{job.number}' failed, SLURM status is: 'TIMEOUT'" in said
    assert "DUE TO TIME LIMIT" in project.logs_of(job)
    (project.folder / "faults/train_numpy_2hidden").unlink()
    project.run(METRICS.format("numpy_2hidden", 123))
    again = results_of(project.folder)
    assert again.items() <= expected.items()
    assert [name for name in again if name.endswith("predictions.npz")]
    happened("SLURM status is: 'TIMEOUT'; with its time the job completed with the same results")

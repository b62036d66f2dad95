"""A Slurm for the tests of this folder, and projects that run on it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_support import (
    METRICS,
    MODELS,
    STAY,
    TARGET,
    SlurmProject,
    make_slurm_project,
    results_of,
)

CLUSTER = Path(__file__).with_name("cluster.sh")


def why_not() -> str:
    """Return why no Slurm can be tested here, or an empty text."""
    if not os.environ.get("CI_SLURM"):
        return ".ci/slurm installs and starts one, and runs this test there"
    if not Path("/etc/debian_version").exists():
        return "only Debian and Ubuntu have the packages"
    return "" if os.getuid() == 0 else "Slurm's daemons need root"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the cluster, and skip it where there can be none."""
    reason = why_not()
    for item in items:
        if "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.heavy)
            if reason:
                item.add_marker(pytest.mark.skip(reason=f"no Slurm here: {reason}"))


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """A Slurm with a cpu and a gpu partition, gone again after the tests, whatever they did."""
    try:
        subprocess.run([CLUSTER, "up"], check=True, timeout=120)
        yield
    finally:
        subprocess.run([CLUSTER, "down"], check=True, timeout=120)


@pytest.fixture(scope="session")
def too_long(
    cluster: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[SlurmProject, subprocess.Popen[str]]]:
    """A run under way with a job that stays longer than its one minute; it takes its time."""
    made = make_slurm_project(tmp_path_factory.mktemp("long") / "project", ["numpy_2hidden"])
    made.fault("train_numpy_2hidden", STAY)
    asked = ("--retries", "0", "--set-resources", "train_numpy_2hidden:runtime=1")
    driver = made.start(*asked, "--", METRICS.format("numpy_2hidden", 123))
    yield made, driver
    made.end()


@pytest.fixture(scope="session")
def local_run(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[SlurmProject, subprocess.Popen[str]]]:
    """The same workflow under way without a cluster."""
    made = make_slurm_project(tmp_path_factory.mktemp("local") / "project", MODELS)
    yield made, made.start("--cores", "2", TARGET, profile="default")
    made.end()


@pytest.fixture(scope="session")
def project(
    cluster: None, local_run: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SlurmProject]:
    """A project whose workflow has run on Slurm once; tests put back what they break."""
    made = make_slurm_project(tmp_path_factory.mktemp("slurm") / "project", MODELS)
    try:
        made.run(TARGET)
        yield made
    finally:
        made.end()


@pytest.fixture(scope="session")
def expected(local_run: tuple[SlurmProject, subprocess.Popen[str]]) -> dict[str, str]:
    """The results of the workflow run without a cluster."""
    made, driver = local_run
    made.finish(driver)
    return results_of(made.folder)

"""Projects that run on the cluster of these tests, and faults for their jobs."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import numpy as np
import yaml

from support import ROOT

# Seconds a wait may take before a test gives up; far more than is needed on an idle machine.
PATIENCE = 240.0
TARGET = "results/comparison.csv"
METRICS = "results/runs/{}/seed-{}/metrics.csv"
MODELS = ("numpy_1hidden", "numpy_2hidden", "tiny", "tiny_too")

# What makes a job of training fail in a chosen way: Python code in the file faults/train_MODEL, run
# once the job has its log and has become its output's writer.
FAULTS = """

_lock_output = lock_output


def lock_output(output: str | os.PathLike[str], poll_seconds: float = 1.0) -> None:
    _lock_output(output, poll_seconds)
    fault = Path("faults", f"train_{Path(output).parts[-3]}")
    if fault.exists():
        exec(fault.read_text())
"""


@dataclass(frozen=True)
class Job:
    """What Slurm knows of a job."""

    number: int
    rule: str
    state: str
    partition: str
    gpus: str
    memory: str
    start: str
    end: str


@dataclass
class SlurmProject:
    """A checkout with tiny data whose workflow runs by one of the cluster profiles."""

    folder: Path
    drivers: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *arguments: str, profile: str = "slurm") -> subprocess.Popen[str]:
        """Start Snakemake; what it prints goes to a file."""
        quick, snakemake = ["--latency-wait", "5"], ["-m", "snakemake"]
        if profile == "slurm":
            snakemake = [str(Path(__file__).with_name("eager_snakemake.py"))]
            quick += ["--slurm-init-seconds-before-status-checks", "2"]
            quick += ["--slurm-keep-successful-logs"]
        with (self.folder / "driver.log").open("w") as log:
            driver = subprocess.Popen(
                [
                    # A shell's background job ignores SIGINT, and so would all that it starts.
                    *("env", "--default-signal=INT"),
                    *(sys.executable, *snakemake, "--configfile", "tiny.yaml"),
                    *("--workflow-profile", f"profiles/{profile}", *quick, *arguments),
                ],
                cwd=self.folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self.drivers.append(driver)
        return driver

    def end(self) -> None:
        """Kill every Snakemake that a failed test has left behind."""
        for driver in self.drivers:
            if driver.poll() is None:
                os.killpg(driver.pid, signal.SIGKILL)
                driver.wait()

    def finish(self, driver: subprocess.Popen[str], ok: bool = True) -> str:
        """Wait for Snakemake; return what it printed."""
        code = driver.wait(timeout=PATIENCE)
        said = (self.folder / "driver.log").read_text()
        assert (code == 0) == ok, said[-6000:]
        return said

    def run(self, *arguments: str, ok: bool = True, profile: str = "slurm") -> str:
        """Run Snakemake to its end."""
        return self.finish(self.start(*arguments, profile=profile), ok)

    def fault(self, rule: str, code: str) -> Path:
        """Let the jobs of a rule run ``code`` before they do anything else."""
        file = self.folder / "faults" / rule
        file.parent.mkdir(exist_ok=True)
        met(file).unlink(missing_ok=True)
        file.write_text(code)
        return file

    def forget(self, *models: str) -> None:
        """Remove all runs of some models, and what was made from them."""
        for model in models:
            for file in (self.folder / "results/runs" / model).rglob("*"):
                if file.is_file():
                    file.unlink()
        (self.folder / TARGET).unlink(missing_ok=True)

    def jobs(self, rule: str | None = None) -> list[Job]:
        """Return all jobs of this folder that Slurm remembers, oldest first."""
        lines = subprocess.run(
            ["scontrol", "show", "job", "--oneliner"], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        found = []
        for line in lines:
            told = dict(part.split("=", 1) for part in line.split() if "=" in part)
            if told.get("WorkDir") != str(self.folder):
                continue
            # The plugin names the rule in a comment.
            name = told.get("Comment", told["JobName"])
            found.append(
                Job(
                    int(told["JobId"]),
                    name.removeprefix("rule_").partition("_wildcards")[0],
                    told["JobState"],
                    told["Partition"],
                    told.get("TresPerJob", ""),
                    told["MinMemoryNode"],
                    told["StartTime"],
                    told["EndTime"],
                )
            )
        found.sort(key=lambda job: job.number)
        return [job for job in found if rule in (None, job.rule)]

    def running(self, rule: str) -> Job:
        """Wait until a job of the rule has come to its fault; return it."""

        def look() -> Job | None:
            jobs = [job for job in self.jobs(rule) if job.state == "RUNNING"]
            return jobs[-1] if jobs and met(self.folder / "faults" / rule).exists() else None

        return until(look, f"a running job of {rule}")

    def logs_of(self, job: Job) -> str:
        """Return Slurm's log of a job."""
        files = list((self.folder / "logs/slurm").rglob(f"*{job.number}.log"))
        return "".join(file.read_text() for file in files)


def environment() -> dict[str, str]:
    """Return the environment of a driver: this Python's programs first, one thread a library."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}


Found = TypeVar("Found")


def until(look: Callable[[], Found | None], what: str) -> Found:
    """Call ``look`` until it returns something, and return that."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.3)
    raise AssertionError(f"waited in vain for {what}")


def met(fault: Path) -> Path:
    """Return the file that a job makes when it comes to its fault."""
    return fault.with_name(f"{fault.name}.met")


# Faults. "met" tells the test that the job has come here.
MEET = "Path(fault.with_name(fault.name + '.met')).touch()\n"
FAIL = "raise ValueError('the fault of this test')\n"
EAT = MEET + "import time; hoard = b'x' * 1_200_000_000; time.sleep(2)\n"
# Waits until the test removes the file.
STAY = MEET + "import time\nwhile fault.exists(): time.sleep(0.1)\n"


def results_of(folder: Path) -> dict[str, str]:
    """Return a digest of each result that must not depend on where it was made."""
    found = {}
    for file in sorted(folder.glob("results/**/*")):
        name = str(file.relative_to(folder))
        if file.suffix == ".npz":
            digest = hashlib.sha256()
            with np.load(file) as arrays:
                for key in sorted(arrays.files):
                    digest.update(key.encode() + arrays[key].tobytes())
            found[name] = digest.hexdigest()
        elif file.suffix in (".csv", ".safetensors"):
            found[name] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def _workflow_tests() -> ModuleType:
    """Import tests/workflow/conftest.py, which makes projects of tiny data."""
    file = ROOT / "tests/workflow/conftest.py"
    spec = importlib.util.spec_from_file_location("workflow_conftest", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def make_slurm_project(folder: Path, models: Sequence[str]) -> SlurmProject:
    """Make a project in which nothing has run, ready for faults."""
    project = _workflow_tests().make_project(folder)
    configuration = yaml.safe_load(project.config.read_text())
    nets = configuration["flowers"]["nets"]
    # A second flower net, so that there are two jobs for one GPU.
    nets["tiny_too"] = {**nets["tiny"], "title": "Another tiny backbone"}
    # One run a net: more would cost jobs of seconds and show nothing new here.
    configuration["flowers"]["split_seeds"] = []
    configuration["models"] = list(models)
    project.config.write_text(yaml.safe_dump(configuration))
    lock = folder / "scripts/repro/system/writer_lock.py"
    lock.write_text(lock.read_text() + FAULTS)
    return SlurmProject(folder)

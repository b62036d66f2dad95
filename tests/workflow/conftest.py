"""A copy of the project with tiny data, and a way to run Snakemake in it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

from support import MNIST_PARTS, ROOT

PARTS = ("Snakefile", "config.yaml", "config", "envs", "profiles", "resources", "rules", "scripts")


@dataclass
class Project:
    """A checkout of its own, with a configuration of tiny data."""

    folder: Path
    config: Path

    def snakemake(
        self,
        *arguments: str,
        ok: bool = True,
        changes: dict | None = None,
        env: dict | None = None,
        limit: float = 900,
    ) -> str:
        """Run Snakemake with the tiny configuration, changed; return all it printed.

        After ``limit`` seconds it is killed.
        """
        driver = self.start(*arguments, changes=changes, env=env)
        try:
            said, _ = driver.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(driver.pid, signal.SIGKILL)
            raise
        assert (driver.returncode == 0) == ok, said[-6000:]
        return said

    def start(
        self, *arguments: str, changes: dict | None = None, env: dict | None = None
    ) -> subprocess.Popen[str]:
        """Start Snakemake in a process group of its own."""
        return subprocess.Popen(
            # A shell's background job ignores SIGINT, and so would all that it starts.
            ["env", "--default-signal=INT", *self.command(*arguments, changes=changes)],
            cwd=self.folder,
            env={**os.environ, **self.environment, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def command(self, *arguments: str, changes: dict | None = None) -> list[str]:
        """Return the command that runs Snakemake with the tiny configuration, changed."""
        configurations = [str(self.config)]
        if changes:
            more = self.folder / "more.yaml"
            more.write_text(yaml.safe_dump(changes))
            configurations.append(str(more))
        return [
            *(sys.executable, "-m", "snakemake", "--configfile", *configurations),
            *("--cores", "2", *arguments),
        ]

    @property
    def environment(self) -> dict[str, str]:
        """What a run needs in its environment: this Python's programs first."""
        return {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def planned(self, *arguments: str, changes: dict | None = None) -> dict[str, int]:
        """Return the jobs a dry run plans: how many of each rule."""
        output = self.snakemake("-n", *arguments, changes=changes)
        table = re.search(r"^job +count\n-+ +-+\n(.*?)^total", output, re.M | re.S)
        if table is None:
            assert "Nothing to be done" in output, output[-3000:]
            return {}
        rows = (line.split() for line in table[1].splitlines())
        return {rule: int(count) for rule, count in rows}


def write_idx(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes = b"".join(int(size).to_bytes(4, "big") for size in array.shape)
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())


def tiny_mnist(folder: Path) -> dict:
    """Write IDX files in which each digit has a pattern of its own; return them as downloads."""
    rng = np.random.default_rng(5)
    patterns = rng.integers(0, 2, (10, 28, 28)) * 160
    arrays = []
    for count in (400, 200):
        labels = np.arange(count) % 10
        noise = rng.integers(0, 96, (count, 28, 28))
        arrays += [(patterns[labels] + noise).astype(np.uint8), labels.astype(np.uint8)]
    downloads = {}
    for part, array in zip(MNIST_PARTS, arrays, strict=True):
        file = folder / part
        write_idx(file, array)
        downloads[f"mnist/{part}"] = {
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "sources": [{"path": str(file)}],
        }
    return downloads


def tiny_config(downloads: dict) -> dict:
    net = {"hidden": [8], "epochs": 2, "batch_size": 20, "seeds": [123]}
    return {
        "models": ["numpy_1hidden", "numpy_2hidden", "torch_2hidden", "tiny"],
        "downloads": downloads,
        "mnist": {
            "split": {"test": 100, "validation": 50, "seed": 123},
            "nets": dict.fromkeys(("numpy_1hidden", "numpy_2hidden", "torch_2hidden"), net),
        },
        "flowers": {
            "data": "generated",
            "generated": {"kinds": 3, "images_per_kind": 12, "seed": 1},
            "split_seeds": [2],
            "head": {"epochs": 2},
            "nets": {
                "tiny": {
                    "title": "A tiny backbone",
                    "architecture": "timm:test_resnet",
                    "weights": "none",
                    "protocol": "frozen",
                    "preprocess": "report",
                    "reported": None,
                    "recipe": "own",
                }
            },
        },
    }


def make_project(folder: Path) -> Project:
    folder.mkdir(parents=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / part)
    config = folder / "tiny.yaml"
    config.write_text(yaml.safe_dump(tiny_config(tiny_mnist(folder / "mnist-source"))))
    return Project(folder, config)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project in which nothing has run."""
    return make_project(tmp_path / "project")


@pytest.fixture
def make_another(tmp_path: Path) -> Callable[[str], Project]:
    """Makes further such projects, by name."""
    return lambda name: make_project(tmp_path / name)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose whole DAG has run once; tests put back what they change."""
    project = make_project(tmp_path_factory.mktemp("finished") / "project")
    project.snakemake()
    return project

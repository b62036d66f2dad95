"""What several tests share: the real MNIST, real photographs where they are at hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from support import MNIST_PARTS, ROOT

# The table of faults, and the mark that puts a test in it.
pytest_plugins = ["fault_table"]

# Enough examples of a run, which are others each time; a busy machine takes its time.
settings.register_profile("brief", max_examples=30, deadline=None)
settings.load_profile("brief")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let files with tests of minutes begin first: side by side, the last one waits for nobody."""
    minutes: dict[Path, float] = {}
    for item in items:
        if mark := item.get_closest_marker("heavy"):
            minutes[item.path] = max(minutes.get(item.path, 0), mark.kwargs.get("minutes", 1))
    items.sort(key=lambda item: -minutes.get(item.path, 0))


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def report(root: Path):
    """The report that ships, as data."""
    from repro.comparison.reported import load

    return load(root / "resources/reported.yaml")


@pytest.fixture(scope="session")
def downloads() -> Path:
    """Where tests keep downloads: the same folder a run uses, so nothing is fetched twice."""
    return ROOT / "data/downloads"


@pytest.fixture(scope="session")
def mnist_parts(downloads: Path) -> list[Path]:
    """The four IDX files, fetched and proved."""
    from repro.fetch.sources import fetch, load_registry

    registry = load_registry([ROOT / "resources/registry.yaml"])
    files = [downloads / "mnist" / part for part in MNIST_PARTS]
    for file in files:
        fetch(registry[f"mnist/{file.name}"], file, cache=downloads / ".cache")
    return files


@pytest.fixture(scope="session")
def mnist_files(mnist_parts: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images.npy, labels.npy and split.csv of the report's protocol."""
    from repro.mnist.images import join_parts, read_idx
    from repro.mnist.split import split_ids

    folder = tmp_path_factory.mktemp("mnist")
    images, labels = join_parts(*(read_idx(part) for part in mnist_parts))
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", labels)
    split_ids(labels, test=10_000, validation=5_000, seed=123).to_csv(
        folder / "split.csv", index=False
    )
    return folder


@pytest.fixture(scope="session")
def mnist(mnist_files: Path):
    """The real MNIST with the report's split, as arrays."""
    from repro.mnist.images import load_splits

    return load_splits(*(mnist_files / name for name in ("images.npy", "labels.npy", "split.csv")))


@pytest.fixture(scope="session")
def photographs() -> Path:
    """A folder with real Oxford-102 photographs in the official layout, where there is one."""
    folder = os.environ.get("FLOWERS102_PART")
    if not folder:
        pytest.skip("no real photographs: set FLOWERS102_PART to a folder in the official layout")
    return Path(folder)


@pytest.fixture
def style(root: Path) -> Iterator[None]:
    """Figures drawn as the project's are."""
    from repro.figures.style import styled

    with styled(root / "resources/style.mplstyle"):
        yield

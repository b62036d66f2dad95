"""What tests share that is no fixture."""

import copy
import os
import re
import shutil
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from snakemake.utils import update_config

ROOT = Path(__file__).resolve().parents[1]

MNIST_PARTS = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

# A row of comparison.csv in which no number is another: whoever takes the wrong one is seen.
TELLING: dict[str, Any] = {
    "model": "net",
    "title": "Net",
    "metric": "accuracy",
    "split": "test",
    "reported": 0.91,
    "reported_precision": 0.0001,
    "headline": 0.92,
    "mean": 0.93,
    "n_runs": 3,
    "sd": 0.005,
    "min": 0.9,
    "max": 0.96,
    "difference": 0.02,
    "half_width": 0.013,
    "spread_of": "20 reference runs",
    "margin": 0.016,
    "runs_needed": None,
    "to_the_digit": False,
    "wilson_low": 0.87,
    "wilson_high": 0.95,
    "recipe": "replayed",
    "verdict": "differs: higher",
    "protocol": "",
    "why_not": "",
    "where": "part 1",
    "note": "",
    "run": "seed-7",
    "configuration": "config.yaml",
    "log": "workflow/logs/train_net/seed-7.log",
    "predictions": "runs/net/seed-7/predictions.npz",
}


def drawn_twice(
    labels: NDArray[Any], *, test: int, validation: int, seed: int, stratified: bool = True
) -> tuple[NDArray[np.int64], ...]:
    """Draw the report's two draws, written out: the places of train, validation and test."""
    from sklearn.model_selection import train_test_split

    rest, test_places = train_test_split(
        np.arange(len(labels)),
        test_size=test,
        random_state=seed,
        stratify=labels if stratified else None,
    )
    train_places, validation_places = train_test_split(
        rest,
        test_size=validation,
        random_state=seed,
        stratify=labels[rest] if stratified else None,
    )
    return train_places, validation_places, test_places


def idx(array: NDArray[np.uint8]) -> bytes:
    """Return an array in the IDX form of MNIST's files."""
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def bytes_of(files: Any) -> list[bytes]:
    """Return what a store of features holds, a :class:`repro.features.store.FeatureFiles`."""
    return [file.read_bytes() for file in (files.features, files.ids, files.manifest)]


def of_another_user(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make git see every checkout as another user's, as its own tests do."""
    real = shutil.which("git")
    settings = "GIT_TEST_ASSUME_DIFFERENT_OWNER=1 GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1"
    fake = folder / "bin/git"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\n{settings} exec {real} "$@"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}")


def merged(config: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with another laid over it, as Snakemake does it."""
    found = copy.deepcopy(config)
    update_config(found, changes)
    return found


# Of the report that ships; in a run that is not held against it they would be wrong. Not names of
# rules and their files, nor a user's own folder.
_OTHER_WORDS = re.compile(
    r"(?<!rules/)(?<!workflow: )(?<!split_)(?<!plot_)(?<!my )(flower|oxford|notebook)", re.I
)


def other_words(results: Path, classes: Iterable[str] = ()) -> dict[str, set[str]]:
    """Return the lines with words of the report that ships, by file, of all that is there to read.

    What classes are called is a person's own. A configuration's keys are the schema's; they are
    passed over with the files that list them, and so is Snakemake's page, whose texts stand in the
    others.
    """
    from methods import methods

    (results / "METHODS.md").write_text(methods(results))
    keys = ("config.yaml", "provenance.json", "provenance.html", "report.html")
    found = {
        file.relative_to(results).as_posix(): {
            line
            for line in file.read_text().splitlines()
            if _OTHER_WORDS.search(re.sub("|".join(map(re.escape, classes)), "", line))
        }
        for file in results.rglob("*")
        if file.suffix in (".html", ".md", ".csv", ".json", ".txt", ".svg")
        if file.name not in keys
    }
    return {name: lines for name, lines in found.items() if lines}

"""The reference runs that ship with the project: each MNIST net of the report with twenty seeds.

They say how far a figure moves from seed to seed where a run has one seed, and whether this machine
computes what the one they were made on did. `make reference` makes them
(:mod:`repro.mnist.reference_runs`): a table ``NET.csv`` of figures for each reported model, and
beside it ``NET.json`` with recipe, split, data and machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from repro.comparison.statistics import LEVEL, Spread, prediction_half_width
from repro.errors import unreadable
from repro.evaluation import names
from repro.system.files import read_json

SEEDS = (123, *range(1, 20))  # the report's own first
COLUMNS = ["seed", "split", "metric", "value", "n"]
METRICS = tuple(name for name in names.METRICS if name.endswith("accuracy") or "auc" in name)

_KINDS = dict(zip(COLUMNS, ("int64", "str", "str", "float64", "int64"), strict=True))
_WAY_OUT = "restore resources/reference from git, or run make reference"


@dataclass(frozen=True)
class Reference:
    """The reference runs of one reported model.

    Attributes:
        runs: one row a seed, split and metric: seed, split, metric, value, n (images). Accuracies
            and AUCs are fractions.
        machine: in a sentence for a page: what they were made on, with versions and date.
        made_by: what decides the figures on a given machine: recipe, split, and the hashes of the
            data.
    """

    runs: pd.DataFrame
    machine: str
    made_by: Mapping[str, Any]

    def spread(self, split: str, metric: str) -> Spread | None:
        """Return the spread of a figure; None where fewer than two seeds have it."""
        values = self._values(split, metric)
        return Spread.of(values.tolist())

    def mean(self, split: str, metric: str) -> float | None:
        """Return a figure's mean over the seeds; None where no seed has it."""
        values = self._values(split, metric)
        return None if values.empty else float(values.mean())

    def value(self, seed: int, split: str, metric: str) -> float | None:
        """Return a figure of one seed; None where it was not made."""
        value = self._values(split, metric).get(seed)
        return None if value is None else float(value)

    def _values(self, split: str, metric: str) -> pd.Series:
        """Return a figure of every seed, by the seed; errors are what accuracies leave."""
        if metric == names.ERROR:
            return 1 - self._values(split, "accuracy")
        own = self.runs[(self.runs["split"] == split) & (self.runs["metric"] == metric)]
        return own.set_index("seed")["value"]


def load(files: Iterable[str | os.PathLike[str]]) -> dict[str, Reference]:
    """Read reference runs from their tables, by the reported model; other files are passed over.

    Raises:
        UserError: a file is not of the form, or is missing beside the other.
    """
    tables = (Path(file) for file in files if Path(file).suffix == ".csv")
    return {file.stem: _read(file) for file in tables}


def _read(file: Path) -> Reference:
    about = read_json(file.with_suffix(".json"), _WAY_OUT)
    try:
        runs = pd.read_csv(file, dtype=_KINDS)
        if list(runs.columns) != COLUMNS:
            raise ValueError(f"its columns are {list(runs.columns)}, expected {COLUMNS}")
        if not runs["value"].between(0, 1).all():
            raise ValueError("a value lies outside 0 to 1")
        if runs.duplicated(["seed", "split", "metric"]).any():
            raise ValueError("a figure stands there twice")
        return Reference(runs, _sentence(about), about["made_by"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise unreadable(file, "a table of reference runs", _WAY_OUT, error) from error


def _sentence(about: Mapping[str, Any]) -> str:
    """Return e.g. "The reference runs were made on 2026-11-30 by …, Linux x86_64, with …."."""
    made_on = about["machine"]
    versions = [f"{name} {version}" for name, version in made_on["versions"].items()]
    return (
        f"The reference runs were made on {about['date']} by {made_on['processor']}, "
        f"{made_on['system']}, with {', '.join(versions)}."
    )


def agreement(reference: Reference, seed_values: pd.DataFrame, deterministic: bool) -> str:
    """Say in a sentence whether this machine computes what the reference runs did.

    A figure of a deterministic net is held against the same seed's: they are to agree to the digit
    that is printed, 0.01 points of accuracy, 0.001 of AUC. Any other is to lie in the 95 %
    prediction interval of the reference's seeds for one more, or to agree with the same seed's.

    Args:
        reference: of the model.
        seed_values: figures of one run, those that the page shows: rows with seed, split, metric
            and value, such as those of metrics.csv. What the reference has not is passed over.
        deterministic: whether the net's figures follow from its seed to the printed digit on
            machines that add alike: a NumPy net's.
    """
    held, apart = 0, []
    # One sentence for all of them: at 95 % together, so each at more (Bonferroni).
    level = 1 - (1 - LEVEL) / max(1, len(seed_values))
    for row in seed_values.itertuples():
        same = reference.value(row.seed, row.split, row.metric)
        mean = reference.mean(row.split, row.metric)
        spread = reference.spread(row.split, row.metric)
        if same is not None and abs(row.value - same) <= _half_a_digit(row.metric):
            held += 1
        elif same is not None and deterministic:
            apart.append(_difference(row.value - same, row.split, row.metric))
        elif mean is not None and spread is not None:
            held += 1
            if abs(row.value - mean) > prediction_half_width(spread, spread.df + 1, level):
                apart.append(_difference(row.value - mean, row.split, row.metric))
    if apart:
        return f"This machine differs from the reference runs by {_and(apart)}."
    if held:
        return "This machine agrees with the reference runs."
    return "The reference runs have no figure to hold this run against."


def _half_a_digit(metric: str) -> float:
    digit = 0.0001 if names.in_percent(metric) else 0.001
    return digit / 2 + 1e-12  # as much as fractions that are printed alike may be off by


def _difference(difference: float, split: str, metric: str) -> str:
    """Return e.g. "+0.04 points in train accuracy", "-0.0011 in validation AUC"."""
    if names.in_percent(metric):
        return f"{100 * difference:+.2f} points in {split} {metric.replace('_', ' ')}"
    return f"{difference:+.4f} in {split} AUC"


def _and(parts: list[str]) -> str:
    *others, last = parts
    return f"{', '.join(others)} and {last}" if others else last

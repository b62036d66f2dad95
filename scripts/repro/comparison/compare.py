"""Reported beside reproduced: one row and one verdict per figure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from repro.comparison.reported import RECIPES, Figure, Report
from repro.comparison.verdict import Verdict
from repro.errors import UserError
from repro.evaluation.names import METRIC_COLUMNS

COLUMNS = [
    "model",
    "title",
    "metric",
    "split",
    "reported",
    "reported_precision",
    "reproduced",
    "difference_pp",
    "mean",
    "sd",
    "min",
    "max",
    "n_seeds",
    "wilson_low",
    "wilson_high",
    "recipe",
    "verdict",
    "protocol",  # the run's, where the figure is the report's by another
    "why_not",
    "where",
    "note",
]
# Shown for a model that has no counterpart in the report.
_OWN_FIGURES = (
    ("train", "accuracy"),
    ("validation", "accuracy"),
    ("test", "accuracy"),
    ("validation", "auc_ovr_softmax"),
)

# Verdicts are about values that were computed in binary floating point and printed in decimal.
_EPSILON = 1e-9


@dataclass(frozen=True)
class Model:
    """A model as it was run here.

    Attributes:
        name: the key in metrics.csv.
        title: for tables and figures.
        framework: e.g. "NumPy", "PyTorch".
        reported: id of its counterpart in the report, or None.
        recipe: "stated", "replayed" or "inferred"; "own" for a model that is not the report's.
        headline: the run whose figures stand for the model, e.g. "seed-123".
        comparable: whether its figures may be held against the report's.
        why_not: the reason where they may not, e.g. "generated data"
            (:func:`repro.comparison.changes.why_not`).
        part: "mnist" or "flowers": which data set's models it belongs to.
        longer_of: id of the reported model of which this is the same net with more epochs.
        protocol: of a flower net, how its backbone ran; else empty.
    """

    name: str
    title: str
    framework: str
    reported: str | None
    recipe: str
    headline: str
    comparable: bool
    why_not: str
    part: str = ""
    longer_of: str | None = None
    protocol: str = ""

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Model:
        """Check a mapping from the configuration; raise UserError where it does not fit."""
        known = set(cls.__dataclass_fields__)
        if strange := set(entry) - known:
            raise UserError(
                f"model {entry.get('name')!r}: unknown key {sorted(strange)[0]!r}, "
                f"expected {sorted(known)}"
            )
        try:
            model = cls(**entry)
        except TypeError as error:
            raise UserError(f"model {entry.get('name')!r}: {error}") from error
        if model.recipe not in (*RECIPES, "own"):
            raise UserError(
                f"model {model.name!r}: recipe is {model.recipe!r}, "
                f"expected one of {', '.join(RECIPES)}, own"
            )
        if not model.comparable and not model.why_not:
            raise UserError(
                f"model {model.name!r}: is not comparable, but why_not is empty; say why"
            )
        return model


def wilson(fraction: float, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a fraction of ``n`` images (Wilson 1927)."""
    hits = round(fraction * n)
    if abs(hits - fraction * n) > 1e-6 * max(n, 1):
        raise ValueError(f"{fraction} is not a whole number of images out of {n}")
    interval = binomtest(hits, n).proportion_ci(confidence_level=0.95, method="wilson")
    return float(interval.low), float(interval.high)


def verdict(
    reported: float,
    precision: float | None,
    reproduced: float | None,
    *,
    runs: Sequence[float] = (),
    interval: tuple[float, float] | None = None,
    comparable: bool = True,
    same_protocol: bool = True,
) -> Verdict:
    """Return the verdict on one reported figure. The first rule that fits decides.

    1. *not run*: there is no reproduced value.
    2. *not comparable here*: it comes from other data, or from another net, recipe or split than
       the report's.
    3. *by another protocol*: all that is the report's, but the backbone ran in another way.
    4. *to the digit*: the headline run's value, rounded to the printed digits, is the printed one.
       A figure that was given in words has no digits to meet.
    5. *within the seeds' range*: two or more runs were made, and the reported value, which is
       known to half its last digit, lies between the lowest and the highest of them.
    6. *within the test set's interval*: it lies, known that well, in the 95 % Wilson interval of
       the headline run's accuracy on the held-out images. There is no such interval for the
       training images, which the model was fitted to, nor for an AUC.
    7. *better* or *worse than reported*: none of these; which of the two the headline run says.
       Every metric that the report gives is the better the higher it is.

    Args:
        reported: the report's value, in the metric's unit.
        precision: size of its last printed digit in the same unit, or None.
        reproduced: the headline run's value.
        runs: the values of all runs, the headline among them.
        interval: Wilson interval of the headline value, or None.
        comparable: whether the two may be compared at all.
        same_protocol: whether both are by the same protocol.
    """
    if reproduced is None:
        return Verdict.NOT_RUN
    if not (comparable and same_protocol):
        return Verdict.BY_PROTOCOL if comparable else Verdict.NOT_COMPARABLE
    slack = (precision or 0.0) / 2 + _EPSILON
    if precision is not None and abs(reproduced - reported) <= slack:
        return Verdict.TO_THE_DIGIT
    if len(runs) >= 2 and min(runs) - slack <= reported <= max(runs) + slack:
        return Verdict.WITHIN_SEEDS
    if interval is not None and interval[0] - slack <= reported <= interval[1] + slack:
        return Verdict.WITHIN_INTERVAL
    return Verdict.BETTER if reproduced > reported else Verdict.WORSE


def gather(paths: Iterable[str | os.PathLike[str]]) -> pd.DataFrame:
    """Read the metrics of every run into one tidy frame.

    Raises:
        UserError: where a file is not a metrics CSV, or two hold the same figure.
    """
    frames = []
    for path in paths:
        frame = pd.read_csv(path)
        if list(frame.columns) != METRIC_COLUMNS:
            raise UserError(
                f"{path}: columns are {list(frame.columns)}, expected {METRIC_COLUMNS}; "
                "delete it and run again"
            )
        frames.append(frame)
    everything = (
        pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=METRIC_COLUMNS)
    )
    key = ["model", "run", "split", "metric"]
    if (twice := everything.duplicated(key)).any():
        first = everything.loc[twice, key].iloc[0].tolist()
        raise UserError(f"the metric {first} was given twice; two runs share a name")
    return everything


def compare(metrics: pd.DataFrame, models: Sequence[Model], report: Report) -> pd.DataFrame:
    """Return one row per reported figure, then one per figure that has no counterpart.

    Accuracies and AUCs are fractions, ``difference_pp`` is in percentage points (reproduced minus
    reported), ``sd`` is the sample standard deviation over runs.

    Raises:
        UserError: where a model names a counterpart that the report does not have, or its
            headline run is not among the metrics.
    """
    for model in models:
        if model.reported is not None and model.reported not in report.models:
            raise UserError(
                f"model {model.name!r}: reported is {model.reported!r}, "
                f"expected one of {list(report.models)}"
            )
    rows: list[dict[str, Any] | None] = []
    for key, reported_model in report.models.items():
        counterparts = [model for model in models if model.reported == key]
        for counterpart in counterparts or (None,):
            for figure in report.figures_of(key):
                rows.append(_row(metrics, counterpart, figure, reported_model.title))
    for model in models:
        if model.reported is None:
            rows += [_row_of_own(metrics, model, *figure) for figure in _OWN_FIGURES]
    return pd.DataFrame([row for row in rows if row is not None], columns=COLUMNS)


def _row(metrics: pd.DataFrame, model: Model | None, figure: Figure, title: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "model": model.name if model else figure.model,
        "title": model.title if model else title,
        "metric": figure.metric,
        "split": figure.split,
        "reported": figure.value,
        "reported_precision": figure.precision,
        "recipe": model.recipe if model else figure.recipe,
        "n_seeds": 0,
        "protocol": "",
        "why_not": "",
        "where": figure.where,
        "note": figure.note,
        "verdict": Verdict.NOT_RUN,
    }
    found = _statistics(metrics, model, figure.split, figure.metric) if model else None
    if model is None or found is None:
        return row
    row |= found.columns()
    same_protocol = model.protocol == figure.protocol
    if model.comparable:
        row["difference_pp"] = 100 * (found.headline - figure.value)
        row["protocol"] = "" if same_protocol else model.protocol
    else:
        row["why_not"] = model.why_not
    row["verdict"] = verdict(
        figure.value,
        figure.precision,
        found.headline,
        runs=found.runs,
        interval=found.interval,
        comparable=model.comparable,
        same_protocol=same_protocol,
    )
    return row


def _row_of_own(
    metrics: pd.DataFrame, model: Model, split: str, metric: str
) -> dict[str, Any] | None:
    found = _statistics(metrics, model, split, metric)
    if found is None:
        return None
    return {
        "model": model.name,
        "title": model.title,
        "metric": metric,
        "split": split,
        "recipe": model.recipe,
        "protocol": "",
        "why_not": model.why_not,
        "verdict": Verdict.NOT_COMPARABLE,
        "where": "",
        "note": "",
        **found.columns(),
    }


@dataclass(frozen=True)
class _Statistics:
    headline: float
    runs: tuple[float, ...]
    interval: tuple[float, float] | None

    def columns(self) -> dict[str, Any]:
        low, high = self.interval or (None, None)
        return {
            "reproduced": self.headline,
            "mean": float(np.mean(self.runs)),
            "sd": float(np.std(self.runs, ddof=1)) if len(self.runs) > 1 else None,
            "min": min(self.runs),
            "max": max(self.runs),
            "n_seeds": len(self.runs),
            "wilson_low": low,
            "wilson_high": high,
        }


def _statistics(metrics: pd.DataFrame, model: Model, split: str, metric: str) -> _Statistics | None:
    """Return what is known of one figure over all runs of a model; None where it was not made."""
    own = metrics[metrics["model"] == model.name]
    if not own.empty and model.headline not in set(own["run"]):
        raise UserError(
            f"model {model.name!r}: headline run {model.headline!r} is not among its runs "
            f"{sorted(set(own['run']))}"
        )
    rows = own[(own["split"] == split) & (own["metric"] == metric)]
    headline = rows[rows["run"] == model.headline]
    if headline.empty:
        return None
    value, n = float(headline["value"].iloc[0]), int(headline["n"].iloc[0])
    held_out = split != "train" and metric == "accuracy"
    return _Statistics(
        value, tuple(float(x) for x in rows["value"]), wilson(value, n) if held_out else None
    )

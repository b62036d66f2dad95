"""Reported beside reproduced: one row and one verdict per figure.

The scheme, why it is so, and how often it errs: ``docs/VERDICTS.md``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from repro.comparison.reference import Reference
from repro.comparison.reported import RECIPES, Figure, Report
from repro.comparison.statistics import Spread, prediction_half_width, runs_needed, wilson
from repro.comparison.verdict import Verdict
from repro.errors import UserError
from repro.evaluation.names import COUNTED, METRIC_COLUMNS
from repro.plan import LOGS, PREDICTIONS
from repro.system.tables import read_csv

COLUMNS = [
    "model",
    "title",
    "metric",
    "split",
    "reported",
    "reported_precision",
    "headline",  # the figure of the run that stands for the model
    "mean",  # over all its runs
    "n_runs",
    "sd",
    "min",
    "max",
    "difference",  # mean minus reported; of a figure to the digit, headline minus reported
    "half_width",  # of the difference's 95 % interval
    "spread_of",  # the runs that it is known from
    "margin",  # a smaller difference does not matter
    "runs_needed",  # until chance could not hide a difference that matters
    "to_the_digit",  # whether the headline rounds to what is printed
    "wilson_low",  # of the headline's accuracy on held-out images
    "wilson_high",
    "recipe",
    "verdict",
    "protocol",  # the run's, where the figure is the report's by another
    "why_not",
    "where",
    "note",
    "run",  # the headline's name
    "configuration",  # where this and the next two are, in the folder of results
    "log",  # of the headline's training
    "predictions",
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
        runs: the split of the data that each run is on, by the run's name; the headline, whose
            figures stand for the model, comes first.
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
    runs: Mapping[str, str]
    comparable: bool
    why_not: str
    part: str = ""
    longer_of: str | None = None
    protocol: str = ""

    @property
    def headline(self) -> str:
        """The name of the run whose figures stand for the model."""
        return next(iter(self.runs))

    @property
    def files(self) -> dict[str, str]:
        """What the headline's figures are made of: its name, and files in the folder of results."""
        # The heads of a flower net are trained by one job.
        log = self.name if self.part == "flowers" else f"{self.name}/{self.headline}"
        return {
            "run": self.headline,
            "configuration": "config.yaml",
            "log": f"{LOGS}/train_{log}.log",
            "predictions": f"runs/{self.name}/{self.headline}/{PREDICTIONS}",
        }

    @property
    def on_several_splits(self) -> bool:
        """Whether its runs differ in their split, not in their seed alone."""
        return len(set(self.runs.values())) > 1

    def each_split_once(self) -> Model:
        """Return the model without further seeds of a split, where it ran on several splits.

        Runs on the same split are more alike than runs on two; together they would make the spread
        too small.
        """
        if not self.on_several_splits:
            return self
        first: dict[str, str] = {}
        for run, split in self.runs.items():
            first.setdefault(split, run)
        return replace(self, runs={run: split for split, run in first.items()})

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


@dataclass(frozen=True)
class Judgement:
    """A verdict, and the two numbers behind it.

    Attributes:
        verdict: on the figure.
        difference: D, the mean of the runs minus the reported figure; of a figure to the digit,
            the headline minus it.
        half_width: h, half the 95 % interval of D; None where no spread is known.
    """

    verdict: Verdict
    difference: float
    half_width: float | None


def judge(
    reported: float,
    digit: float | None,
    runs: Sequence[float],
    spread: Spread | None,
    margin: float,
    *,
    to_the_digit: bool = False,
) -> Judgement:
    """Return the verdict on one reported figure.

    D is the mean of the runs minus the reported figure; h is half the 95 % prediction interval for
    one further run, which is what the report is if it holds, and half of its last printed digit.

    Args:
        reported: the report's value, in the metric's unit, like all that follows.
        digit: size of its last printed digit; None: it was given in words.
        runs: the values of all runs, one or more; the headline first.
        spread: how far such runs differ; None: not known.
        margin: a smaller difference does not matter.
        to_the_digit: whether the figure's recipe is known whole, and the headline gives its
            digits: then D is the headline's, and nothing is left to chance.
    """
    if to_the_digit:
        return Judgement(Verdict.TO_THE_DIGIT, runs[0] - reported, None)
    difference = float(np.mean(runs)) - reported
    half = prediction_half_width(spread, len(runs)) + (digit or 0) / 2 if spread else None
    if half is None:
        found = Verdict.CANNOT_TELL
    elif abs(difference) <= half + _EPSILON:
        found = Verdict.AGREES if half <= margin + _EPSILON else Verdict.CANNOT_TELL
    elif abs(difference) <= margin + _EPSILON:
        found = Verdict.TOO_LITTLE
    else:
        found = Verdict.HIGHER if difference > 0 else Verdict.LOWER
    return Judgement(found, difference, half)


def gather(paths: Iterable[str | os.PathLike[str]]) -> pd.DataFrame:
    """Read the metrics of every run into one tidy frame.

    Raises:
        UserError: where a file is not a metrics CSV, or two hold the same figure.
    """
    frames = []
    for path in paths:
        frame = read_csv(path)
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


def compare(
    metrics: pd.DataFrame,
    models: Sequence[Model],
    report: Report,
    references: Mapping[str, Reference],
) -> pd.DataFrame:
    """Return one row per reported figure, then one per figure that has no counterpart.

    Accuracies and AUCs are fractions, and so are their differences; ``sd`` is the sample standard
    deviation over runs, of each split once where they are on several.

    Args:
        metrics: metrics.csv, all runs.
        models: those that were run.
        report: what is held against them.
        references: reference runs by the reported model's id.

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
    models = [model.each_split_once() for model in models]
    rows: list[dict[str, Any] | None] = []
    for key in report.models:
        counterparts = [model for model in models if model.reported == key]
        for counterpart in counterparts or (None,):
            for figure in report.figures_of(key):
                rows.append(_row(metrics, counterpart, figure, report, references.get(key)))
    for model in models:
        if model.reported is None:
            rows += [_row_of_own(metrics, model, *figure) for figure in _OWN_FIGURES]
    return pd.DataFrame([row for row in rows if row is not None], columns=COLUMNS)


def _row(
    metrics: pd.DataFrame,
    model: Model | None,
    figure: Figure,
    report: Report,
    reference: Reference | None,
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "model": model.name if model else figure.model,
        "title": model.title if model else report.models[figure.model].title,
        "metric": figure.metric,
        "split": figure.split,
        "reported": figure.value,
        "reported_precision": figure.precision,
        "recipe": model.recipe if model else figure.recipe,
        "n_runs": 0,
        "protocol": "",
        "why_not": "",
        "where": figure.where,
        "note": figure.note,
        "verdict": Verdict.NOT_RUN,
    }
    found = _Values.of(metrics, model, figure.split, figure.metric) if model else None
    if model is None or found is None:
        return row
    row |= found.columns() | model.files
    if not model.comparable:
        return row | {"why_not": model.why_not, "verdict": Verdict.NOT_COMPARABLE}
    same_protocol = model.protocol == figure.protocol
    digits = figure.precision is not None and (
        abs(found.headline - figure.value) <= figure.precision / 2 + _EPSILON
    )
    # Where the report's run is on another split, seeds of one do not tell how far off it is.
    tells = model.on_several_splits or report.gives_split(figure.model)
    own = Spread.of(found.runs) if tells else None
    # The reference runs are of the report's recipe, so of what runs by the same protocol.
    known = reference.spread(figure.split, figure.metric) if reference and same_protocol else None
    spread = Spread.better(own, known)
    source = f"{len(found.runs)} runs"
    if spread and spread is not own:
        source = f"{spread.df + 1} reference runs"
    judgement = judge(
        figure.value,
        figure.precision,
        found.runs,
        spread,
        figure.margin,
        to_the_digit=digits and figure.recipe == model.recipe == "replayed",
    )
    row |= {
        "difference": judgement.difference,
        "half_width": judgement.half_width,
        "spread_of": source if spread else "",
        "margin": figure.margin,
        "to_the_digit": digits,
        "verdict": judgement.verdict if same_protocol else Verdict.BY_PROTOCOL,
        "protocol": "" if same_protocol else model.protocol,
    }
    if row["verdict"] == Verdict.CANNOT_TELL and spread:
        row["runs_needed"] = runs_needed(spread, figure.margin - (figure.precision or 0) / 2)
    return row


def _row_of_own(
    metrics: pd.DataFrame, model: Model, split: str, metric: str
) -> dict[str, Any] | None:
    found = _Values.of(metrics, model, split, metric)
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
        **model.files,
    }


@dataclass(frozen=True)
class _Values:
    """A figure in all runs of a model, the headline's apart, with the interval of that."""

    headline: float
    runs: tuple[float, ...]
    interval: tuple[float, float] | None

    @classmethod
    def of(cls, metrics: pd.DataFrame, model: Model, split: str, metric: str) -> _Values | None:
        """Return the values of one figure; None where it was not made."""
        own = metrics[metrics["model"] == model.name]
        if not own.empty and model.headline not in set(own["run"]):
            raise UserError(
                f"model {model.name!r}: headline run {model.headline!r} is not among its runs "
                f"{sorted(set(own['run']))}"
            )
        rows = own[
            (own["split"] == split) & (own["metric"] == metric) & own["run"].isin(model.runs)
        ]
        headline = rows[rows["run"] == model.headline]
        if headline.empty:
            return None
        value, n = float(headline["value"].iloc[0]), int(headline["n"].iloc[0])
        held_out = split != "train" and metric in COUNTED
        others = rows[rows["run"] != model.headline]
        runs = (value, *map(float, others["value"]))
        return cls(value, runs, wilson(value, n) if held_out else None)

    def columns(self) -> dict[str, Any]:
        spread = Spread.of(self.runs)
        low, high = self.interval or (None, None)
        return {
            "headline": self.headline,
            "mean": float(np.mean(self.runs)),
            "n_runs": len(self.runs),
            "sd": spread.sd if spread else None,
            "min": min(self.runs),
            "max": max(self.runs),
            "wilson_low": low,
            "wilson_high": high,
        }

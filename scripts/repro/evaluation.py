"""The metrics of one run as tables."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from repro.comparison import METRIC_COLUMNS
from repro.errors import UserError
from repro.metrics import all_metrics, per_class
from repro.predictions import SPLITS, Predictions
from repro.reported import read_history


@dataclass(frozen=True)
class Run:
    """Names one run: of which model, under which name ("seed-123"), with which seed."""

    model: str
    name: str
    seed: int


def metrics_table(
    predictions: Predictions,
    run: Run,
    loss: str,
    history: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Return the tidy metrics of a run: model, run, seed, split, metric, value, n.

    Args:
        predictions: of all splits; a split without images gives no row.
        run: what the rows are labelled with.
        loss: the loss the model was trained with, as in :func:`repro.metrics.loss`.
        history: a history CSV whose train figures are running averages over the batches of an
            epoch. Its last one becomes the metric ``running_accuracy``, which is what the
            notebook printed for the train set; the accuracy of the finished model is higher.
    """
    rows: list[dict[str, object]] = []

    def add(split: str, metric: str, value: float, n: int) -> None:
        values = (run.model, run.name, run.seed, split, metric, value, n)
        rows.append(dict(zip(METRIC_COLUMNS, values, strict=True)))

    for split in SPLITS:
        own = predictions.of(split)
        if len(own.labels) == 0:
            continue
        for metric, value in all_metrics(own, loss).items():
            add(split, metric, value, len(own.labels))
        if split == "train" and history is not None:
            add(split, "running_accuracy", _last_train_accuracy(history), len(own.labels))
    return pd.DataFrame(rows, columns=METRIC_COLUMNS)


def _last_train_accuracy(path: str | os.PathLike[str]) -> float:
    history = read_history(path)
    train = history[history["split"] == "train"]
    if train.empty:
        raise UserError(f"{path}: has no row of the train set; delete it and run again")
    return float(train.loc[train["epoch"].idxmax(), "accuracy"])


def class_table(
    predictions: Predictions, run: Run, names: str | os.PathLike[str] | None = None
) -> pd.DataFrame:
    """Return precision, recall and F1 of each class on the test set, by ascending label.

    Args:
        predictions: of all splits.
        run: what the rows are labelled with.
        names: a CSV of label and name; without it there is no column ``name``.
    """
    classes = pd.DataFrame([asdict(entry) for entry in per_class(predictions.of("test"))])
    classes.insert(0, "model", run.model)
    classes.insert(1, "run", run.name)
    if names is not None:
        found = read_names(names)
        classes.insert(3, "name", name_all(classes["label"].to_numpy(), found, names))
    return classes


def read_names(path: str | os.PathLike[str]) -> dict[int, str]:
    """Read a CSV of label and name; raise UserError where it is not that."""
    try:
        frame = pd.read_csv(path)
        return dict(zip(frame["label"].astype(int), frame["name"].astype(str), strict=True))
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{path}: expected columns label and name ({error})") from error


def name_all(
    labels: NDArray[np.int64], names: dict[int, str], path: str | os.PathLike[str]
) -> list[str]:
    """Return the name of each label; raise UserError for a label that has none."""
    if nameless := sorted(set(labels.tolist()) - set(names)):
        raise UserError(f"{path}: no name for label {nameless[0]}; add a line for it")
    return [names[label] for label in labels.tolist()]

"""The metrics of one run as tables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from repro.errors import UserError
from repro.evaluation.metrics import (
    all_metrics,
    confident_mistakes,
    confusion,
    per_class,
    predicted,
    probabilities,
    reliability,
)
from repro.evaluation.names import METRIC_COLUMNS, RUNNING_ACCURACY
from repro.evaluation.names_of_classes import name_all, read_names
from repro.history import read_history
from repro.predictions import Predictions
from repro.splits import SPLITS


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
        loss: the loss the model was trained with, as in :func:`repro.evaluation.metrics.loss`.
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
            add(split, RUNNING_ACCURACY, _last_train_accuracy(history), len(own.labels))
    return pd.DataFrame(rows, columns=METRIC_COLUMNS)


def _last_train_accuracy(path: str | os.PathLike[str]) -> float:
    history = read_history(path)
    train = history[history["split"] == "train"]
    if train.empty:
        raise UserError(f"{path}: has no row of the train set; delete it and run again")
    return float(train.loc[train["epoch"].idxmax(), "accuracy"])


def class_table(predictions: Predictions, run: Run, names: Names = None) -> pd.DataFrame:
    """Return precision, recall and F1 of each class on the test set, by ascending label.

    A class without test images has none of the three.
    """
    rows = pd.DataFrame([asdict(entry) for entry in per_class(predictions.of("test"))])
    rows.loc[rows["n"] == 0, ["precision", "recall", "f1"]] = np.nan
    return _labelled(rows, run, names, {"label": "name"})


def confusion_table(predictions: Predictions, run: Run, names: Names = None) -> pd.DataFrame:
    """Return how often each class was taken for each other (or itself) on the test set.

    Columns true, taken_for, count and n, the images of the true class; pairs that do not occur
    are left out.
    """
    labels, matrix = confusion(predictions.of("test"))
    true, taken = np.nonzero(matrix)
    rows = {
        "true": labels[true],
        "taken_for": labels[taken],
        "count": matrix[true, taken],
        "n": matrix.sum(axis=1)[true],
    }
    return _labelled(pd.DataFrame(rows), run, names, _BOTH_NAMES)


def mistake_table(
    predictions: Predictions, run: Run, names: Names = None, images: Names = None
) -> pd.DataFrame:
    """Return the wrongly classified test images, the most confident first.

    Columns id, true, taken_for and confidence (a fraction); with ``images``, also file.
    """
    test = predictions.of("test")
    rows = [asdict(mistake) for mistake in confident_mistakes(test, most=len(test.labels))]
    columns = ["id", "true", "taken_for", "confidence"]
    table = _with_files(pd.DataFrame(rows, columns=columns), images)
    return _labelled(table, run, names, _BOTH_NAMES)


def prediction_table(
    predictions: Predictions, run: Run, names: Names = None, images: Names = None
) -> pd.DataFrame:
    """Return what was predicted of every image, in the order of the predictions.

    Columns id, split, true, predicted and probability (a fraction); with ``images``, also file.
    """
    chosen = predicted(predictions)
    rows = {
        "id": predictions.ids,
        "split": predictions.splits,
        "true": predictions.classes[predictions.labels],
        "predicted": predictions.classes[chosen],
        "probability": probabilities(predictions)[np.arange(len(chosen)), chosen],
    }
    table = _with_files(pd.DataFrame(rows), images)
    return _labelled(table, run, names, {"true": "true_name", "predicted": "predicted_name"})


def _with_files(table: pd.DataFrame, images: Names) -> pd.DataFrame:
    """Put each image's file behind its id, as the user knows it."""
    if images is not None:
        table.insert(1, "file", table["id"].map(file_names(images)))
    return table


def file_names(images: str | os.PathLike[str]) -> dict[int, str]:
    """Read the files of ``images.csv`` by id: of one's own pictures their path in the folder."""
    rows = pd.read_csv(images, dtype=str, keep_default_na=False)
    files = rows["name"] if "name" in rows else rows["file"].map(lambda file: Path(file).name)
    return dict(zip(rows["id"].astype(int), files, strict=True))


def reliability_table(predictions: Predictions, run: Run) -> pd.DataFrame:
    """Return confidence, accuracy (fractions) and count of each bin on the test set."""
    curve = reliability(predictions.of("test"))
    rows = {"confidence": curve.confidence, "accuracy": curve.accuracy, "count": curve.counts}
    return _labelled(pd.DataFrame(rows), run, None, {})


# A CSV of label and name, or of id and file; without it the tables have none.
Names = str | os.PathLike[str] | None
_BOTH_NAMES = {"true": "true_name", "taken_for": "taken_for_name"}


def _labelled(
    table: pd.DataFrame, run: Run, names: Names, columns: Mapping[str, str]
) -> pd.DataFrame:
    """Put model and run in front, and behind each column of labels one of their names."""
    if names is not None:
        found = read_names(names)
        for labels, target in columns.items():
            named = name_all(table[labels].to_numpy(), found, names)
            table.insert(table.columns.get_loc(labels) + 1, target, named)
    table.insert(0, "model", run.model)
    table.insert(1, "run", run.name)
    return table

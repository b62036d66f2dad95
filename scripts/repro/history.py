"""The history of a training: one row an epoch and set, whatever the net is made of."""

from __future__ import annotations

import csv
import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from repro.errors import UserError, unreadable
from repro.splits import SPLITS
from repro.system.files import atomic_path
from repro.system.tables import read_csv

logger = logging.getLogger("repro")

_WAY_OUT = "mend it or, if a run has made it, delete it and run again"


class HistoryRow(NamedTuple):
    """Figures of one epoch on one split; accuracy in 0..1.

    They are taken at the epoch's end; but those of a flower net on the training images are running
    averages over the epoch's batches, taken while the weights change, as in the report's notebook.
    """

    epoch: int
    split: str
    loss: float
    accuracy: float


def write_history(path: Path, history: Sequence[HistoryRow]) -> None:
    """Write a history as CSV (epoch, split, loss, accuracy); figures of an empty set stay empty."""
    with atomic_path(path) as aside, aside.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(HistoryRow._fields)
        for row in history:
            figures = ("" if math.isnan(value) else value for value in (row.loss, row.accuracy))
            writer.writerow([row.epoch, row.split, *figures])


def read_history(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a history or curve CSV.

    Returns:
        Columns epoch (int), split (str), accuracy (fraction) and loss (NaN where not known).

    Raises:
        UserError: where the file is not that.
    """
    try:
        frame = read_csv(path)
    except (OSError, ValueError) as error:
        raise unreadable(path, "a table of epochs (CSV)", _WAY_OUT, error) from error
    if missing := {"epoch", "split", "accuracy"} - set(frame.columns):
        raise UserError(
            f"{path}: its column {sorted(missing)[0]!r} is missing, there are only "
            f"{', '.join(map(str, frame.columns))}; {_WAY_OUT}"
        )
    if strange := set(frame["split"]) - set(SPLITS):
        raise UserError(
            f"{path}: a set is called {sorted(map(str, strange))[0]!r}, expected one of "
            f"{', '.join(SPLITS)}; {_WAY_OUT}"
        )
    if "loss" not in frame.columns:
        frame["loss"] = float("nan")
    return frame


def log_history(name: str, history: Sequence[HistoryRow]) -> None:
    """Log one line per epoch."""
    epochs: dict[int, list[str]] = {}
    for row in history:
        epochs.setdefault(row.epoch, []).append(
            f"{row.split} loss {row.loss:.4f} accuracy {row.accuracy:.4f}"
        )
    for epoch, figures in epochs.items():
        logger.info("%s epoch %d: %s", name, epoch, ", ".join(figures))

"""The names of classes, by their labels."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from repro.errors import UserError, unreadable


def read_names(path: str | os.PathLike[str]) -> dict[int, str]:
    """Read a CSV of label and name; raise UserError where it is not that."""
    try:
        frame = pd.read_csv(path, keep_default_na=False, dtype={"name": str})
        return dict(zip(frame["label"].astype(int), frame["name"].astype(str), strict=True))
    except (OSError, KeyError, ValueError) as error:
        way_out = "give it the columns label (a number) and name, a line for each label"
        raise unreadable(path, "a table of names", way_out, error) from error


def name_all(
    labels: NDArray[np.int64], names: dict[int, str], path: str | os.PathLike[str]
) -> list[str]:
    """Return the name of each label; raise UserError for a label that has none."""
    if nameless := sorted(set(labels.tolist()) - set(names)):
        raise UserError(f"{path}: no name for label {nameless[0]}; add a line for it")
    return [names[label] for label in labels.tolist()]


def names_for(labels: NDArray[np.int64], path: str | os.PathLike[str] | None) -> list[str] | None:
    """Return the name of each label out of a file; None where there is no file."""
    return name_all(labels, read_names(path), path) if path else None

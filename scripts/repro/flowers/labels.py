"""Labels and the official split, out of the data set's MATLAB files; labels of one's own as CSV."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.io import loadmat

from repro.errors import UserError, unreadable
from repro.flowers.csv_files import read_table
from repro.splits import SPLITS

# 102 in Oxford-102, 21,841 in all of ImageNet; a head has an output for each.
MAX_LABEL = 100_000
MAX_IMAGE = 2_000_000
_ANEW = "delete it and run again to fetch it, or name the right file under downloads"


def read_labels(path: str | os.PathLike[str]) -> NDArray[np.int64]:
    """Read ``imagelabels.mat``, or a CSV: the label of image i stands at index i − 1.

    A CSV has the column ``label``, and its lines are in the order of the images' numbers.

    Returns:
        Labels, 1-based, int64, shape (n,).

    Raises:
        UserError: not a MATLAB file or a CSV, it holds no variable or column, or a label is none
            of 1..MAX_LABEL.
    """
    if Path(path).suffix == ".csv":
        return _read_csv(path)
    return _read_mat(path, "labels", MAX_LABEL)


def _read_csv(path: str | os.PathLike[str]) -> NDArray[np.int64]:
    table = read_table(Path(path))
    if "label" not in table.columns:
        raise UserError(
            f"{path}: has no column 'label', only {', '.join(table.columns) or 'an empty line'}; "
            "give it that column, a line an image, in the order of the images' numbers"
        )
    labels = pd.to_numeric(pd.Series([row["label"] for _, row in table.rows]), errors="coerce")
    if unread := np.flatnonzero(labels.isna()).tolist():
        line, row = table.rows[unread[0]]
        raise UserError(
            f"{path}: line {line}: {row['label']!r} is no label, which is a whole number from 1; "
            "number the classes, and name them in the table under flowers.names"
        )
    return _whole(labels.to_numpy(np.float64), path, "label", MAX_LABEL)


def read_official_split(path: str | os.PathLike[str]) -> dict[str, NDArray[np.int64]]:
    """Read ``setid.mat``: the image ids of the data set's own three sets.

    Raises:
        UserError: not a MATLAB file, it lacks a set, or an image is in it twice.
    """
    names = dict(zip(SPLITS, ("trnid", "valid", "tstid"), strict=True))
    sets = {split: _read_mat(path, name, MAX_IMAGE) for split, name in names.items()}
    ids, counts = np.unique(np.concatenate(list(sets.values())), return_counts=True)
    if twice := ids[counts > 1].tolist():
        raise UserError(
            f"{path}: image {twice[0]} stands in it more than once, but each belongs to one set; "
            f"{_ANEW}"
        )
    return sets


def _read_mat(path: str | os.PathLike[str], variable: str, most: int) -> NDArray[np.int64]:
    """Return a variable that holds whole numbers from 1 to ``most``.

    SciPy can end the process by a signal on a damaged file: its hash is proved before.
    """
    try:
        values = loadmat(path, variable_names=[variable])[variable].ravel().astype(float)
    except KeyError:
        raise UserError(f"{path}: holds no {variable!r}, so it is another file; {_ANEW}") from None
    except Exception as error:  # SciPy raises errors of many kinds on what is not its format
        kind = f"a MATLAB file of the version 5 to 7 with numbers in {variable!r}"
        raise unreadable(path, kind, _ANEW, error) from error
    return _whole(values, path, variable, most)


def _whole(
    values: NDArray[np.float64], path: str | os.PathLike[str], variable: str, most: int
) -> NDArray[np.int64]:
    """Return values as whole numbers from 1 to ``most``; raise UserError where they are none."""
    if not len(values):
        raise UserError(f"{path}: {variable!r} is empty; {_ANEW}")
    # Written so that NaN is strange too.
    strange = np.flatnonzero(~((values >= 1) & (values <= most) & (values == np.floor(values))))
    if len(strange):
        raise UserError(
            f"{path}: {variable!r} is {values[strange[0]]:g} at place {strange[0] + 1}, expected "
            f"whole numbers from 1 to {most}; mend it, or {_ANEW}"
        )
    labels: NDArray[np.int64] = values.astype(np.int64)
    return labels

"""The report's split of MNIST; apart from reading it, which needs no scikit-learn and is quick."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from repro.splits import SPLITS


def split_ids(labels: NDArray[Any], *, test: int, validation: int, seed: int) -> pd.DataFrame:
    """Draw the report's split: first the test set, then the validation set from what remains.

    Both draws are stratified by label and start from the same seed, as in chapter 11 of Raschka's
    "Machine Learning with PyTorch and Scikit-Learn".

    Args:
        labels: all labels, shape (n,).
        test: number of test images.
        validation: number of validation images.
        seed: ``random_state`` of both draws.

    Returns:
        Columns id, label, split; the order of rows is the order of samples and part of the split.
    """
    ids = np.arange(len(labels))
    rest, test_ids = train_test_split(ids, test_size=test, random_state=seed, stratify=labels)
    train_ids, validation_ids = train_test_split(
        rest, test_size=validation, random_state=seed, stratify=labels[rest]
    )
    parts = dict(zip(SPLITS, (train_ids, validation_ids, test_ids), strict=True))
    return pd.concat(
        pd.DataFrame({"id": part, "label": labels[part], "split": name})
        for name, part in parts.items()
    )

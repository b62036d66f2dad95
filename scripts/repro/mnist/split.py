"""The split of MNIST; apart from reading it, which needs no scikit-learn and is quick."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from repro.errors import UserError
from repro.splits import SPLITS


def split_ids(
    labels: NDArray[Any],
    *,
    test: int,
    validation: int,
    seed: int,
    kind: str = "stratified",
    official_test: int | None = None,
) -> pd.DataFrame:
    """Draw the report's split: first the test set, then the validation set from what remains.

    Both draws are stratified by label and start from the same seed, as in chapter 11 of Raschka's
    "Machine Learning with PyTorch and Scikit-Learn". Of the official split the test set is not
    drawn: it is what MNIST has in files of its own, the last of all images.

    Args:
        labels: all labels, shape (n,).
        test: number of test images.
        validation: number of validation images.
        seed: ``random_state`` of each draw.
        kind: "stratified" (both are drawn) or "official".
        official_test: number of images in the official test set.

    Returns:
        Columns id, label, split; the order of rows is the order of samples and part of the split.

    Raises:
        UserError: ``test`` is not the size of the official test set, and the split is official.
    """
    ids = np.arange(len(labels))
    if kind == "official":
        if test != official_test:
            raise UserError(
                f"mnist.split.test: {test} is not the size of the official test set; must be "
                f"{official_test}"
            )
        rest, test_ids = ids[:-test], ids[-test:]
    else:
        rest, test_ids = train_test_split(ids, test_size=test, random_state=seed, stratify=labels)
    train_ids, validation_ids = train_test_split(
        rest, test_size=validation, random_state=seed, stratify=labels[rest]
    )
    parts = dict(zip(SPLITS, (train_ids, validation_ids, test_ids), strict=True))
    return pd.concat(
        pd.DataFrame({"id": part, "label": labels[part], "split": name})
        for name, part in parts.items()
    )

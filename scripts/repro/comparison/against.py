"""Two nets on the same test images: how far apart they are, and on which images they differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from repro.comparison.claims import mcnemar
from repro.evaluation.metrics import predicted, probabilities
from repro.predictions import Predictions

COLUMNS = [
    "model",
    "title",
    "against",
    "against_title",
    "n",  # test images that both have
    "accuracy",  # of the model, a fraction of these
    "against_accuracy",
    "difference_pp",  # model minus the other, in percentage points
    "low_pp",  # of its 95 % interval
    "high_pp",
    "only_model",  # images that it alone gets right
    "only_against",
    "p",  # McNemar's, exact and two-sided
]
IMAGE_COLUMNS = ["model", "against", "right", "id", "true", "taken_for", "confidence"]


def paired_interval(only_first: int, only_second: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two accuracies on the same ``n`` images.

    That of Bonett and Price (Journal of Educational and Behavioral Statistics 37, 2012): Wald's,
    after one image more of either kind. Only images that one of the two gets right carry it.

    Args:
        only_first: images that the first alone gets right.
        only_second: images that the second alone gets right.
        n: all images.
    """
    first, second = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
    difference = first - second
    half = norm.ppf(0.975) * np.sqrt((first + second - difference**2) / (n + 2))
    return float(difference - half), float(difference + half)


def row(names: dict[str, str], first: Predictions, second: Predictions) -> dict[str, Any]:
    """Return a row of :data:`COLUMNS`.

    Args:
        names: model, title, against and against_title.
        first: predictions of the model.
        second: predictions of the one it is set against.

    Raises:
        NotEnoughError: the test sets share no image.
    """
    found = mcnemar(first, second)
    low, high = paired_interval(found.only_first, found.only_second, found.shared)
    both = _both(first, second)
    return {
        **names,
        "n": found.shared,
        "accuracy": float(both["right_first"].mean()),
        "against_accuracy": float(both["right_second"].mean()),
        "difference_pp": 100 * (found.only_first - found.only_second) / found.shared,
        "low_pp": 100 * low,
        "high_pp": 100 * high,
        "only_model": found.only_first,
        "only_against": found.only_second,
        "p": found.p,
    }


def images(model: str, against: str, first: Predictions, second: Predictions) -> pd.DataFrame:
    """Return the test images that only one of two nets gets right: :data:`IMAGE_COLUMNS`.

    ``right`` is the net that does, ``taken_for`` what the other one takes the image for, with its
    confidence, a fraction. Those that the model gets right come first, and of each kind those the
    other one is the surest of.
    """
    both = _both(first, second)
    parts = []
    for right, of_right, of_wrong in ((model, "first", "second"), (against, "second", "first")):
        only = both[both[f"right_{of_right}"] & ~both[f"right_{of_wrong}"]].reset_index()
        part = pd.DataFrame(
            {
                "right": right,
                "id": only["id"],
                "true": only["true_first"],
                "taken_for": only[f"taken_for_{of_wrong}"],
                "confidence": only[f"confidence_{of_wrong}"],
            }
        )
        # Rounded, so that equal confidences are ordered by id and not by how they were summed up.
        order = np.lexsort((part["id"], -part["confidence"].round(12)))
        parts.append(part.iloc[order])
    table = pd.concat(parts, ignore_index=True)
    return table.assign(model=model, against=against)[IMAGE_COLUMNS]


def _both(first: Predictions, second: Predictions) -> pd.DataFrame:
    """Return what both nets make of each test image they share, by its id."""
    tables = [
        _test(part).add_suffix(f"_{name}") for name, part in (("first", first), ("second", second))
    ]
    return pd.concat(tables, axis=1, join="inner")


def _test(predictions: Predictions) -> pd.DataFrame:
    test = predictions.of("test")
    taken = predicted(test)
    return pd.DataFrame(
        {
            "right": taken == test.labels,
            "true": test.classes[test.labels],
            "taken_for": test.classes[taken],
            "confidence": probabilities(test).max(axis=1),
        },
        index=pd.Index(test.ids, name="id"),
    )

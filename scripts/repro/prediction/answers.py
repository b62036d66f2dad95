"""What a trained net says of pictures it has not seen: a probability for each of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from repro.evaluation.metrics import probabilities
from repro.predictions import Predictions

_PLACES = ("", "second", "third")


@dataclass(frozen=True)
class Answers:
    """What a net says.

    Attributes:
        files: the pictures that could be read, by their path in the folder asked about.
        shown: each as the net saw it, uint8, (height, width) or (height, width, 3).
        scores: the net's outputs, shape (n, k).
        kind: what the scores are, as in :class:`repro.predictions.Predictions`.
        names: of the k classes.
        damaged: what is wrong with each picture that could not be read, by its path.
    """

    files: Sequence[str]
    shown: Sequence[NDArray[np.uint8]]
    scores: NDArray[np.floating]
    kind: str
    names: Sequence[str]
    damaged: dict[str, str]

    def table(self) -> pd.DataFrame:
        """Return a line a picture: file, class, probability, second, second_probability, ..."""
        n, k = self.scores.shape
        nothing = np.zeros(n, np.int64)
        everything = Predictions(
            np.arange(n), nothing, np.full(n, "test"), self.scores, self.kind, np.arange(k)
        )
        shares = probabilities(everything)
        order = np.argsort(-self.scores, axis=1, kind="stable")
        columns: dict[str, object] = {"file": list(self.files)}
        for place, word in zip(range(min(k, len(_PLACES))), _PLACES, strict=False):
            chosen = order[:, place]
            columns[word or "class"] = [self.names[index] for index in chosen]
            columns[f"{word}_probability".lstrip("_")] = shares[np.arange(n), chosen]
        return pd.DataFrame(columns)

"""What every model leaves behind, whatever it is made of: one score per image and class."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.errors import unreadable
from repro.splits import SPLITS
from repro.system.files import write_npz

SCORE_KINDS = ("sigmoid", "linear", "log_softmax")


@dataclass(frozen=True)
class Predictions:
    """Scores of one trained model on every image of its data set.

    Attributes:
        ids: image ids, int64, shape (n,), unique.
        labels: true class indices in ``range(k)``, int64, shape (n,).
        splits: "train", "validation" or "test" for each image, shape (n,).
        scores: the model's outputs, float, shape (n, k).
        kind: what the scores are: "sigmoid" (each in 0..1, rows do not sum to 1), "linear"
            (logits) or "log_softmax" (log-probabilities).
        classes: the label each class index stands for, shape (k,), e.g. 1..102 for flowers.
    """

    ids: NDArray[Any]
    labels: NDArray[Any]
    splits: NDArray[Any]
    scores: NDArray[Any]
    kind: str
    classes: NDArray[Any]

    def __post_init__(self) -> None:
        n, k = self.scores.shape
        for name in ("ids", "labels", "splits"):
            if getattr(self, name).shape != (n,):
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, expected ({n},)")
        if self.classes.shape != (k,):
            raise ValueError(f"classes has shape {self.classes.shape}, expected ({k},)")
        if self.kind not in SCORE_KINDS:
            raise ValueError(f"kind is {self.kind!r}, expected one of {SCORE_KINDS}")
        if n and (self.labels.min() < 0 or self.labels.max() >= k):
            raise ValueError(f"labels reach beyond 0..{k - 1}")
        if not np.isfinite(self.scores).all():
            raise ValueError("scores hold NaN or infinity")
        if strange := set(np.unique(self.splits)) - set(SPLITS):
            raise ValueError(f"unknown splits {sorted(strange)}, expected {SPLITS}")

    def of(self, split: str) -> Predictions:
        """Return the predictions of one split, in their stored order."""
        rows = self.splits == split
        return Predictions(
            self.ids[rows],
            self.labels[rows],
            self.splits[rows],
            self.scores[rows],
            self.kind,
            self.classes,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to ``path`` (.npz), whole or not at all."""
        write_npz(
            path,
            ids=self.ids.astype(np.int64),
            labels=self.labels.astype(np.int64),
            splits=np.asarray(self.splits, dtype="U10"),
            scores=self.scores,
            kind=np.array(self.kind),
            classes=self.classes,
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Predictions:
        """Read what :meth:`save` wrote; raise UserError where the file is not that."""
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(
                    file["ids"],
                    file["labels"],
                    file["splits"],
                    file["scores"],
                    str(file["kind"]),
                    file["classes"],
                )
        except Exception as error:  # a damaged zip file raises errors of many kinds
            raise unreadable(
                path, "a predictions file", "delete it and run again", error
            ) from error

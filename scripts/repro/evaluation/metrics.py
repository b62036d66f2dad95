"""Metrics from predictions alone, by name, from scikit-learn where it has them.

Every function takes the :class:`~repro.predictions.Predictions` of one split. The names that
:func:`all_metrics` gives are the names used everywhere else: in ``metrics.csv``, in
``resources/reported.yaml`` and in the comparison.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
    top_k_accuracy_score,
)

from repro.predictions import Predictions

LOSSES = ("mse", "cross_entropy", "nll")
ECE_BINS = 15  # as Guo et al. 2017, "On Calibration of Modern Neural Networks"

Floats = NDArray[np.float64]


def predicted(predictions: Predictions) -> NDArray[np.int64]:
    """Return the class index with the highest score for each image, int64, shape (n,)."""
    return np.asarray(predictions.scores.argmax(axis=1), dtype=np.int64)


def probabilities(predictions: Predictions) -> Floats:
    """Return a probability for each class, float64, shape (n, k), rows sum to one.

    Sigmoid outputs each estimate the probability of one class; they are divided by their sum.
    Logits and log-probabilities go through softmax.
    """
    scores = predictions.scores.astype(np.float64)
    if predictions.kind == "sigmoid":
        return _sum_normalised(scores)
    return np.asarray(softmax(scores, axis=1))


def _sum_normalised(scores: Floats) -> Floats:
    total = scores.sum(axis=1, keepdims=True)
    # A row of zeros says nothing about any class: every class is as likely.
    uniform = np.full_like(scores, 1 / scores.shape[1])
    np.divide(scores, total, out=uniform, where=total > 0)
    return uniform


def accuracy(predictions: Predictions) -> float:
    """Return the top-1 accuracy, a fraction."""
    return float(accuracy_score(predictions.labels, predicted(predictions)))


def error(predictions: Predictions) -> float:
    """Return the error rate, the fraction of images whose top-1 answer is wrong."""
    return float(np.mean(predicted(predictions) != predictions.labels))


def top_k_accuracy(predictions: Predictions, k: int = 5) -> float:
    """Return the fraction of images whose true class is among the ``k`` highest scores."""
    classes = np.arange(len(predictions.classes))
    if k >= len(classes):
        return 1.0
    return float(top_k_accuracy_score(predictions.labels, predictions.scores, k=k, labels=classes))


def loss(predictions: Predictions, name: str) -> float:
    """Return the mean loss in the training loss's own unit.

    Args:
        predictions: of one split.
        name: "mse" (squared error of scores and one-hot targets, mean over images and classes),
            "cross_entropy" (scores are logits; nats per image) or "nll" (scores are
            log-probabilities; nats per image).

    Raises:
        ValueError: for another name.
    """
    scores = predictions.scores.astype(np.float64)
    if name == "mse":
        targets = np.eye(scores.shape[1])[predictions.labels]
        return float(np.square(scores - targets).mean())
    if name == "cross_entropy":
        scores = log_softmax(scores, axis=1)
    elif name != "nll":
        raise ValueError(f"loss is {name!r}, expected one of {LOSSES}")
    return float(-scores[np.arange(len(scores)), predictions.labels].mean())


def macro_auc(predictions: Predictions) -> dict[str, float]:
    """Return the macro-averaged areas under the ROC curve, by the name of the variant.

    - ``auc_ovr_raw``: one class against the rest, on the scores as they are;
    - ``auc_ovr_sum``: the same on scores divided by their sum per image (sigmoid outputs only);
    - ``auc_ovr_softmax``: the same on softmax of the scores; the variant that fits the report;
    - ``auc_ovo_softmax``: every pair of classes, on softmax of the scores (Hand and Till 2001).

    The mean is taken over the classes that occur; with fewer than two it is undefined and the
    result is empty.
    """
    present = np.unique(predictions.labels)
    if len(present) < 2:
        return {}
    scores = predictions.scores.astype(np.float64)
    soft = np.asarray(softmax(scores, axis=1))
    variants = {"auc_ovr_raw": scores}
    if predictions.kind == "sigmoid":
        variants["auc_ovr_sum"] = _sum_normalised(scores)
    variants["auc_ovr_softmax"] = soft
    values = {name: _ovr(predictions.labels, some, present) for name, some in variants.items()}
    return values | {"auc_ovo_softmax": _ovo(predictions.labels, soft, present)}


def _ovr(labels: NDArray[np.int64], scores: Floats, present: NDArray[np.int64]) -> float:
    # As an indicator matrix, because scikit-learn's multiclass road refuses rows that do not
    # sum to one. The value is the same.
    truth = labels[:, None] == present
    if len(present) == 2:
        return float(np.mean([roc_auc_score(truth[:, i], scores[:, present[i]]) for i in (0, 1)]))
    return float(roc_auc_score(truth, scores[:, present], average="macro"))


def _ovo(labels: NDArray[np.int64], scores: Floats, present: NDArray[np.int64]) -> float:
    """Return scikit-learn's ``roc_auc_score(multi_class="ovo", average="macro")``.

    Its loop over 5,151 pairs takes 6 s for 2,048 flowers; counting by rank, one class at a time,
    takes milliseconds. The tests hold the two against each other.
    """
    counts = np.bincount(labels, minlength=scores.shape[1])
    total = 0.0
    for own in present:
        column = scores[:, own]
        ours = np.sort(column[labels == own])
        not_above = np.searchsorted(ours, column, side="right")
        below = np.searchsorted(ours, column, side="left")
        # For each image: how many images of class `own` score higher, ties counted half.
        wins = len(ours) - (not_above + below) / 2
        per_class = np.bincount(labels, weights=wins, minlength=scores.shape[1])
        others = present[present != own]
        total += float((per_class[others] / counts[others]).sum() / len(ours))
    return total / (len(present) * (len(present) - 1))


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy, in bins of equal width; empty bins are left out.

    Attributes:
        confidence: mean probability of the predicted class, shape (bins,).
        accuracy: fraction predicted right, shape (bins,).
        counts: images in the bin, shape (bins,).
        ece: expected calibration error, a fraction.
    """

    confidence: Floats
    accuracy: Floats
    counts: NDArray[np.int64]
    ece: float


def reliability(predictions: Predictions, bins: int = ECE_BINS) -> Reliability:
    """Return the reliability curve and the expected calibration error (Guo et al. 2017)."""
    top = probabilities(predictions).max(axis=1)
    right = predicted(predictions) == predictions.labels
    accuracies, confidences = calibration_curve(right, top, n_bins=bins, strategy="uniform")
    # The same bins as calibration_curve: an edge belongs to the bin below it.
    edges = np.linspace(0, 1, bins + 1)
    counts = np.bincount(np.searchsorted(edges[1:-1], top))
    counts = counts[counts > 0]
    ece = float((counts / counts.sum() * np.abs(accuracies - confidences)).sum())
    return Reliability(confidences, accuracies, counts, ece)


def all_metrics(predictions: Predictions, loss_name: str) -> dict[str, float]:
    """Return every metric of one split by name, in a fixed order."""
    macro = precision_recall_fscore_support(
        predictions.labels, predicted(predictions), average="macro", zero_division=0
    )
    return {
        "accuracy": accuracy(predictions),
        "error": error(predictions),
        "top5_accuracy": top_k_accuracy(predictions),
        "loss": loss(predictions, loss_name),
        **macro_auc(predictions),
        "macro_precision": float(macro[0]),
        "macro_recall": float(macro[1]),
        "macro_f1": float(macro[2]),
        "ece": reliability(predictions).ece,
    }


@dataclass(frozen=True)
class ClassMetrics:
    """How one class fares: its label, precision, recall and F1 as fractions, n images."""

    label: int
    precision: float
    recall: float
    f1: float
    n: int


def per_class(predictions: Predictions) -> list[ClassMetrics]:
    """Return one entry per class in ascending order of label, whatever the order of indices."""
    indices = np.arange(len(predictions.classes))
    columns = precision_recall_fscore_support(
        predictions.labels, predicted(predictions), labels=indices, zero_division=0
    )
    entries = [
        ClassMetrics(int(label), float(precision), float(recall), float(f1), int(n))
        for label, precision, recall, f1, n in zip(predictions.classes, *columns, strict=True)
    ]
    return sorted(entries, key=lambda entry: entry.label)


def confusion(predictions: Predictions) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (labels ascending, shape (k,); counts, shape (k, k), true class by row)."""
    order = np.argsort(predictions.classes, kind="stable")
    matrix = confusion_matrix(predictions.labels, predicted(predictions), labels=order)
    return np.asarray(predictions.classes)[order].astype(np.int64), np.asarray(matrix)


@dataclass(frozen=True)
class Mistake:
    """An image taken for another class: its id, labels and the confidence in the wrong one."""

    id: int
    true: int
    taken_for: int
    confidence: float


def confident_mistakes(predictions: Predictions, most: int) -> list[Mistake]:
    """Return up to ``most`` wrongly classified images, the most confident first."""
    chosen = predicted(predictions)
    confidences = probabilities(predictions).max(axis=1)
    wrong = np.flatnonzero(chosen != predictions.labels)
    # Rounded, so that equal confidences are ordered by id and not by how they were summed up.
    order = wrong[np.lexsort((predictions.ids[wrong], -confidences[wrong].round(12)))][:most]
    classes = predictions.classes
    return [
        Mistake(
            int(predictions.ids[i]),
            int(classes[predictions.labels[i]]),
            int(classes[chosen[i]]),
            float(confidences[i]),
        )
        for i in order
    ]

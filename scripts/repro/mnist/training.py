"""Train a net on MNIST epoch by epoch, whatever computes it: history, checkpoints, predictions."""

from __future__ import annotations

import hashlib
import logging
import math
import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from repro.errors import UserError
from repro.history import HistoryRow
from repro.mnist.checkpoint import load_checkpoint, save_checkpoint
from repro.mnist.images import CLASSES, ImageSet, MnistSplits
from repro.mnist.recipe import MlpRecipe
from repro.predictions import Predictions
from repro.splits import SPLITS

logger = logging.getLogger("repro")

SCALED_AT_ONCE = 5000  # images; keeps a passing copy within some 30 MB


class Trainer(Protocol):
    """A training that goes on epoch by epoch and can be put down and taken up again.

    Attributes:
        framework: "numpy" or "torch".
        recipe: how the net is made and trained.
    """

    framework: str
    recipe: MlpRecipe

    def __init__(self, data: MnistSplits, recipe: MlpRecipe, seed: int) -> None:
        """Make the net before its first step; the test images are not looked at."""

    def train_epoch(self) -> None:
        """Pass over the training images once; raise DivergedError if the loss is no number."""

    def evaluate(self, split: str) -> tuple[float, float]:
        """Return loss and accuracy (0 to 1) on "train" or "validation"."""

    def state(self) -> dict[str, NDArray[Any]]:
        """Return everything the coming epochs depend on, as named arrays."""

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go back to where :meth:`state` was taken."""

    def scores(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        """Return the net's outputs, float (n, 10), for grey values (n, pixels)."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the net to ``path``, whole or not at all."""


class DivergedError(Exception):
    """The loss is no longer a finite number.

    Attributes:
        step: number of the step in its epoch, from 1.
        loss: what the loss became.
    """

    def __init__(self, step: int, loss: float) -> None:
        """Remember where it happened."""
        super().__init__(f"loss {loss} at step {step}")
        self.step = step
        self.loss = loss


AnyTrainer = TypeVar("AnyTrainer", bound=Trainer)


def train(
    kind: type[AnyTrainer],
    data: MnistSplits,
    recipe: MlpRecipe,
    seed: int,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> tuple[AnyTrainer, list[HistoryRow]]:
    """Train for all epochs of ``recipe``, going on from ``checkpoint`` where there is one.

    Args:
        kind: what trains.
        data: images and labels; the test images do not matter.
        recipe: how.
        seed: starts all random draws.
        checkpoint: file that is replaced after each epoch, and left for the caller to remove. One
            of another recipe, seed, framework or data set is refused.
        progress: show a progress bar where standard error is a terminal.

    Returns:
        What has trained, and the history of "train" and "validation", both taken at the end of
        each epoch.

    Raises:
        UserError: the data has the wrong shape, the loss became NaN or infinite, or the checkpoint
            cannot be used.
    """
    _check_shapes(data)
    trainer = kind(data, recipe, seed)
    configuration = _configuration(trainer.framework, data, recipe, seed)
    figures = _resume(trainer, configuration, checkpoint)
    bar = tqdm(
        total=recipe.epochs, initial=len(figures), unit="epoch", disable=None if progress else True
    )
    # The bar's own way to log, where there is one; it knows no levels.
    with bar, nullcontext() if bar.disable else logging_redirect_tqdm():
        for epoch in range(len(figures) + 1, recipe.epochs + 1):
            try:
                trainer.train_epoch()
            except DivergedError as stop:
                where = f"in epoch {epoch}, step {stop.step}"
                raise UserError(_diverged(stop.loss, where, recipe)) from stop
            on_train, on_validation = trainer.evaluate("train"), trainer.evaluate("validation")
            # The last step's own loss is from before it.
            if not math.isfinite(on_train[0] + on_validation[0]):
                raise UserError(_diverged(on_train[0], f"at the end of epoch {epoch}", recipe))
            figures.append([*on_train, *on_validation])
            if checkpoint is not None:
                state = {**trainer.state(), "history": np.array(figures)}
                save_checkpoint(checkpoint, configuration, state)
            logger.info(
                "epoch %d of %d: train loss %.5f accuracy %.2f %%, validation %.5f, %.2f %%",
                epoch,
                recipe.epochs,
                *(on_train[0], 100 * on_train[1], on_validation[0], 100 * on_validation[1]),
            )
            bar.update()
    return trainer, [
        HistoryRow(epoch, split, loss, accuracy)
        for epoch, values in enumerate(figures, start=1)
        for split, (loss, accuracy) in (("train", values[:2]), ("validation", values[2:]))
    ]


def _diverged(loss: float, where: str, recipe: MlpRecipe) -> str:
    return (
        f"the loss became {loss} {where}: training diverged; lower this net's "
        f"learning_rate in the configuration (now {recipe.learning_rate})"
    )


def _resume(
    trainer: Trainer, configuration: Mapping[str, Any], checkpoint: str | os.PathLike[str] | None
) -> list[list[float]]:
    state = None if checkpoint is None else load_checkpoint(checkpoint, configuration)
    if state is None:
        return []
    figures: list[list[float]] = state.pop("history").tolist()
    trainer.restore(state)
    logger.info("going on after epoch %d, from %s", len(figures), checkpoint)
    return figures


def _check_shapes(data: MnistSplits) -> None:
    width = data.train.pixels.shape[-1]
    for name in SPLITS:
        part: ImageSet = getattr(data, name)
        n = len(part.labels)
        if n == 0 or part.pixels.shape != (n, width) or part.labels.shape != (n,):
            raise UserError(
                f"{name} images: expected shape (n, {width}) and n labels, n at least 1; "
                f"found {part.pixels.shape} and {part.labels.shape}"
            )


def _configuration(
    framework: str, data: MnistSplits, recipe: MlpRecipe, seed: int
) -> dict[str, Any]:
    """Return all that decides the outcome of a training, to bind a checkpoint to."""
    digest = hashlib.sha256()
    for part in (data.train, data.validation):
        digest.update(np.ascontiguousarray(part.pixels).data)
        digest.update(np.ascontiguousarray(part.labels).data)
    return {"kind": framework, "seed": seed, "data_sha256": digest.hexdigest(), **asdict(recipe)}


def predict(trainer: Trainer, data: MnistSplits) -> Predictions:
    """Return the predictions of a trained net on all splits of ``data``."""
    parts = [(name, getattr(data, name)) for name in SPLITS]
    return Predictions(
        ids=np.concatenate([part.ids for _, part in parts]),
        labels=np.concatenate([part.labels for _, part in parts]),
        splits=np.concatenate([np.full(len(part.ids), name) for name, part in parts]),
        scores=np.concatenate(
            [
                trainer.scores(part.pixels[start : start + SCALED_AT_ONCE])
                for _, part in parts
                for start in range(0, len(part.pixels), SCALED_AT_ONCE)
            ]
        ),
        kind=trainer.recipe.output,
        classes=np.arange(CLASSES),
    )

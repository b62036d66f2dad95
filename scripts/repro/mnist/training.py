"""Train the from-scratch net as the report did, epoch by epoch.

The report's net is the multilayer perceptron of chapter 11 of Raschka, Liu and Mirjalili,
"Machine Learning with PyTorch and Scikit-Learn" (2022). Its figures come out to the digit only if
each of the following is as there; each has its one place:

- the scaling of pixels to −1..1: :func:`repro.mnist.images.scale_pixels`;
- the initial weights and the order in which they are drawn: :func:`initial_net`;
- a last batch that is not full is left out: :func:`full_batches`;
- an evaluation draws a shuffle that changes nothing but the random stream:
  :meth:`NumpyTrainer.evaluate`.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from repro.errors import UserError
from repro.history import HistoryRow
from repro.mnist.checkpoint import load_checkpoint, save_checkpoint
from repro.mnist.images import CLASSES, ImageSet, MnistSplits, scale_pixels
from repro.mnist.net import Mlp, aligned_empty, check_kinds, one_hot
from repro.predictions import Predictions
from repro.splits import SPLITS

logger = logging.getLogger("repro")

DTYPES = ("float64", "float32")
_SCALED_AT_ONCE = 5000  # images; keeps a passing copy within some 30 MB


@dataclass(frozen=True, kw_only=True)
class MlpRecipe:
    """How a fully connected net is made and trained; the same for the NumPy and the PyTorch net.

    Attributes:
        hidden: units of each hidden layer, from input to output; empty for none.
        learning_rate: of plain stochastic gradient descent, without momentum.
        batch_size: images a step; more than there are means all of them.
        epochs: passes over the training images.
        activation: of the hidden layers: "sigmoid", "relu" or "tanh".
        output: of the last layer: "sigmoid" or "linear".
        loss: "mse" or "cross_entropy" (of softmax of the outputs). The NumPy net sums "mse" over
            the classes, PyTorch averages it; both average over the batch.
        dtype: "float64" or "float32".
        initial_std: weights are drawn from normal(0, initial_std) and biases are zero. The NumPy
            net needs it; None is for PyTorch's default, uniform within ±1/√(inputs of the layer).
    """

    hidden: tuple[int, ...]
    learning_rate: float
    batch_size: int
    epochs: int
    activation: str = "sigmoid"
    output: str = "sigmoid"
    loss: str = "mse"
    dtype: str = "float64"
    initial_std: float | None = None

    def __post_init__(self) -> None:
        """Raise UserError, naming the field, for a value that cannot be trained with."""
        if not all(_is_count(units) for units in self.hidden):
            raise UserError(f"hidden: expected whole numbers of at least 1; found {self.hidden}")
        for name in ("batch_size", "epochs"):
            if not _is_count(getattr(self, name)):
                raise UserError(
                    f"{name}: expected a whole number of at least 1; found {getattr(self, name)!r}"
                )
        _check_positive("learning_rate", self.learning_rate)
        if self.initial_std is not None:
            _check_positive("initial_std", self.initial_std)
        if self.dtype not in DTYPES:
            raise UserError(f"dtype: expected one of {', '.join(DTYPES)}; found {self.dtype!r}")
        check_kinds(self.activation, self.output, self.loss)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> MlpRecipe:
        """Make a recipe of a configuration's mapping.

        Raises:
            UserError: a field is missing, not known, or has a value that cannot be used.
        """
        known = {field.name: field for field in fields(cls)}
        if strange := sorted(values.keys() - known.keys()):
            raise UserError(
                f"recipe: unknown {', '.join(strange)}; expected some of {', '.join(known)}"
            )
        needed = {name for name, field in known.items() if field.default is MISSING}
        if missing := sorted(needed - values.keys()):
            raise UserError(f"recipe: {', '.join(missing)} missing; add it to the configuration")
        if not isinstance(values["hidden"], Sequence) or isinstance(values["hidden"], str):
            raise UserError(f"hidden: expected a list of numbers; found {values['hidden']!r}")
        return cls(**{**values, "hidden": tuple(values["hidden"])})


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _check_positive(name: str, value: object) -> None:
    # Written so that NaN, which is above nothing, is refused.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise UserError(f"{name}: expected a number above 0; found {value!r}")


# --- any trainer: the loop over epochs, its history and its checkpoints ---------------------------


class Trainer(Protocol):
    """A training that goes on epoch by epoch and can be put down and taken up again."""

    def train_epoch(self) -> None:
        """Pass over the training images once; raise DivergedError if the loss is no number."""

    def evaluate(self, split: str) -> tuple[float, float]:
        """Return loss and accuracy (0 to 1) on "train", "validation" or "test"."""

    def state(self) -> dict[str, NDArray[Any]]:
        """Return everything the coming epochs depend on, as named arrays."""

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go back to where :meth:`state` was taken."""


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


def run_epochs(
    trainer: Trainer,
    recipe: MlpRecipe,
    configuration: Mapping[str, Any],
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Train for all epochs of ``recipe``, going on from ``checkpoint`` where there is one.

    Args:
        trainer: what is trained, in its initial state.
        recipe: gives the number of epochs.
        configuration: all that decides the outcome; a checkpoint of another one is refused.
        checkpoint: file that is replaced after each epoch, and left for the caller to remove.
        progress: show a progress bar where standard error is a terminal.

    Returns:
        The history: columns epoch, split ("train", "validation"), loss, accuracy (0 to 1), both
        taken at the end of the epoch.

    Raises:
        UserError: the loss became NaN or infinite, or the checkpoint cannot be used.
    """
    history = _resume(trainer, configuration, checkpoint)
    bar = tqdm(
        total=recipe.epochs, initial=len(history), unit="epoch", disable=None if progress else True
    )
    with bar, logging_redirect_tqdm():
        for epoch in range(len(history) + 1, recipe.epochs + 1):
            try:
                trainer.train_epoch()
            except DivergedError as stop:
                where = f"in epoch {epoch}, step {stop.step}"
                raise UserError(_diverged(stop.loss, where, recipe)) from stop
            train, validation = trainer.evaluate("train"), trainer.evaluate("validation")
            # The last step's own loss is from before it.
            if not math.isfinite(train[0] + validation[0]):
                raise UserError(_diverged(train[0], f"at the end of epoch {epoch}", recipe))
            history.append([*train, *validation])
            if checkpoint is not None:
                state = {**trainer.state(), "history": np.array(history)}
                save_checkpoint(checkpoint, configuration, state)
            logger.info(
                "epoch %d of %d: train loss %.5f accuracy %.2f %%, validation %.5f, %.2f %%",
                epoch,
                recipe.epochs,
                *(train[0], 100 * train[1], validation[0], 100 * validation[1]),
            )
            bar.update()
    return _history_table(history)


def _diverged(loss: float, where: str, recipe: MlpRecipe) -> str:
    return (
        f"the loss became {loss} {where}: training diverged; lower learning_rate "
        f"(now {recipe.learning_rate})"
    )


def _resume(
    trainer: Trainer, configuration: Mapping[str, Any], checkpoint: str | os.PathLike[str] | None
) -> list[list[float]]:
    state = None if checkpoint is None else load_checkpoint(checkpoint, configuration)
    if state is None:
        return []
    history: list[list[float]] = state.pop("history").tolist()
    trainer.restore(state)
    logger.info("going on after epoch %d, from %s", len(history), checkpoint)
    return history


def _history_table(history: list[list[float]]) -> pd.DataFrame:
    rows = [
        (epoch, split, *values)
        for epoch, (*train, loss, accuracy) in enumerate(history, start=1)
        for split, values in (("train", train), ("validation", (loss, accuracy)))
    ]
    return pd.DataFrame(rows, columns=list(HistoryRow._fields))


def check_data(data: MnistSplits) -> None:
    """Raise UserError, naming the split, for images and labels that cannot be trained on."""
    width = data.train.pixels.shape[-1]
    for name in SPLITS:
        part: ImageSet = getattr(data, name)
        if part.pixels.ndim != 2 or part.pixels.shape[1] != width or part.pixels.dtype != np.uint8:
            raise UserError(
                f"{name} images: expected uint8 of shape (n, {width}); "
                f"found {part.pixels.dtype} of shape {part.pixels.shape}"
            )
        if len(part.pixels) == 0:
            raise UserError(f"{name} images: expected at least one; found none")
        if part.labels.shape != (len(part.pixels),):
            raise UserError(
                f"{name} labels: expected {len(part.pixels)}, one an image; "
                f"found shape {part.labels.shape}"
            )
        if not (part.labels.min() >= 0 and part.labels.max() < CLASSES):
            raise UserError(
                f"{name} labels: expected 0 to {CLASSES - 1}; "
                f"found {part.labels.min()} to {part.labels.max()}"
            )


def configuration_of(kind: str, data: MnistSplits, recipe: MlpRecipe, seed: int) -> dict[str, Any]:
    """Return all that decides the outcome of a training, to bind a checkpoint to."""
    digest = hashlib.sha256()
    for part in (data.train, data.validation):
        digest.update(np.ascontiguousarray(part.pixels).data)
        digest.update(np.ascontiguousarray(part.labels).data)
    return {"kind": kind, "seed": seed, "data_sha256": digest.hexdigest(), **asdict(recipe)}


def predictions_of(
    data: MnistSplits, output: str, scores_of: Callable[[NDArray[np.uint8]], NDArray[Any]]
) -> Predictions:
    """Return a net's predictions on all splits.

    Args:
        data: images and labels.
        output: the net's output activation, "sigmoid" or "linear", which is the kind of scores.
        scores_of: turns grey values, uint8 (n, pixels), into outputs, float (n, 10).
    """
    parts = [(name, getattr(data, name)) for name in SPLITS]
    return Predictions(
        ids=np.concatenate([part.ids for _, part in parts]),
        labels=np.concatenate([part.labels for _, part in parts]),
        splits=np.concatenate([np.full(len(part.ids), name) for name, part in parts]),
        scores=np.concatenate(
            [
                scores_of(part.pixels[start : start + _SCALED_AT_ONCE])
                for _, part in parts
                for start in range(0, len(part.pixels), _SCALED_AT_ONCE)
            ]
        ),
        kind=output,
        classes=np.arange(CLASSES),
    )


# --- the from-scratch net ------------------------------------------------------------------------


def initial_net(recipe: MlpRecipe, inputs: int, random: np.random.RandomState) -> Mlp:
    """Return the net before its first step.

    Layers are drawn from input to output from one generator, in float64 whatever the recipe's
    dtype: so the report drew them, and so float32 starts from the same weights but for rounding.
    """
    if recipe.initial_std is None:
        raise UserError("initial_std: the NumPy net needs a number; the report's is 0.1")
    sizes = (inputs, *recipe.hidden, CLASSES)
    weights, biases = [], []
    for below, units in pairwise(sizes):
        drawn = random.normal(0.0, recipe.initial_std, (units, below))
        weights.append(drawn.astype(recipe.dtype))
        biases.append(np.zeros(units, recipe.dtype))
    return Mlp(
        weights, biases, activation=recipe.activation, output=recipe.output, loss=recipe.loss
    )


def scaled_inputs(pixels: NDArray[np.uint8], dtype: str) -> NDArray[Any]:
    """Return :func:`repro.mnist.images.scale_pixels` of all images, in aligned memory."""
    inputs = aligned_empty(pixels.shape, dtype)
    for start in range(0, len(pixels), _SCALED_AT_ONCE):
        rows = slice(start, start + _SCALED_AT_ONCE)
        inputs[rows] = scale_pixels(pixels[rows], dtype)
    return inputs


def full_batches(n: int, batch_size: int) -> Iterator[slice]:
    """Yield the places of each batch in an order of ``n`` images.

    A last batch that is not full is left out, as the report did (of 55,000 images in batches of
    100 none is). A batch size above ``n`` gives one batch of them all.
    """
    size = min(batch_size, n)
    for start in range(0, n - size + 1, size):
        yield slice(start, start + size)


def terms_of_loss(recipe: MlpRecipe) -> int:
    """Return over how many terms an image the loss in a history is averaged.

    For "mse" over the classes, so that a history shows the mean squared error as it is usually
    meant, the same for both nets, though the NumPy net descends the sum over classes.
    """
    return CLASSES if recipe.loss == "mse" else 1


class NumpyTrainer:
    """Trains :class:`Mlp` with the report's order of random draws."""

    def __init__(self, data: MnistSplits, recipe: MlpRecipe, seed: int) -> None:
        """Scale the images and draw the initial net.

        The one seed starts two generators, as in the report: one for the weights, which is
        ``RandomState(seed)``, and one for the shuffles, which was NumPy's global one.
        """
        self.recipe = recipe
        self.net = initial_net(recipe, data.train.pixels.shape[1], np.random.RandomState(seed))
        self.random = np.random.RandomState(seed)
        self._inputs = {}
        self._targets = {}
        for name in ("train", "validation"):
            part: ImageSet = getattr(data, name)
            self._inputs[name] = scaled_inputs(part.pixels, recipe.dtype)
            self._targets[name] = one_hot(part.labels, CLASSES, recipe.dtype)

    def train_epoch(self) -> None:
        """Pass over the training images once, in an order drawn anew."""
        inputs, targets = self._inputs["train"], self._targets["train"]
        size = min(self.recipe.batch_size, len(inputs))
        x = aligned_empty((size, inputs.shape[1]), inputs.dtype)
        y = aligned_empty((size, targets.shape[1]), targets.dtype)
        # A diverging net overflows; that is reported below, and once is enough.
        with np.errstate(over="ignore", invalid="ignore"):
            order = self._shuffle(len(inputs))
            for step, places in enumerate(full_batches(len(inputs), size), start=1):
                # "clip" because with the default mode NumPy fills a copy of ``out`` first.
                inputs.take(order[places], axis=0, out=x, mode="clip")
                targets.take(order[places], axis=0, out=y, mode="clip")
                loss = self.net.step(x, y, self.recipe.learning_rate)
                if not math.isfinite(loss):
                    raise DivergedError(step, loss)

    def evaluate(self, split: str) -> tuple[float, float]:
        """Return loss and accuracy (0 to 1) on "train" or "validation".

        The report evaluated in shuffled batches. The order of images changes no figure, so they
        are taken as they lie; but the shuffle has to be drawn, for the next epoch's order comes
        after it in the random stream.
        """
        inputs, targets = self._inputs[split], self._targets[split]
        self._shuffle(len(inputs))
        loss, accuracy = self.net.evaluate(inputs, targets)
        return loss / terms_of_loss(self.recipe), accuracy

    def _shuffle(self, n: int) -> NDArray[np.int64]:
        order = np.arange(n)
        self.random.shuffle(order)
        return order

    def state(self) -> dict[str, NDArray[Any]]:
        """Return weights, biases and the random state; plain gradient descent has no other."""
        generator: Any = self.random.get_state(legacy=True)
        _, key, position, has_gauss, gauss = generator
        return {
            **self.net.parameters(),
            "random_key": key,
            "random_position": np.array([position, has_gauss]),
            "random_gauss": np.array(gauss),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go back to where :meth:`state` was taken."""
        for name, array in self.net.parameters().items():
            array[...] = state[name]
        position, has_gauss = state["random_position"].tolist()
        gauss = float(state["random_gauss"])
        self.random.set_state(("MT19937", state["random_key"], position, has_gauss, gauss))


@dataclass(frozen=True)
class TrainedMlp:
    """A trained net and the history of its training: see :func:`run_epochs`."""

    net: Mlp
    history: pd.DataFrame

    def predict(self, data: MnistSplits) -> Predictions:
        """Return the predictions on all splits of ``data``."""

        def scores_of(pixels: NDArray[np.uint8]) -> NDArray[Any]:
            return self.net.predict(scale_pixels(pixels, self.net.dtype))

        return predictions_of(data, self.net.output, scores_of)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the net to ``path`` (.npz), whole or not at all."""
        self.net.save(path)


def train_mlp(
    data: MnistSplits,
    recipe: MlpRecipe,
    seed: int,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> TrainedMlp:
    """Train the from-scratch net on ``data.train``, evaluating on train and validation images.

    The test images are not looked at. See :func:`run_epochs` for ``checkpoint``, ``progress`` and
    the history.

    Raises:
        UserError: the data cannot be trained on, the loss became NaN or infinite, or the
            checkpoint cannot be used.
    """
    check_data(data)
    trainer = NumpyTrainer(data, recipe, seed)
    configuration = configuration_of("numpy", data, recipe, seed)
    history = run_epochs(trainer, recipe, configuration, checkpoint=checkpoint, progress=progress)
    return TrainedMlp(trainer.net, history)

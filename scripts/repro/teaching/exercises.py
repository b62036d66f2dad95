"""Exercises: a net changed in one respect, and what comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from repro.mnist.images import ImageSet, MnistSplits
from repro.mnist.numpy_trainer import NumpyTrainer
from repro.mnist.training import train

NET, EPOCHS, SEED = "numpy_1hidden", 10, 123


class Unshuffled(NumpyTrainer):
    """Takes the images in the same order each epoch."""

    def _shuffle(self, n: int) -> Any:
        return np.arange(n)


def unchanged(data: MnistSplits) -> MnistSplits:
    """Return the data."""
    return data


def with_labels_permuted(data: MnistSplits) -> MnistSplits:
    """Return the data with the labels of train and validation dealt out at random."""

    def part(images: ImageSet) -> ImageSet:
        return replace(images, labels=np.random.RandomState(0).permutation(images.labels))

    return replace(data, train=part(data.train), validation=part(data.validation))


@dataclass(frozen=True)
class Exercise:
    """A question whose answer is a number that this project measures.

    Attributes:
        title: what is changed.
        question: what to think about first.
        overlay: what is changed of the net's configuration; None of the code is.
        code: the lines of the code to change instead, as a diff.
        trainer: trains as that code would.
        data: changes the data as that code would.
    """

    title: str
    question: str
    overlay: dict[str, Any] = field(default_factory=dict)
    code: str = ""
    trainer: type[NumpyTrainer] = NumpyTrainer
    data: Callable[[MnistSplits], MnistSplits] = unchanged


@dataclass(frozen=True)
class Answer:
    """The last epoch's loss and accuracy (0 to 1) on train and validation."""

    train_loss: float
    train: float
    validation: float


EXERCISES = (
    Exercise(
        "Width",
        "Twice as many hidden units: twice as many weights. Half as many errors?",
        {"hidden": [100]},
    ),
    Exercise(
        "Learning rate",
        "Steps five times as long. Faster, or out of control?",
        {"learning_rate": 0.5},
    ),
    Exercise(
        "Depth",
        "A second hidden layer. Why does it learn more slowly at first? Look at the slopes of two "
        "sigmoids in a row.",
        {"hidden": [50, 50]},
    ),
    Exercise(
        "ReLU",
        "A hidden unit whose slope is 0 or 1, in place of one whose slope is at most ¼.",
        {"activation": "relu"},
    ),
    Exercise(
        "Initial spread",
        "Weights drawn ten times as wide. What is the slope of a sigmoid far from 0?",
        {"initial_std": 1.0},
    ),
    Exercise(
        "No shuffling",
        "The same order of images in each epoch, and so the same batches.",
        code=(
            "# scripts/repro/mnist/numpy_trainer.py, NumpyTrainer._shuffle\n"
            "-        self.random.shuffle(order)"
        ),
        trainer=Unshuffled,
    ),
    Exercise(
        "Permuted labels",
        "Labels dealt out at random. What accuracy can there be on images not seen? And on those "
        "seen?",
        code=(
            "# scripts/repro/mnist/numpy_trainer.py, NumpyTrainer.__init__\n"
            "-            self._targets[name] = np.eye(CLASSES, dtype=recipe.dtype)[part.labels]\n"
            "+            labels = np.random.RandomState(0).permutation(part.labels)\n"
            "+            self._targets[name] = np.eye(CLASSES, dtype=recipe.dtype)[labels]"
        ),
        data=with_labels_permuted,
    ),
    Exercise(
        "float32",
        "Seven digits in place of sixteen. How many of the accuracy's digits change?",
        {"dtype": "float32"},
    ),
)


def answer(exercise: Exercise, data: MnistSplits, recipe: Any) -> Answer:
    """Train as the exercise says, from the recipe that it changes."""
    _, history = train(exercise.trainer, exercise.data(data), recipe, SEED)
    last = {row.split: row for row in history if row.epoch == recipe.epochs}
    on_train = last["train"]
    return Answer(on_train.loss, on_train.accuracy, last["validation"].accuracy)

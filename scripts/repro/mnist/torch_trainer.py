"""The same fully connected net in PyTorch, trained on the CPU with tensors in memory."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import nn

from repro.mnist.images import CLASSES, ImageSet, MnistSplits, scale_pixels
from repro.mnist.net import one_hot
from repro.mnist.training import (
    DivergedError,
    MlpRecipe,
    check_data,
    configuration_of,
    full_batches,
    predictions_of,
    run_epochs,
)
from repro.predictions import Predictions
from repro.system.files import atomic_path

_EVALUATED_AT_ONCE = 5000  # images

_ACTIVATIONS = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU, "tanh": nn.Tanh}


_OUTPUTS = {"sigmoid": nn.Sigmoid, "linear": nn.Identity}

# PyTorch's own averages: "mse" over images and classes, so that its gradient is that of the NumPy
# net divided by the number of classes; "cross_entropy" over images.
LOSSES = {"mse": nn.MSELoss, "cross_entropy": nn.CrossEntropyLoss}


def initial_net(recipe: MlpRecipe, inputs: int, generator: torch.Generator) -> nn.Sequential:
    """Return the net before its first step.

    Layers are drawn from input to output, all from ``generator``. With ``initial_std`` None each
    draws what ``nn.Linear`` would from the global generator: weights, then biases.
    """
    sizes = (inputs, *recipe.hidden, CLASSES)
    layers: list[nn.Module] = []
    for below, units in pairwise(sizes):
        # "meta" has no values, so nothing is drawn from the global generator.
        linear = nn.Linear(below, units, dtype=getattr(torch, recipe.dtype), device="meta")
        linear.to_empty(device="cpu")
        _draw(linear, recipe.initial_std, generator)
        layers += [linear, _ACTIVATIONS[recipe.activation]()]
    layers[-1] = _OUTPUTS[recipe.output]()
    return nn.Sequential(*layers)


@torch.no_grad()
def _draw(linear: nn.Linear, std: float | None, generator: torch.Generator) -> None:
    if std is None:
        bound = 1 / math.sqrt(linear.in_features)
        linear.weight.uniform_(-bound, bound, generator=generator)
        linear.bias.uniform_(-bound, bound, generator=generator)
    else:
        linear.weight.normal_(0.0, std, generator=generator)
        linear.bias.zero_()


class TorchTrainer:
    """Trains the PyTorch net; one generator draws the weights, then an order for each epoch."""

    def __init__(self, data: MnistSplits, recipe: MlpRecipe, seed: int) -> None:
        """Scale the images and draw the initial net."""
        self.recipe = recipe
        self.generator = torch.Generator().manual_seed(seed)
        self.net = initial_net(recipe, data.train.pixels.shape[1], self.generator)
        self.loss = LOSSES[recipe.loss]()
        self.parameters = list(self.net.parameters())
        self._inputs = {}
        self._targets = {}
        for name in ("train", "validation"):
            part: ImageSet = getattr(data, name)
            # Copied to PyTorch's own memory, which is always aligned alike: the last bit of a
            # matrix product may depend on that.
            self._inputs[name] = torch.tensor(scale_pixels(part.pixels, recipe.dtype))
            self._targets[name] = torch.tensor(one_hot(part.labels, CLASSES, recipe.dtype))

    def train_epoch(self) -> None:
        """Pass over the training images once, in an order drawn anew."""
        self.net.train()
        inputs, targets = self._inputs["train"], self._targets["train"]
        order = torch.randperm(len(inputs), generator=self.generator)
        for step, places in enumerate(full_batches(len(inputs), self.recipe.batch_size), start=1):
            batch = order[places]
            loss = self.loss(self.net(inputs[batch]), targets[batch])
            if not math.isfinite(value := loss.item()):
                raise DivergedError(step, value)
            self.descend(torch.autograd.grad(loss, self.parameters))

    @torch.no_grad()
    def descend(self, gradients: Sequence[torch.Tensor]) -> None:
        """Take the step that ``torch.optim.SGD`` takes.

        That class loads torch.compile first: seconds, in which a small net is trained.
        """
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.sub_(gradient, alpha=self.recipe.learning_rate)

    @torch.inference_mode()
    def evaluate(self, split: str) -> tuple[float, float]:
        """Return loss and accuracy (0 to 1) on "train" or "validation"."""
        self.net.eval()
        n, total, correct = len(self._inputs[split]), 0.0, 0
        for start in range(0, n, _EVALUATED_AT_ONCE):
            rows = slice(start, start + _EVALUATED_AT_ONCE)
            targets = self._targets[split][rows]
            outputs = self.net(self._inputs[split][rows])
            total += self.loss(outputs, targets).item() * len(targets)
            correct += int((outputs.argmax(dim=1) == targets.argmax(dim=1)).sum())
        return total / n, correct / n

    def state(self) -> dict[str, NDArray[Any]]:
        """Return weights, biases and the random state; plain gradient descent has no other."""
        parameters = {name: value.numpy() for name, value in self.net.state_dict().items()}
        return {**parameters, "generator": self.generator.get_state().numpy()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go back to where :meth:`state` was taken."""
        tensors = {name: torch.from_numpy(value) for name, value in state.items()}
        self.generator.set_state(tensors.pop("generator"))
        self.net.load_state_dict(tensors)


@dataclass(frozen=True)
class TrainedTorchMlp:
    """A trained net and the history of its training, see :mod:`repro.mnist.training`."""

    net: nn.Sequential
    recipe: MlpRecipe
    history: pd.DataFrame

    def predict(self, data: MnistSplits) -> Predictions:
        """Return the predictions on all splits of ``data``."""

        @torch.inference_mode()
        def scores_of(pixels: NDArray[np.uint8]) -> NDArray[Any]:
            self.net.eval()
            outputs = self.net(torch.from_numpy(scale_pixels(pixels, self.recipe.dtype)))
            return np.asarray(outputs.numpy())

        return predictions_of(data, self.recipe.output, scores_of)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the weights to ``path`` (.safetensors), whole or not at all."""
        kinds = {name: getattr(self.recipe, name) for name in ("activation", "output", "loss")}
        # One entry, because safetensors writes several in an order that changes from run to run.
        metadata = {"net": json.dumps(kinds)}
        with atomic_path(path) as aside:
            aside.write_bytes(save(self.net.state_dict(), metadata))


def train_torch_mlp(
    data: MnistSplits,
    recipe: MlpRecipe,
    seed: int,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> TrainedTorchMlp:
    """Train the PyTorch net; as :func:`repro.mnist.training.train_mlp` in all else.

    Raises:
        UserError: the data cannot be trained on, the loss became NaN or infinite, or the
            checkpoint cannot be used.
    """
    check_data(data)
    trainer = TorchTrainer(data, recipe, seed)
    configuration = configuration_of("torch", data, recipe, seed)
    history = run_epochs(trainer, recipe, configuration, checkpoint=checkpoint, progress=progress)
    return TrainedTorchMlp(trainer.net, recipe, history)

"""Train the same fully connected net in PyTorch, on the CPU with tensors in memory."""

from __future__ import annotations

import copy
import json
import math
import os
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import nn

from repro.mnist.images import CLASSES, ImageSet, MnistSplits, scale_pixels
from repro.mnist.recipe import MlpRecipe, full_batches
from repro.mnist.training import DivergedError
from repro.system.files import atomic_path

BLOCK = 5000  # images that are evaluated at once

_ACTIVATIONS = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU, "tanh": nn.Tanh}
_OUTPUTS = {"sigmoid": nn.Sigmoid, "linear": nn.Identity}
# PyTorch's own averages: "mse" over images and classes, so that its gradient is that of the NumPy
# net divided by the number of classes; "cross_entropy" over images.
LOSSES = {"mse": nn.MSELoss, "cross_entropy": nn.CrossEntropyLoss}


def initial_net(recipe: MlpRecipe, inputs: int, generator: torch.Generator) -> nn.Sequential:
    """Return the net before its first step.

    Layers are drawn from input to output, weights before biases, as ``nn.Linear`` draws them; but
    from ``generator``, not from the global one.
    """
    sizes = (inputs, *recipe.hidden, CLASSES)
    layers: list[nn.Module] = []
    for below, units in pairwise(sizes):
        linear = nn.Linear(below, units, dtype=getattr(torch, recipe.dtype), device="meta")
        linear.to_empty(device="cpu")  # not drawn: that would be from the global generator
        bound = 1 / math.sqrt(below)
        nn.init.uniform_(linear.weight, -bound, bound, generator)
        nn.init.uniform_(linear.bias, -bound, bound, generator)
        layers += [linear, _ACTIVATIONS[recipe.activation]()]
    layers[-1] = _OUTPUTS[recipe.output]()
    return nn.Sequential(*layers)


def _velocity(name: str) -> str:
    """Return the name in a checkpoint of what momentum carries of a parameter."""
    return f"velocity.{name}"


@torch.inference_mode()
def scores_of(net: nn.Sequential, pixels: NDArray[np.uint8], dtype: str) -> NDArray[Any]:
    """Return a net's outputs (n, 10) in its ``dtype`` for grey values (n, pixels).

    They are taken in float64 and then rounded: in float32 the last bits of an image's outputs
    depend on its place among the others.
    """
    inputs = torch.from_numpy(scale_pixels(pixels, dtype)).double()
    outputs = copy.deepcopy(net).double()(inputs)
    return np.asarray(outputs.to(getattr(torch, dtype)).numpy())


class TorchTrainer:
    """Trains the PyTorch net; one generator draws the weights, then an order for each epoch."""

    framework = "torch"

    def __init__(self, data: MnistSplits, recipe: MlpRecipe, seed: int) -> None:
        """Scale the images and draw the initial net."""
        self.recipe = recipe
        self.generator = torch.Generator().manual_seed(seed)
        self.net = initial_net(recipe, data.train.pixels.shape[1], self.generator)
        self.loss = LOSSES[recipe.loss]()
        self.optimizer = torch.optim.SGD(
            self.net.parameters(),
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )
        self._inputs = {}
        self._targets = {}
        for name in ("train", "validation"):
            part: ImageSet = getattr(data, name)
            # Copied to PyTorch's own memory, which is always aligned alike: the last bit of a
            # matrix product may depend on that.
            self._inputs[name] = inputs = torch.tensor(scale_pixels(part.pixels, recipe.dtype))
            labels = torch.from_numpy(part.labels)
            self._targets[name] = nn.functional.one_hot(labels, CLASSES).to(inputs.dtype)

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
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    @torch.inference_mode()
    def evaluate(self, split: str) -> tuple[float, float]:
        """Return loss and accuracy (0 to 1) on "train" or "validation"."""
        self.net.eval()
        n, total, correct = len(self._inputs[split]), 0.0, 0
        for start in range(0, n, BLOCK):
            rows = slice(start, start + BLOCK)
            targets = self._targets[split][rows]
            outputs = self.net(self._inputs[split][rows])
            total += self.loss(outputs, targets).item() * len(targets)
            correct += int((outputs.argmax(dim=1) == targets.argmax(dim=1)).sum())
        return total / n, correct / n

    def state(self) -> dict[str, NDArray[Any]]:
        """Return weights, biases, velocities if there is momentum, and the random state."""
        parameters = {name: value.numpy() for name, value in self.net.state_dict().items()}
        kept = self.optimizer.state
        velocities = {
            _velocity(name): kept[value]["momentum_buffer"].numpy()
            for name, value in self.net.named_parameters()
            if kept[value].get("momentum_buffer") is not None
        }
        return {**parameters, **velocities, "generator": self.generator.get_state().numpy()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go back to where :meth:`state` was taken."""
        tensors = {name: torch.from_numpy(value) for name, value in state.items()}
        self.generator.set_state(tensors.pop("generator"))
        for name, value in self.net.named_parameters():
            if _velocity(name) in tensors:
                self.optimizer.state[value]["momentum_buffer"] = tensors.pop(_velocity(name))
        self.net.load_state_dict(tensors)

    def scores(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        """Return the net's outputs, float (n, 10), for grey values (n, pixels)."""
        return scores_of(self.net, pixels, self.recipe.dtype)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the weights to ``path`` (.safetensors), whole or not at all."""
        kinds = {name: getattr(self.recipe, name) for name in ("activation", "output", "loss")}
        # One entry, because safetensors writes several in an order that changes from run to run.
        metadata = {"net": json.dumps(kinds)}
        with atomic_path(path) as aside:
            aside.write_bytes(save(self.net.state_dict(), metadata))

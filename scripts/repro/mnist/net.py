"""A multilayer perceptron from scratch: forward pass, backward pass and update, on one page.

Nothing is tuned here. :class:`repro.mnist.numpy_trainer.FastMlp` takes the same steps faster, and
a test holds the two together.

Notation, as in chapter 11 of Raschka, Liu and Mirjalili, "Machine Learning with PyTorch and
Scikit-Learn" (2022): of n samples, a layer takes the activations ``a`` of the layer below, shape
(n, in), to ``z = a Wᵀ + b`` and then to its own activations ``a = f(z)``, both of shape (n, out).
``d_loss__d_z`` is the partial derivative of the loss by ``z``, of the shape of ``z``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from repro.errors import UserError
from repro.system.files import write_npz

Array = NDArray[Any]


# --- activations ---------------------------------------------------------------------------------


class Activation(NamedTuple):
    """A function ``a`` of ``z``, and its derivative, told from the value ``a``."""

    a: Callable[[Array], Array]
    d_a__d_z: Callable[[Array], Array]


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + e⁻ᶻ)."""
    # Of a large negative z, exp overflows to ∞; 1 / (1 + ∞) is 0, as it should be.
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-z))


ACTIVATIONS = {
    "sigmoid": Activation(sigmoid, lambda a: a * (1 - a)),
    "relu": Activation(lambda z: np.maximum(z, 0), lambda a: a > 0),
    "tanh": Activation(np.tanh, lambda a: 1 - a**2),
}
OUTPUTS = {"sigmoid": ACTIVATIONS["sigmoid"], "linear": Activation(lambda z: z, np.ones_like)}


# --- losses: averaged over the n samples, with their derivative by the outputs a ------------------


def squared_error(a: Array, y: Array) -> tuple[float, Array]:
    """Return Σ (a − y)² / n, summed over the classes, and its derivative 2 (a − y) / n."""
    return float(np.sum((a - y) ** 2) / len(a)), 2 * (a - y) / len(a)


def cross_entropy(a: Array, y: Array) -> tuple[float, Array]:
    """Return −Σ y log softmax(a) / n and its derivative (softmax(a) − y) / n.

    Softmax is part of the loss, as in PyTorch.
    """
    # Softmax does not change when a row's maximum is subtracted, and then exp cannot overflow.
    a = a - a.max(axis=1, keepdims=True)
    log_softmax = a - np.log(np.exp(a).sum(axis=1, keepdims=True))
    return float(-np.sum(y * log_softmax) / len(a)), (np.exp(log_softmax) - y) / len(a)


LOSSES = {"mse": squared_error, "cross_entropy": cross_entropy}


# --- the net -------------------------------------------------------------------------------------


class Mlp:
    """A fully connected net with any number of hidden layers, none included.

    Attributes:
        weights: one array (out, in) a layer, from input to output.
        biases: one array (out,) a layer.
        velocities: of the weights, then of the biases, in their shapes; for momentum.
        sizes: number of inputs, units of each hidden layer, and outputs.
        activations: one a layer.
        kinds: the names of the hidden layers' activation, of the output and of the loss: keys of
            ``ACTIVATIONS``, ``OUTPUTS`` and ``LOSSES``.
    """

    def __init__(
        self,
        weights: Sequence[Array],
        biases: Sequence[Array],
        *,
        activation: str = "sigmoid",
        output: str = "sigmoid",
        loss: str = "mse",
    ) -> None:
        """Make a net of copies of these arrays; raise UserError where they do not fit together."""
        self.weights = [w.copy() for w in weights]
        self.biases = [b.copy() for b in biases]
        self.velocities = [np.zeros_like(p) for p in [*weights, *biases]]
        self.sizes = (weights[0].shape[1], *(len(b) for b in biases))
        self.kinds = {"activation": activation, "output": output, "loss": loss}
        self.activations = [ACTIVATIONS[activation]] * (len(weights) - 1) + [OUTPUTS[output]]
        for layer, (below, units) in enumerate(pairwise(self.sizes)):
            if weights[layer].shape != (units, below):
                raise UserError(
                    f"layer {layer}: expected weights of shape {(units, below)}; "
                    f"found {weights[layer].shape}"
                )

    @classmethod
    def drawn(
        cls,
        sizes: Sequence[int],
        std: float,
        random: np.random.RandomState,
        dtype: DTypeLike = np.float64,
        **kinds: str,
    ) -> Self:
        """Return a net before its first step: weights from normal(0, std), biases zero.

        Layers are drawn from input to output from one generator, in float64 whatever the dtype: so
        the report drew them, and so float32 starts from the same weights but for rounding.
        """
        weights = [random.normal(0.0, std, (out, n)).astype(dtype) for n, out in pairwise(sizes)]
        return cls(weights, [np.zeros(units, dtype) for units in sizes[1:]], **kinds)

    def forward(self, x: Array) -> list[Array]:
        """Return the activations of every layer for inputs (n, in), beginning with the inputs."""
        a = [x]  # (n, in)
        for w, b, activation in zip(self.weights, self.biases, self.activations, strict=True):
            z = a[-1] @ w.T + b  # (n, in) @ (in, out) + (out,) = (n, out)
            a.append(activation.a(z))  # (n, out)
        return a

    def backward(self, x: Array, y: Array) -> tuple[float, list[Array], list[Array]]:
        """Return the loss, and its derivatives by each layer's weights and biases.

        Args:
            x: inputs, shape (n, in).
            y: one-hot targets, shape (n, out).
        """
        self.check(x, y)
        a = self.forward(x)
        loss, d_loss__d_a = LOSSES[self.kinds["loss"]](a[-1], y)  # (n, out)
        d_loss__d_w, d_loss__d_b = [], []
        for layer in reversed(range(len(self.weights))):
            # a[layer] is what comes in, a[layer + 1] what goes out.
            d_a__d_z = self.activations[layer].d_a__d_z(a[layer + 1])  # (n, out)
            d_loss__d_z = d_loss__d_a * d_a__d_z  # (n, out)

            d_z__d_w = a[layer]  # (n, in)
            d_loss__d_w.append(d_loss__d_z.T @ d_z__d_w)  # (out, n) @ (n, in) = (out, in)
            d_loss__d_b.append(d_loss__d_z.sum(axis=0))  # d_z__d_b is 1; (out,)

            if layer:
                d_z__d_a = self.weights[layer]  # (out, in)
                d_loss__d_a = d_loss__d_z @ d_z__d_a  # (n, out) @ (out, in) = (n, in)
        return loss, d_loss__d_w[::-1], d_loss__d_b[::-1]

    def step(
        self,
        x: Array,
        y: Array,
        learning_rate: float,
        momentum: float = 0,
        weight_decay: float = 0,
    ) -> float:
        """Take one step of gradient descent; return the loss before it, NaN if any value is.

        The velocity v of a parameter p, zero before the first step, goes on with each:
        ``v ← momentum · v + d_loss__d_p + weight_decay · p`` and ``p ← p − learning_rate · v``, as
        in PyTorch.
        """
        loss, d_loss__d_w, d_loss__d_b = self.backward(x, y)
        for p, v, d_loss__d_p in zip(
            [*self.weights, *self.biases],
            self.velocities,
            [*d_loss__d_w, *d_loss__d_b],
            strict=True,
        ):
            v[:] = momentum * v + d_loss__d_p + weight_decay * p
            p[:] = p - learning_rate * v
        return loss

    def predict(self, x: Array) -> Array:
        """Return the outputs, shape (n, out), for inputs of shape (n, in)."""
        return self.forward(x)[-1]

    def evaluate(self, x: Array, y: Array) -> tuple[float, float]:
        """Return loss and accuracy (0 to 1) on inputs (n, in) and one-hot targets (n, out)."""
        self.check(x, y)
        a = self.predict(x)
        loss, _ = LOSSES[self.kinds["loss"]](a, y)
        return loss, float(np.mean(a.argmax(axis=1) == y.argmax(axis=1)))

    def check(self, x: Array, y: Array) -> None:
        """Raise UserError where inputs and targets do not have the shapes the net needs."""
        if len(x) == 0 or x.shape != (len(x), self.sizes[0]) or y.shape != (len(x), self.sizes[-1]):
            raise UserError(
                f"samples: expected inputs (n, {self.sizes[0]}) and targets "
                f"(n, {self.sizes[-1]}), n at least 1; found {x.shape} and {y.shape}"
            )

    def parameters(self) -> dict[str, Array]:
        """Return weights and biases by name, ``weights_0``, ``biases_0``, ...: not copies."""
        return {
            f"{kind}_{layer}": array
            for kind, arrays in (("weights", self.weights), ("biases", self.biases))
            for layer, array in enumerate(arrays)
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the net to ``path`` (.npz), whole or not at all."""
        write_npz(path, **{k: np.array(v) for k, v in self.kinds.items()}, **self.parameters())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            kinds = {name: str(file[name]) for name in ("activation", "output", "loss")}
            layers = range((len(file.files) - len(kinds)) // 2)
            weights, biases = ([file[f"{k}_{i}"] for i in layers] for k in ("weights", "biases"))
            return cls(weights, biases, **kinds)

"""A multilayer perceptron written out: forward pass, backward pass and update, in NumPy alone.

Notation: a layer turns its input ``a`` of shape (n, in) into ``z = a Wᵀ + b`` of shape (n, out)
and then into its activation. ``delta`` is the gradient of the loss with respect to ``z``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray
from threadpoolctl import threadpool_info

from repro.errors import UserError
from repro.system.files import write_npz

Array = NDArray[Any]

# Samples that are evaluated at once: many, so that calls cost little beside the work; few enough
# for what a block gives to stay in the cache.
BLOCK = 1000


# --- arrays and products: what makes it fast ------------------------------------------------------


def aligned_empty(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Return an array of arbitrary content that starts at a cache line, as vector units like it.

    NumPy aligns to 16 bytes; a vector of 64 then lies across two cache lines each time.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.empty(size + _CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % _CACHE_LINE
    return raw[start : start + size].view(dtype).reshape(shape)


_CACHE_LINE = 64  # bytes


def _aligned_copy(array: Array) -> Array:
    copy = aligned_empty(array.shape, array.dtype)
    copy[...] = array
    return copy


def multiply(a: Array, b: Array, out: Array, *, multiple: int) -> None:
    """Write the product of ``a`` and ``b`` to ``out``, in slabs of rows where that is faster.

    A BLAS copies both operands into an order of its own before it multiplies. OpenBLAS leaves that
    out for small products where it has kernels for them, and the products of a batch lie not far
    above small: `make bench-mnist` prints what slabs save.

    Args:
        a: shape (m, k).
        b: shape (k, n).
        out: shape (m, n).
        multiple: rows of a slab are a multiple of this, or else ``a`` is not cut: narrower slabs
            were seen to be slower. 8 for ``a`` in row order, 64 for its transpose.
    """
    rows = _small_product() // b.size // multiple * multiple
    if not 0 < rows < len(a):
        np.matmul(a, b, out=out)
        return
    for start in range(0, len(a), rows):
        slab = slice(start, start + rows)
        np.matmul(a[slab], b, out=out[slab])


@cache
def _small_product() -> int:
    """Return up to which m·n·k this machine's BLAS multiplies without copying; 0 for never.

    The limit is OpenBLAS's own (its file ``dgemm_small_kernel_permit_skylakex.c``). For processors
    without AVX-512 it has no such kernels, and slabs would be slower than one product.
    """
    kernels = {pool["architecture"] for pool in threadpool_info() if "architecture" in pool}
    return 10**6 if kernels & {"SkylakeX", "Cooperlake", "SapphireRapids"} else 0


# --- activations: in place, from ``z`` to ``a`` --------------------------------------------------


def _sigmoid(z: Array) -> None:
    np.negative(z, out=z)
    np.exp(z, out=z)
    z += 1
    np.reciprocal(z, out=z)


def _relu(z: Array) -> None:
    np.maximum(z, 0, out=z)


def _tanh(z: Array) -> None:
    np.tanh(z, out=z)


def _linear(z: Array) -> None:
    pass


# --- their derivatives: in place, from the gradient by ``a`` to the gradient by ``z`` -------------
# Each may use up ``a``, which nothing needs any more by then.


def _back_sigmoid(gradient: Array, a: Array) -> None:
    gradient *= a
    np.subtract(1, a, out=a)
    gradient *= a


def _back_relu(gradient: Array, a: Array) -> None:
    gradient *= np.sign(a, out=a)


def _back_tanh(gradient: Array, a: Array) -> None:
    np.multiply(a, a, out=a)
    np.subtract(1, a, out=a)
    gradient *= a


def _back_linear(gradient: Array, a: Array) -> None:
    pass


class _Activation(NamedTuple):
    forward: Callable[[Array], None]
    backward: Callable[[Array, Array], None]


ACTIVATIONS = {
    "sigmoid": _Activation(_sigmoid, _back_sigmoid),
    "relu": _Activation(_relu, _back_relu),
    "tanh": _Activation(_tanh, _back_tanh),
}
OUTPUTS = {
    "sigmoid": ACTIVATIONS["sigmoid"],
    "linear": _Activation(_linear, _back_linear),
}


# --- losses: summed over the batch; each writes its gradient by the outputs ``a`` -----------------


def _squared_error(a: Array, y: Array, gradient: Array) -> float:
    np.subtract(a, y, out=gradient)
    total = np.vdot(gradient, gradient)
    gradient *= 2
    return float(total)


def _cross_entropy(a: Array, y: Array, gradient: Array) -> float:
    # Softmax does not change when a row's maximum is subtracted, and then exp cannot overflow.
    np.subtract(a, a.max(axis=1, keepdims=True), out=gradient)
    of_targets = np.vdot(y, gradient)
    np.exp(gradient, out=gradient)
    sums = gradient.sum(axis=1, keepdims=True)
    gradient /= sums
    gradient -= y
    return float(np.log(sums).sum() - of_targets)


LOSSES = {"mse": _squared_error, "cross_entropy": _cross_entropy}


def check_kinds(activation: str, output: str, loss: str) -> None:
    """Raise UserError, naming the field, for a kind that :class:`Mlp` does not offer."""
    for field, value, known in (
        ("activation", activation, ACTIVATIONS),
        ("output", output, OUTPUTS),
        ("loss", loss, LOSSES),
    ):
        if value not in known:
            raise UserError(f"{field}: expected one of {', '.join(known)}; found {value!r}")


def one_hot(labels: Array, classes: int, dtype: DTypeLike = np.float64) -> Array:
    """Return a row for each label, 1 in its column and 0 elsewhere, shape (n, classes).

    Raises:
        UserError: a label lies outside ``range(classes)``.
    """
    if len(labels) and not (labels.min() >= 0 and labels.max() < classes):
        raise UserError(
            f"labels: expected class indices 0 to {classes - 1}; "
            f"found {labels.min()} to {labels.max()}"
        )
    targets = np.zeros((len(labels), classes), dtype)
    targets[np.arange(len(labels)), labels] = 1
    return targets


# --- the net -------------------------------------------------------------------------------------


class Gradients(NamedTuple):
    """Gradient of the loss by each layer's weights, shape (out, in), and biases, shape (out,)."""

    weights: list[Array]
    biases: list[Array]


class _Workspace:
    """What a pass over ``rows`` samples writes to: each layer's activations and deltas."""

    def __init__(self, rows: int, sizes: Sequence[int], dtype: np.dtype[Any]) -> None:
        self.rows = rows
        self.activations = [aligned_empty((rows, units), dtype) for units in sizes[1:]]
        self.deltas = [aligned_empty((rows, units), dtype) for units in sizes[1:]]


class Mlp:
    """A fully connected net with any number of hidden layers, none included.

    Attributes:
        weights: one array (out, in) a layer, from input to output, all float64 or all float32.
        biases: one array (out,) a layer, of the same dtype.
        sizes: number of inputs, units of each hidden layer, and outputs.
        dtype: the precision of all arrays.
        activation: of the hidden layers: "sigmoid", "relu" or "tanh".
        output: of the last layer: "sigmoid" or "linear".
        loss: of outputs a and one-hot targets y, summed over the classes and averaged over the n
            samples of a batch:

            - "mse": Σ (a − y)² / n, whose gradient by a is 2 (a − y) / n;
            - "cross_entropy": −Σ y log softmax(a) / n, whose gradient by a is
              (softmax(a) − y) / n; softmax is part of the loss, as in PyTorch.
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
        """Make a net of copies of these arrays.

        Raises:
            UserError: the arrays do not fit together or a kind is not known.
        """
        check_kinds(activation, output, loss)
        _check_layers(weights, biases)
        self.sizes = (weights[0].shape[1], *(len(b) for b in biases))
        self.dtype: np.dtype[Any] = weights[0].dtype
        self.weights = [_aligned_copy(w) for w in weights]
        self.biases = [_aligned_copy(b) for b in biases]
        self.activation = activation
        self.output = output
        self.loss = loss
        self._gradients = Gradients(
            [_aligned_copy(w) for w in weights], [_aligned_copy(b) for b in biases]
        )
        self._spaces: dict[str, _Workspace] = {}

    def predict(self, x: Array) -> Array:
        """Return the outputs, shape (n, out), for inputs of shape (n, in).

        Raises:
            UserError: wrong shape or dtype, no samples, or NaN.
        """
        self._check_shape(x)
        _check_finite("inputs", x)
        outputs = np.empty((len(x), self.sizes[-1]), self.dtype)
        for rows in _blocks(len(x)):
            outputs[rows] = self._forward(x[rows], self._workspace("block", len(x[rows])))
        return outputs

    def evaluate(self, x: Array, y: Array) -> tuple[float, float]:
        """Return loss and accuracy (0 to 1) on inputs (n, in) and one-hot targets (n, out).

        Values are not checked: NaN comes back as the loss.

        Raises:
            UserError: wrong shape or dtype, or no samples.
        """
        self._check_shape(x, y)
        total, correct = 0.0, 0
        for rows in _blocks(len(x)):
            space = self._workspace("block", len(x[rows]))
            a = self._forward(x[rows], space)
            total += LOSSES[self.loss](a, y[rows], space.deltas[-1])
            correct += int(np.count_nonzero(a.argmax(axis=1) == y[rows].argmax(axis=1)))
        return total / len(x), correct / len(x)

    def gradients(self, x: Array, y: Array) -> tuple[float, Gradients]:
        """Return the loss and its gradients, as copies.

        Raises:
            UserError: wrong shape or dtype, no samples, or NaN.
        """
        self._check_shape(x, y)
        _check_finite("inputs", x)
        _check_finite("targets", y)
        loss = self._gradients_times(1.0, x, y)
        weights, biases = self._gradients
        return loss, Gradients([w.copy() for w in weights], [b.copy() for b in biases])

    def step(self, x: Array, y: Array, learning_rate: float) -> float:
        """Take one step of gradient descent; return the loss before it.

        Values are not checked: NaN comes back as the loss.

        Raises:
            UserError: wrong shape or dtype, or no samples.
        """
        self._check_shape(x, y)
        loss = self._gradients_times(learning_rate, x, y)
        for layer, (weights, biases) in enumerate(zip(*self._gradients, strict=True)):
            self.weights[layer] -= weights
            self.biases[layer] -= biases
        return loss

    def _check_shape(self, x: Array, y: Array | None = None) -> None:
        _check_samples("inputs", x, self.sizes[0], self.dtype)
        if y is not None:
            _check_samples("targets", y, self.sizes[-1], self.dtype)
            if len(x) != len(y):
                raise UserError(f"targets: expected {len(x)} rows, one an input; found {len(y)}")

    def _workspace(self, use: str, rows: int) -> _Workspace:
        """Return arrays for ``rows`` samples: those of the last time, unless its rows differed."""
        space = self._spaces.get(use)
        if space is None or space.rows != rows:
            space = self._spaces[use] = _Workspace(rows, self.sizes, self.dtype)
        return space

    def _forward(self, x: Array, space: _Workspace) -> Array:
        """Fill the activations of ``space``; return the last, which is the output."""
        a, last = x, len(self.weights) - 1
        # In the sigmoid of a large negative z, exp overflows; 1 / (1 + inf) is 0, as it should be.
        with np.errstate(over="ignore"):
            for layer, z in enumerate(space.activations):
                multiply(a, self.weights[layer].T, z, multiple=8)
                np.add(z, self.biases[layer], out=z)
                kind = OUTPUTS[self.output] if layer == last else ACTIVATIONS[self.activation]
                kind.forward(z)
                a = z
        return a

    def _gradients_times(self, scale: float, x: Array, y: Array) -> float:
        """Write ``scale`` times the gradients to the net's own arrays; return the loss.

        Scaling the small gradient by the outputs instead of the large ones by the weights saves a
        pass over every weight.
        """
        n = len(x)
        space = self._workspace("batch", n)
        a, delta = self._forward(x, space), space.deltas[-1]
        loss = LOSSES[self.loss](a, y, delta) / n
        delta *= scale / n
        OUTPUTS[self.output].backward(delta, a)
        self._backward(x, space)
        return loss

    def _backward(self, x: Array, space: _Workspace) -> None:
        """Carry the last layer's delta back to the first; write every layer's gradients."""
        deltas = space.deltas
        for layer in reversed(range(len(deltas))):
            below = space.activations[layer - 1] if layer else x
            # Both sides transposed, so that the inputs, which are many, are cut into slabs.
            multiply(below.T, deltas[layer], self._gradients.weights[layer].T, multiple=64)
            np.add.reduce(deltas[layer], axis=0, out=self._gradients.biases[layer])
            if layer:
                np.matmul(deltas[layer], self.weights[layer], out=deltas[layer - 1])
                ACTIVATIONS[self.activation].backward(deltas[layer - 1], below)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the net to ``path`` (.npz), whole or not at all."""
        kinds = {name: np.array(getattr(self, name)) for name in _KINDS}
        write_npz(path, **kinds, **self.parameters())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Mlp:
        """Read what :meth:`save` wrote; raise UserError where the file is not that."""
        try:
            with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
                layers = sum(name.startswith("weights_") for name in file.files)
                return cls(
                    [file[f"weights_{layer}"] for layer in range(layers)],
                    [file[f"biases_{layer}"] for layer in range(layers)],
                    **{name: str(file[name]) for name in _KINDS},
                )
        except Exception as error:  # a damaged zip file raises errors of many kinds
            raise UserError(
                f"{path}: not a saved net ({error}); delete it and train again"
            ) from error

    def parameters(self) -> dict[str, Array]:
        """Return weights and biases by name, ``weights_0``, ``biases_0``, ...: not copies."""
        return {
            f"{kind}_{layer}": array
            for kind, arrays in (("weights", self.weights), ("biases", self.biases))
            for layer, array in enumerate(arrays)
        }


_KINDS = ("activation", "output", "loss")


def _blocks(n: int) -> list[slice]:
    return [slice(start, start + BLOCK) for start in range(0, n, BLOCK)]


def _check_samples(what: str, values: Array, columns: int, dtype: np.dtype[Any]) -> None:
    if values.ndim != 2 or values.shape[1] != columns:
        raise UserError(f"{what}: expected shape (n, {columns}); found {values.shape}")
    if len(values) == 0:
        raise UserError(f"{what}: expected at least one sample; found none")
    if values.dtype != dtype:
        raise UserError(f"{what}: expected {dtype}, as the net's weights; found {values.dtype}")


def _check_finite(what: str, values: Array) -> None:
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise UserError(f"{what}: expected finite numbers; found NaN or infinity in row {row}")


def _check_layers(weights: Sequence[Array], biases: Sequence[Array]) -> None:
    if not weights or len(weights) != len(biases):
        raise UserError(
            f"weights: expected one array and one of biases a layer, at least one layer; "
            f"found {len(weights)} and {len(biases)}"
        )
    dtype = weights[0].dtype
    if dtype not in (np.float64, np.float32):
        raise UserError(f"weights: expected float64 or float32; found {dtype}")
    inputs = weights[0].shape[-1]
    for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
        if w.dtype != dtype or b.dtype != dtype:
            raise UserError(f"layer {layer}: expected {dtype} throughout; found another dtype")
        if w.ndim != 2 or w.shape[1] != inputs or b.shape != w.shape[:1]:
            raise UserError(
                f"layer {layer}: expected weights (out, {inputs}) and biases (out,); "
                f"found {w.shape} and {b.shape}"
            )
        inputs = len(b)

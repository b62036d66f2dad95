"""Train the from-scratch net: the steps of :mod:`repro.mnist.net`, made fast.

Every array is made once and written again and again; activations and their derivatives are taken
in place; and the gradients come out already multiplied by the learning rate.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from repro.mnist.images import CLASSES, ImageSet, MnistSplits, scale_pixels
from repro.mnist.net import Mlp
from repro.mnist.products import Array, aligned_copy, aligned_empty, multiply
from repro.mnist.recipe import MlpRecipe, full_batches
from repro.mnist.training import SCALED_AT_ONCE, DivergedError

# Samples that are evaluated at once: many, so that calls cost little beside the work; few enough
# for what a block gives to stay in the cache.
BLOCK = 1000


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


class _InPlace(NamedTuple):
    forward: Callable[[Array], None]
    backward: Callable[[Array, Array], None]


_ACTIVATIONS = {
    "sigmoid": _InPlace(_sigmoid, _back_sigmoid),
    "relu": _InPlace(_relu, _back_relu),
    "tanh": _InPlace(_tanh, _back_tanh),
    "linear": _InPlace(_linear, _back_linear),
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


_LOSSES = {"mse": _squared_error, "cross_entropy": _cross_entropy}


# --- the net -------------------------------------------------------------------------------------


class _Workspace:
    """What a pass over ``rows`` samples writes to: each layer's activations and deltas.

    A delta is the gradient of the loss by a layer's ``z``.
    """

    def __init__(self, rows: int, sizes: Sequence[int], dtype: np.dtype[Any]) -> None:
        self.rows = rows
        self.activations = [aligned_empty((rows, units), dtype) for units in sizes[1:]]
        self.deltas = [aligned_empty((rows, units), dtype) for units in sizes[1:]]


class FastMlp(Mlp):
    """The net of :class:`~repro.mnist.net.Mlp`, with arrays of its own for all it computes.

    Attributes:
        dtype: the precision of all arrays, float64 or float32; that of inputs and targets too.
    """

    def __init__(self, weights: Sequence[Array], biases: Sequence[Array], **kinds: str) -> None:
        """Make a net of copies of these arrays."""
        super().__init__(weights, biases, **kinds)
        self.weights = [aligned_copy(w) for w in weights]
        self.biases = [aligned_copy(b) for b in biases]
        self.dtype: np.dtype[Any] = weights[0].dtype
        self._weight_steps = [aligned_copy(w) for w in weights]
        self._bias_steps = [aligned_copy(b) for b in biases]
        hidden = [_ACTIVATIONS[self.kinds["activation"]]] * (len(weights) - 1)
        self._in_place = [*hidden, _ACTIVATIONS[self.kinds["output"]]]
        self._loss = _LOSSES[self.kinds["loss"]]
        self._spaces: dict[str, _Workspace] = {}

    def predict(self, x: Array) -> Array:
        """Return the outputs, shape (n, out), for inputs of shape (n, in)."""
        outputs = np.empty((len(x), self.sizes[-1]), self.dtype)
        for rows in _blocks(len(x)):
            outputs[rows] = self._forward(x[rows], self._workspace("block", len(x[rows])))
        return outputs

    def evaluate(self, x: Array, y: Array) -> tuple[float, float]:
        """Return loss and accuracy (0 to 1) on inputs (n, in) and one-hot targets (n, out)."""
        self.check(x, y)
        total, correct = 0.0, 0
        for rows in _blocks(len(x)):
            space = self._workspace("block", len(x[rows]))
            a = self._forward(x[rows], space)
            total += self._loss(a, y[rows], space.deltas[-1])
            correct += int(np.count_nonzero(a.argmax(axis=1) == y[rows].argmax(axis=1)))
        return total / len(x), correct / len(x)

    def step(
        self,
        x: Array,
        y: Array,
        learning_rate: float,
        momentum: float = 0,
        weight_decay: float = 0,
    ) -> float:
        """Take one step of gradient descent; return the loss before it, NaN if any value is.

        Velocities have the learning rate in them, which is the same in every step.
        """
        self.check(x, y)
        n = len(x)
        space = self._workspace("batch", n)
        a, delta = self._forward(x, space), space.deltas[-1]
        loss = self._loss(a, y, delta) / n
        # Scaling the small gradient by the outputs instead of the large ones by the weights saves
        # a pass over every weight.
        delta *= learning_rate / n
        self._backward(x, space)
        steps = [*self._weight_steps, *self._bias_steps]
        for place, p in enumerate([*self.weights, *self.biases]):
            _move(p, steps[place], self.velocities[place], momentum, learning_rate * weight_decay)
        return loss

    def _workspace(self, use: str, rows: int) -> _Workspace:
        """Return arrays for ``rows`` samples: those of the last time, unless its rows differed."""
        space = self._spaces.get(use)
        if space is None or space.rows != rows:
            space = self._spaces[use] = _Workspace(rows, self.sizes, self.dtype)
        return space

    def _forward(self, x: Array, space: _Workspace) -> Array:
        """Fill the activations of ``space``; return the last, which is the output."""
        a = x
        # In the sigmoid of a large negative z, exp overflows; 1 / (1 + inf) is 0, as it should be.
        with np.errstate(over="ignore"):
            for layer, z in enumerate(space.activations):
                multiply(a, self.weights[layer].T, z, multiple=8)
                np.add(z, self.biases[layer], out=z)
                self._in_place[layer].forward(z)
                a = z
        return a

    def _backward(self, x: Array, space: _Workspace) -> None:
        """Carry the gradient by the outputs, in the last delta, back; write every layer's step."""
        deltas, a = space.deltas, space.activations
        for layer in reversed(range(len(deltas))):
            self._in_place[layer].backward(deltas[layer], a[layer])
            below = a[layer - 1] if layer else x
            # Both sides transposed, so that the inputs, which are many, are cut into slabs.
            multiply(below.T, deltas[layer], self._weight_steps[layer].T, multiple=64)
            np.add.reduce(deltas[layer], axis=0, out=self._bias_steps[layer])
            if layer:
                np.matmul(deltas[layer], self.weights[layer], out=deltas[layer - 1])


def _move(p: Array, step: Array, velocity: Array, momentum: float, decay: float) -> None:
    """Move a parameter by its step, which may be used up, and by what is left of its velocity."""
    if decay:
        step += decay * p
    if momentum:
        velocity *= momentum
        velocity += step
        step = velocity
    p -= step


def _blocks(n: int) -> list[slice]:
    return [slice(start, start + BLOCK) for start in range(0, n, BLOCK)]


# --- its training --------------------------------------------------------------------------------


def scaled_inputs(pixels: NDArray[np.uint8], dtype: str) -> Array:
    """Return :func:`repro.mnist.images.scale_pixels` of all images, in aligned memory."""
    inputs = aligned_empty(pixels.shape, dtype)
    for start in range(0, len(pixels), SCALED_AT_ONCE):
        rows = slice(start, start + SCALED_AT_ONCE)
        inputs[rows] = scale_pixels(pixels[rows], dtype)
    return inputs


class NumpyTrainer:
    """Trains :class:`FastMlp` with the report's order of random draws."""

    framework = "numpy"

    def __init__(self, data: MnistSplits, recipe: MlpRecipe, seed: int) -> None:
        """Scale the images and draw the initial net.

        The one seed starts two generators, as in the report: one for the weights, which is
        ``RandomState(seed)``, and one for the shuffles, which was NumPy's global one.
        """
        self.recipe = recipe
        assert recipe.initial_std is not None  # noqa: S101  for mypy: the configuration has it
        self.net = FastMlp.drawn(
            (data.train.pixels.shape[1], *recipe.hidden, CLASSES),
            recipe.initial_std,
            np.random.RandomState(seed),
            recipe.dtype,
            activation=recipe.activation,
            output=recipe.output,
            loss=recipe.loss,
        )
        self.random = np.random.RandomState(seed)
        self._inputs = {}
        self._targets = {}
        for name in ("train", "validation"):
            part: ImageSet = getattr(data, name)
            self._inputs[name] = scaled_inputs(part.pixels, recipe.dtype)
            self._targets[name] = np.eye(CLASSES, dtype=recipe.dtype)[part.labels]

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
                loss = self.net.step(
                    x,
                    y,
                    self.recipe.learning_rate,
                    self.recipe.momentum,
                    self.recipe.weight_decay,
                )
                if not math.isfinite(loss):
                    raise DivergedError(step, loss)

    def evaluate(self, split: str) -> tuple[float, float]:
        """Return loss and accuracy (0 to 1) on "train" or "validation".

        "mse" is averaged over the classes too, so that a history shows the mean squared error as
        it is usually meant, the same for both nets, though this one descends the sum over classes.

        The report evaluated in shuffled batches. The order of images changes no figure, so they
        are taken as they lie; but the shuffle has to be drawn, for the next epoch's order comes
        after it in the random stream.
        """
        inputs, targets = self._inputs[split], self._targets[split]
        self._shuffle(len(inputs))
        loss, accuracy = self.net.evaluate(inputs, targets)
        return loss / (CLASSES if self.recipe.loss == "mse" else 1), accuracy

    def _shuffle(self, n: int) -> NDArray[np.int64]:
        order = np.arange(n)
        self.random.shuffle(order)
        return order

    def state(self) -> dict[str, Array]:
        """Return weights, biases, velocities if there is momentum, and the random state."""
        generator: Any = self.random.get_state(legacy=True)
        _, key, position, has_gauss, gauss = generator
        return {
            **self.net.parameters(),
            **self._velocities(),
            "random_key": key,
            "random_position": np.array([position, has_gauss]),
            "random_gauss": np.array(gauss),
        }

    def restore(self, state: Mapping[str, Array]) -> None:
        """Go back to where :meth:`state` was taken."""
        for name, array in (self.net.parameters() | self._velocities()).items():
            array[...] = state[name]
        position, has_gauss = state["random_position"].tolist()
        gauss = float(state["random_gauss"])
        self.random.set_state(("MT19937", state["random_key"], position, has_gauss, gauss))

    def _velocities(self) -> dict[str, Array]:
        """Return what momentum carries from step to step, by name: not copies."""
        kept = self.net.velocities if self.recipe.momentum else []
        return {f"velocities_{place}": array for place, array in enumerate(kept)}

    def scores(self, pixels: NDArray[np.uint8]) -> Array:
        """Return the net's outputs, float (n, 10), for grey values (n, pixels)."""
        return self.net.predict(scale_pixels(pixels, self.net.dtype))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the net to ``path`` (.npz), whole or not at all."""
        self.net.save(path)

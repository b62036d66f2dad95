"""One image through the net and back, step by step, and the gradient by hand beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from repro.mnist.net import LOSSES, Array, Mlp

_NUDGE = 1e-5


@dataclass(frozen=True)
class Step:
    """A value on the way.

    Attributes:
        name: as :mod:`repro.mnist.net` calls it.
        how: what it is computed from.
        value: the array.
    """

    name: str
    how: str
    value: Array


@dataclass(frozen=True)
class Derivative:
    """A derivative of the loss by one parameter, told twice."""

    parameter: str
    analytic: float
    numeric: float

    @property
    def difference(self) -> float:
        """Return the difference, relative to the larger."""
        return abs(self.analytic - self.numeric) / max(abs(self.analytic), abs(self.numeric), 1e-12)


def forward(net: Mlp, x: Array) -> list[Step]:
    """Return what :meth:`Mlp.forward` computes, each ``z`` too."""
    steps = [Step("a[0] = x", "the image's pixels, scaled to −1..1", x)]
    for layer, (w, b) in enumerate(zip(net.weights, net.biases, strict=True), start=1):
        z = steps[-1].value @ w.T + b
        steps.append(Step(f"z[{layer}]", f"a[{layer - 1}] @ w[{layer - 1}].T + b[{layer - 1}]", z))
        a = net.activations[layer - 1].a(z)
        steps.append(Step(f"a[{layer}]", f"{_name(net, layer)}(z[{layer}])", a))
    return steps


def backward(net: Mlp, x: Array, y: Array) -> list[Step]:
    """Return what :meth:`Mlp.backward` computes, in its order."""
    a = net.forward(x)
    _, by_a = LOSSES[net.kinds["loss"]](a[-1], y)
    last = len(net.weights)
    steps = [Step(f"d_loss__d_a[{last}]", f"2 (a[{last}] − y) / n", by_a)]
    for layer in reversed(range(last)):
        out = layer + 1
        slope = net.activations[layer].d_a__d_z(a[out])
        steps.append(
            Step(f"d_a__d_z[{out}]", f"the slope of {_name(net, out)}, from a[{out}]", slope)
        )
        by_z = by_a * slope
        steps += [
            Step(f"d_loss__d_z[{out}]", f"d_loss__d_a[{out}] * d_a__d_z[{out}]", by_z),
            Step(f"d_loss__d_w[{layer}]", f"d_loss__d_z[{out}].T @ a[{layer}]", by_z.T @ a[layer]),
            Step(f"d_loss__d_b[{layer}]", f"d_loss__d_z[{out}], summed over n", by_z.sum(axis=0)),
        ]
        if layer:
            by_a = by_z @ net.weights[layer]
            steps.append(Step(f"d_loss__d_a[{layer}]", f"d_loss__d_z[{out}] @ w[{layer}]", by_a))
    return steps


def check_gradient(
    net: Mlp, x: Array, y: Array, places: dict[str, tuple[int, ...]]
) -> list[Derivative]:
    """Hold the derivative by a parameter against (loss after − loss before) of a nudge both ways.

    Args:
        net: left as it was.
        x: inputs, shape (n, in).
        y: one-hot targets, shape (n, out).
        places: a place in each of some arrays of :meth:`Mlp.parameters`, by their names.
    """
    _, by_w, by_b = net.backward(x, y)
    gradients = {f"weights_{i}": g for i, g in enumerate(by_w)}
    gradients |= {f"biases_{i}": g for i, g in enumerate(by_b)}
    found = []
    for name, place in places.items():
        array, losses = net.parameters()[name], []
        kept = array[place]
        for nudge in (_NUDGE, -_NUDGE):
            array[place] = kept + nudge
            losses.append(net.evaluate(x, y)[0])
        array[place] = kept
        where = f"{name}[{', '.join(map(str, place))}]"
        numeric = (losses[0] - losses[1]) / (2 * _NUDGE)
        found.append(Derivative(where, float(gradients[name][place]), numeric))
    return found


def some(value: Array, most: int = 4) -> str:
    """Return an array's first values as text."""
    flat = np.ravel(value)
    shown = ", ".join(f"{number:.4g}" for number in flat[:most])
    return shown + (", …" if len(flat) > most else "")


def _name(net: Mlp, layer: int) -> str:
    return net.kinds["output" if layer == len(net.weights) else "activation"]

"""The steps that docs/FROM_SCRATCH.md shows are those that the net takes."""

import numpy as np
import pytest

from repro.mnist.net import Mlp
from repro.teaching.exercises import EXERCISES
from repro.teaching.steps import backward, check_gradient, forward
from support import ROOT


@pytest.fixture
def net():
    return Mlp.drawn((6, 4, 3, 2), 0.5, np.random.RandomState(1))


X = np.random.RandomState(2).uniform(-1, 1, (5, 6))
Y = np.eye(2)[[0, 1, 1, 0, 1]]


def test_the_steps_are_those_of_the_net(net):
    ahead = {step.name: step.value for step in forward(net, X)}
    back = {step.name: step.value for step in backward(net, X, Y)}
    for layer, a in enumerate(net.forward(X)[1:], start=1):
        assert np.array_equal(ahead[f"a[{layer}]"], a)
    _, by_w, by_b = net.backward(X, Y)
    for layer in range(3):
        assert np.array_equal(back[f"d_loss__d_w[{layer}]"], by_w[layer])
        assert np.array_equal(back[f"d_loss__d_b[{layer}]"], by_b[layer])


def test_moving_a_parameter_gives_the_backward_pass_and_leaves_the_net(net):
    before = [w.copy() for w in net.weights]
    rows = check_gradient(net, X, Y, {"weights_1": (2, 3), "biases_0": (1,)})
    assert [row.parameter for row in rows] == ["weights_1[2, 3]", "biases_0[1]"]
    assert max(row.difference for row in rows) < 1e-7
    assert min(abs(row.analytic) for row in rows) > 1e-5
    assert all(np.array_equal(*pair) for pair in zip(before, net.weights, strict=True))


def test_a_wrong_gradient_is_seen(net, monkeypatch):
    loss, by_w, by_b = net.backward(X, Y)
    monkeypatch.setattr(net, "backward", lambda x, y: (loss, by_w, [2 * b for b in by_b]))
    (row,) = check_gradient(net, X, Y, {"biases_0": (1,)})
    assert row.difference == pytest.approx(0.5, abs=1e-6)


def test_the_lines_that_exercises_change_are_there_once():
    code = (ROOT / "scripts/repro/mnist/numpy_trainer.py").read_text()
    lines = [line for exercise in EXERCISES for line in exercise.code.splitlines()]
    taken = [line[1:] for line in lines if line.startswith("-")]
    assert len(taken) == 2
    for line in taken:
        assert code.count(line + "\n") == 1

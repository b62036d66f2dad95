"""The net on one page: against hand work and against central differences."""

from __future__ import annotations

import numpy as np
import pytest

from repro.errors import UserError
from repro.mnist.net import ACTIVATIONS, LOSSES, OUTPUTS, Mlp

INPUTS, CLASSES = 5, 4
HIDDEN = ((), (6,), (6, 3), (4, 3, 5))


def drawn(hidden=(6,), dtype="float64", **kinds):
    net = Mlp.drawn((INPUTS, *hidden, CLASSES), 0.7, np.random.RandomState(1), dtype, **kinds)
    for b in net.biases:
        b[:] = np.linspace(-1, 1, len(b))
    return net


def samples(n, dtype="float64"):
    random = np.random.RandomState(2)
    x = random.normal(0, 1, (n, INPUTS)).astype(dtype)
    return x, np.eye(CLASSES, dtype=dtype)[random.randint(0, CLASSES, n)]


def test_a_net_worked_by_hand():
    # One input 2, one hidden unit with w = 0.5 and b = -1, so z = 0 and a = 1/2; one output with
    # w = 2 and b = -1, so z = 0 and a = 1/2 again. Target 1: loss (1/2 - 1)² = 1/4.
    net = Mlp([np.array([[0.5]]), np.array([[2.0]])], [np.array([-1.0]), np.array([-1.0])])
    x, y = np.array([[2.0]]), np.array([[1.0]])

    loss, d_loss__d_w, d_loss__d_b = net.backward(x, y)

    # d_loss__d_z of the output is 2 (1/2 - 1) · 1/4 = -1/4, below it -1/4 · 2 · 1/4 = -1/8.
    assert loss == 0.25
    assert [d.item() for d in d_loss__d_w] == [-0.25, -0.125]
    assert [d.item() for d in d_loss__d_b] == [-0.125, -0.25]
    assert net.step(x, y, learning_rate=8.0) == 0.25
    assert [w.item() for w in net.weights] == [0.5 + 2.0, 2.0 + 1.0]
    assert [b.item() for b in net.biases] == [-1.0 + 1.0, -1.0 + 2.0]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", HIDDEN, ids=lambda hidden: f"{len(hidden)}-hidden")
def test_derivatives_are_central_differences(hidden, activation, output, loss):
    net, (x, y) = drawn(hidden, activation=activation, output=output, loss=loss), samples(7)
    assert net.kinds == {"activation": activation, "output": output, "loss": loss}
    value, *derivatives = net.backward(x, y)
    assert value == net.evaluate(x, y)[0]
    for parameters, found in zip((net.weights, net.biases), derivatives, strict=True):
        for parameter, derivative in zip(parameters, found, strict=True):
            numeric = central_differences(lambda: net.evaluate(x, y)[0], parameter)
            error = np.linalg.norm(derivative - numeric) / np.linalg.norm(numeric)
            assert error < 1e-7


def central_differences(loss, parameter, h=1e-5):
    numeric = np.empty_like(parameter)
    for place in np.ndindex(parameter.shape):
        value = parameter[place]
        parameter[place] = value + h
        above = loss()
        parameter[place] = value - h
        below = loss()
        parameter[place] = value
        numeric[place] = (above - below) / (2 * h)
    return numeric


def test_accuracy_is_the_share_of_samples_whose_class_has_the_largest_output():
    x = np.array([[0.0, 2, 1], [3, 0, 1], [0, 1, 2], [1, 0, 0]])
    net = Mlp([np.eye(3)], [np.zeros(3)])
    assert net.evaluate(x, np.eye(3)[[1, 0, 0, 2]])[1] == 0.5


def test_layers_are_drawn_from_input_to_output_from_one_generator():
    net = Mlp.drawn((16, 7, 5, 10), 0.1, np.random.RandomState(123))
    short = Mlp.drawn((16, 7, 5, 10), 0.1, np.random.RandomState(123), "float32")
    expected = np.random.RandomState(123)
    for layer, shape in enumerate([(7, 16), (5, 7), (10, 5)]):
        weights = expected.normal(0.0, 0.1, shape)
        assert np.array_equal(net.weights[layer], weights)
        assert np.array_equal(short.weights[layer], weights.astype(np.float32))
        assert net.biases[layer].tolist() == [0] * shape[0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.filterwarnings("error")
def test_saturated_outputs_stay_finite_and_silent(dtype, loss):
    net, (x, y) = drawn((), dtype, loss=loss), samples(6, dtype)
    value, (d_loss__d_w,), _ = net.backward(x * np.asarray(1e4, dtype), y)
    assert np.isfinite(value)
    assert np.isfinite(d_loss__d_w).all()
    assert d_loss__d_w.dtype == dtype


@pytest.mark.parametrize("logit", [1e4, -1e4])
def test_cross_entropy_of_large_logits_is_exact(logit):
    net = Mlp([np.eye(3)], [np.zeros(3)], output="linear", loss="cross_entropy")
    x, y = np.array([[logit, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.0]])
    # log(exp(logit) + 2) for the two zeros.
    assert net.evaluate(x, y)[0] == pytest.approx(max(logit, np.log(2)))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_saved_net_comes_back(tmp_path, dtype):
    net = drawn((6, 3), dtype, activation="tanh", output="linear", loss="cross_entropy")
    net.save(tmp_path / "net.npz")
    again = Mlp.load(tmp_path / "net.npz")
    x, y = samples(5, dtype)
    assert np.array_equal(again.predict(x), net.predict(x))
    assert again.step(x, y, 0.1) == net.step(x, y, 0.1)


def test_a_net_has_arrays_of_its_own():
    weights, biases = [np.ones((4, 5))], [np.ones(4)]
    Mlp(weights, biases).step(*samples(3), 0.1)
    assert (weights[0] == 1).all()
    assert (biases[0] == 1).all()


def test_shapes_that_do_not_fit_are_named():
    x, y = samples(4)
    for inputs, targets in ((x[:, :3], y), (x[0], y), (x[:0], y[:0]), (x, y[:, :3]), (x, y[:3])):
        for call in (drawn().backward, drawn().evaluate):
            with pytest.raises(UserError, match=r"expected inputs \(n, 5\) and targets \(n, 4\)"):
                call(inputs, targets)
    with pytest.raises(UserError, match=r"layer 1: expected weights of shape \(2, 3\)"):
        Mlp([np.ones((3, 5)), np.ones((2, 4))], [np.ones(3), np.ones(2)])


def test_a_value_that_is_nan_comes_back_as_the_loss():
    x, y = samples(4)
    x[2, 1] = np.nan
    assert np.isnan(drawn().step(x, y, 0.1))

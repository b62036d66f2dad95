"""The net itself: against hand work, against central differences, against plain expressions."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.errors import UserError
from repro.mnist import net as mlp
from repro.mnist.net import ACTIVATIONS, LOSSES, OUTPUTS, Mlp, aligned_empty, multiply, one_hot

INPUTS, CLASSES = 5, 4
HIDDEN = ((), (6,), (6, 3), (4, 3, 5))


def drawn(seed: int, hidden: tuple[int, ...] = (6,), dtype: str = "float64", **kinds: str) -> Mlp:
    random = np.random.RandomState(seed)
    sizes = (INPUTS, *hidden, CLASSES)
    weights = [random.normal(0, 0.7, (b, a)).astype(dtype) for a, b in pairwise(sizes)]
    biases = [random.normal(0, 0.7, b).astype(dtype) for b in sizes[1:]]
    return Mlp(weights, biases, **kinds)


def samples(seed: int, n: int, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray]:
    random = np.random.RandomState(seed)
    x = random.normal(0, 1, (n, INPUTS)).astype(dtype)
    return x, one_hot(random.randint(0, CLASSES, n), CLASSES, dtype)


@pytest.mark.parametrize("shape", [(3, 5), (7,), (1, 1)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_aligned_arrays_start_at_a_cache_line(shape, dtype):
    array = aligned_empty(shape, dtype)
    assert array.ctypes.data % 64 == 0
    assert array.shape == shape
    assert array.dtype == dtype
    assert array.flags.writeable
    assert array.flags.c_contiguous


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 12), st.integers(1, 12)),
    limit=st.sampled_from([0, 1, 100, 1000]),
    multiple=st.sampled_from([1, 3, 8]),
    transposed=st.booleans(),
)
@settings(deadline=None)
def test_a_product_in_slabs_is_the_product(shape, limit, multiple, transposed):
    m, k, n = shape
    random = np.random.RandomState(m)
    a, b = random.normal(size=(m, k)), random.normal(size=(k, n))
    out = np.full((n, m) if transposed else (m, n), np.nan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlp, "_small_product", lambda: limit)
        multiply(a, b, out.T if transposed else out, multiple=multiple)
    np.testing.assert_allclose(out.T if transposed else out, a @ b, rtol=1e-12, atol=1e-13)


def test_slabs_change_no_gradient(monkeypatch):
    net, (x, y) = drawn(17, (6, 70)), samples(18, 200)
    monkeypatch.setattr(mlp, "_small_product", lambda: 0)
    loss, whole = net.gradients(x, y)
    monkeypatch.setattr(mlp, "_small_product", lambda: 2000)
    assert net.gradients(x, y)[0] == pytest.approx(loss, rel=1e-12)
    for a, b in zip(whole.weights, net.gradients(x, y)[1].weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)


def test_a_net_worked_by_hand():
    # One input 2, one hidden unit with w = 0.5 and b = -1, so z = 0 and a = 1/2; one output with
    # w = 2 and b = -1, so z = 0 and a = 1/2 again. Target 1: loss (1/2 - 1)² = 1/4.
    net = Mlp([np.array([[0.5]]), np.array([[2.0]])], [np.array([-1.0]), np.array([-1.0])])
    x, y = np.array([[2.0]]), np.array([[1.0]])

    loss, gradients = net.gradients(x, y)

    # delta2 = 2 (1/2 - 1) · 1/4 = -1/4; delta1 = -1/4 · 2 · 1/4 = -1/8.
    assert loss == 0.25
    assert [g.item() for g in gradients.weights] == [-0.25, -0.125]
    assert [g.item() for g in gradients.biases] == [-0.125, -0.25]
    assert net.step(x, y, learning_rate=8.0) == 0.25
    assert [w.item() for w in net.weights] == [0.5 + 2.0, 2.0 + 1.0]
    assert [b.item() for b in net.biases] == [-1.0 + 1.0, -1.0 + 2.0]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", HIDDEN, ids=lambda hidden: f"{len(hidden)}-hidden")
def test_gradients_are_central_differences(hidden, activation, output, loss):
    net = drawn(1, hidden, activation=activation, output=output, loss=loss)
    x, y = samples(2, 7)
    _, gradients = net.gradients(x, y)

    for parameters, found in zip((net.weights, net.biases), gradients, strict=True):
        for parameter, gradient in zip(parameters, found, strict=True):
            numeric = central_differences(lambda: net.gradients(x, y)[0], parameter)
            error = np.linalg.norm(gradient - numeric) / np.linalg.norm(numeric)
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


def plain_outputs(net: Mlp, x: np.ndarray) -> np.ndarray:
    formulas = {
        "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
        "relu": lambda z: np.where(z > 0, z, 0),
        "tanh": np.tanh,
        "linear": lambda z: z,
    }
    kinds = [net.activation] * (len(net.weights) - 1) + [net.output]
    for w, b, kind in zip(net.weights, net.biases, kinds, strict=True):
        x = formulas[kind](x @ w.T + b)
    return x


def plain_loss(net: Mlp, x: np.ndarray, y: np.ndarray) -> float:
    a = plain_outputs(net, x)
    if net.loss == "mse":
        return float(((a - y) ** 2).sum() / len(x))
    return float(-np.log((np.exp(a) / np.exp(a).sum(axis=1, keepdims=True))[y == 1]).mean())


nets = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32 - 1),
        "hidden": st.lists(st.integers(1, 9), max_size=3).map(tuple),
        "activation": st.sampled_from(sorted(ACTIVATIONS)),
        "output": st.sampled_from(sorted(OUTPUTS)),
        "loss": st.sampled_from(sorted(LOSSES)),
    }
)


@given(kinds=nets, n=st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_outputs_and_loss_are_the_plain_expressions(kinds, n):
    net = drawn(**kinds)
    x, y = samples(kinds["seed"], n)

    np.testing.assert_allclose(net.predict(x), plain_outputs(net, x), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(net.gradients(x, y)[0], plain_loss(net, x, y), rtol=1e-10)
    loss, accuracy = net.evaluate(x, y)
    np.testing.assert_allclose(loss, plain_loss(net, x, y), rtol=1e-10)
    assert accuracy == (plain_outputs(net, x).argmax(axis=1) == y.argmax(axis=1)).mean()


@given(kinds=nets, n=st.integers(1, 40), learning_rate=st.floats(1e-6, 10))
@settings(max_examples=60, deadline=None)
def test_a_step_goes_down_the_gradient(kinds, n, learning_rate):
    net, before = drawn(**kinds), drawn(**kinds)
    x, y = samples(kinds["seed"], n)
    loss, gradients = before.gradients(x, y)

    assert net.step(x, y, learning_rate) == loss
    for moved, start, slope in zip(net.weights, before.weights, gradients.weights, strict=True):
        np.testing.assert_allclose(moved, start - learning_rate * slope, rtol=1e-10, atol=1e-12)
    for moved, start, slope in zip(net.biases, before.biases, gradients.biases, strict=True):
        np.testing.assert_allclose(moved, start - learning_rate * slope, rtol=1e-10, atol=1e-12)


@given(kinds=nets, n=st.integers(1, 30), repeats=st.integers(2, 3))
@settings(max_examples=30, deadline=None)
def test_gradients_are_averages_over_the_batch(kinds, n, repeats):
    net = drawn(**kinds)
    x, y = samples(kinds["seed"], n)
    loss, once = net.gradients(x, y)
    same, often = net.gradients(np.tile(x, (repeats, 1)), np.tile(y, (repeats, 1)))

    np.testing.assert_allclose(same, loss, rtol=1e-10)
    for a, b in zip(once.weights + once.biases, often.weights + often.biases, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("n", [1, 7, 8, 9, 20])
def test_blocks_of_an_evaluation_cover_every_sample_once(monkeypatch, n):
    net, (x, y) = drawn(3), samples(4, n)
    expected = plain_loss(net, x, y)
    monkeypatch.setattr(mlp, "BLOCK", 8)

    np.testing.assert_allclose(net.predict(x), plain_outputs(net, x), rtol=1e-12)
    np.testing.assert_allclose(net.evaluate(x, y)[0], expected, rtol=1e-12)


def test_a_prediction_is_not_overwritten_by_the_next():
    net, (x, _) = drawn(5), samples(6, 3)
    first = net.predict(x)
    kept = first.copy()
    net.predict(x + 1)
    assert np.array_equal(first, kept)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.filterwarnings("error")
def test_saturated_outputs_stay_finite_and_silent(dtype, loss):
    net = drawn(7, (), dtype, output="sigmoid", loss=loss)
    x, y = samples(8, 6, dtype)
    loss_value, gradients = net.gradients(x * np.asarray(1e4, dtype), y)
    assert np.isfinite(loss_value)
    assert all(np.isfinite(g).all() for g in gradients.weights)


@pytest.mark.parametrize("logit", [1e4, -1e4])
def test_cross_entropy_of_large_logits_is_exact(logit):
    net = Mlp([np.eye(3)], [np.zeros(3)], output="linear", loss="cross_entropy")
    x, y = np.array([[logit, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.0]])
    # log(exp(logit) + 2) for the two zeros.
    assert net.evaluate(x, y)[0] == pytest.approx(max(logit, np.log(2)))


def test_float32_follows_float64():
    exact, short = drawn(9), drawn(9, dtype="float32")
    x, y = samples(10, 50)
    for _ in range(20):
        expected = exact.step(x, y, 0.5)
        loss = short.step(x.astype(np.float32), y.astype(np.float32), 0.5)
        assert loss == pytest.approx(expected, rel=1e-5)
    assert short.weights[0].dtype == short.predict(x.astype(np.float32)).dtype == np.float32
    for a, b in zip(exact.weights, short.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_saved_net_comes_back(tmp_path: Path, dtype: str):
    net = drawn(11, (6, 3), dtype, activation="tanh", output="linear", loss="cross_entropy")
    net.save(tmp_path / "net.npz")
    again = Mlp.load(tmp_path / "net.npz")
    x, y = samples(12, 5, dtype)
    assert np.array_equal(again.predict(x), net.predict(x))
    assert again.step(x, y, 0.1) == net.step(x, y, 0.1)


def test_what_is_no_saved_net_is_refused(tmp_path: Path):
    path = tmp_path / "net.npz"
    drawn(13).save(path)
    whole = path.read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"net\.npz: not a saved net"):
            Mlp.load(path)
    with pytest.raises(UserError, match="not a saved net"):
        Mlp.load(tmp_path / "absent.npz")


def with_nan(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x[2, 1] = np.nan
    return x


X, Y = samples(14, 4)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[:, :3], Y, r"inputs: expected shape \(n, 5\); found \(4, 3\)"),
        (X[0], Y, r"inputs: expected shape \(n, 5\); found \(5,\)"),
        (X[:0], Y[:0], "inputs: expected at least one sample; found none"),
        (with_nan(X), Y, "inputs: expected finite numbers; found NaN or infinity in row 2"),
        (X.astype(np.float32), Y, "inputs: expected float64, .*; found float32"),
        (X, Y[:, :3], r"targets: expected shape \(n, 4\); found \(4, 3\)"),
        (X, Y[:3], "targets: expected 4 rows, one an input; found 3"),
        (X, with_nan(Y), "targets: expected finite numbers"),
    ],
)
def test_bad_samples_are_named(x, y, message):
    with pytest.raises(UserError, match=message):
        drawn(15).gradients(x, y)


@pytest.mark.parametrize("method", ["evaluate", "step"])
def test_shapes_are_checked_where_values_are_not(method):
    def call(x, y):
        return getattr(drawn(15), method)(x, y, *([0.1] if method == "step" else []))

    with pytest.raises(UserError, match="expected at least one sample"):
        call(X[:0], Y[:0])
    with pytest.raises(UserError, match="targets: expected 4 rows"):
        call(X, Y[:1])
    loss = call(with_nan(X), Y)
    assert np.isnan(loss if method == "step" else loss[0])


@pytest.mark.parametrize("labels", [[-1, 0], [0, 4]])
def test_labels_out_of_range_are_named(labels):
    with pytest.raises(UserError, match=f"expected class indices 0 to 3; found {min(labels)}"):
        one_hot(np.array(labels), 4)


def test_layers_that_do_not_fit_are_named():
    w1, w2, b1, b2 = np.ones((3, 5)), np.ones((2, 3)), np.ones(3), np.ones(2)
    for weights, biases, message in (
        ([], [], "at least one layer"),
        ([w1, w2], [b1], "found 2 and 1"),
        ([w1, np.ones((2, 4))], [b1, b2], r"layer 1: expected weights \(out, 3\)"),
        ([w1, w2], [b1, np.ones(3)], "layer 1"),
        ([w1, w2.astype(np.float32)], [b1, b2], "layer 1: expected float64 throughout"),
        ([w1.astype(int)], [b1.astype(int)], "expected float64 or float32"),
    ):
        with pytest.raises(UserError, match=message):
            Mlp(weights, biases)


@pytest.mark.parametrize("field", ["activation", "output", "loss"])
def test_unknown_kinds_are_named(field):
    with pytest.raises(UserError, match=f"{field}: expected one of .*; found 'swish'"):
        drawn(16, **{field: "swish"})

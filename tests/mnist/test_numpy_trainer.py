"""The fast net is the net on one page, and its training is the report's protocol."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from repro.mnist import numpy_trainer, products
from repro.mnist.images import scale_pixels
from repro.mnist.net import ACTIVATIONS, LOSSES, OUTPUTS, Mlp
from repro.mnist.numpy_trainer import FastMlp, NumpyTrainer, scaled_inputs
from repro.mnist.recipe import MlpRecipe, full_batches
from repro.mnist.training import predict, train
from small_mnist import small_splits

REPORTED = MlpRecipe(hidden=(50,), learning_rate=0.1, batch_size=100, epochs=50, initial_std=0.1)
SIZES = ((16, 10), (16, 7, 10), (16, 6, 70, 10), (16, 4, 5, 6, 10))


# --- the net -------------------------------------------------------------------------------------


def samples(n, dtype="float64"):
    random = np.random.RandomState(2)
    x = random.normal(0, 1, (n, 16)).astype(dtype)
    return x, np.eye(10, dtype=dtype)[random.randint(0, 10, n)]


def close(net, other, rtol=1e-10, atol=1e-13):
    for a, b in zip(net.parameters().values(), other.parameters().values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


KINDS = [
    dict(zip(("activation", "output", "loss"), kinds, strict=True))
    for kinds in product(ACTIVATIONS, OUTPUTS, LOSSES)
]


@pytest.mark.parametrize("largest_product", [0, 2000], ids=["whole", "slabs"])
@pytest.mark.parametrize("kinds", KINDS, ids=lambda kinds: "-".join(kinds.values()))
@pytest.mark.parametrize("sizes", SIZES, ids=lambda sizes: f"{len(sizes) - 2}-hidden")
@pytest.mark.parametrize("further", [(0, 0), (0.9, 0.02)], ids=["plain", "momentum and decay"])
def test_the_fast_net_is_the_net(monkeypatch, further, sizes, kinds, largest_product):
    """To the digit, not to the bit: it multiplies and sums in another order."""
    monkeypatch.setattr(products, "_small_product", lambda: largest_product)
    monkeypatch.setattr(numpy_trainer, "BLOCK", 64)
    plain, fast = (
        kind.drawn(sizes, 0.3, np.random.RandomState(1), **kinds) for kind in (Mlp, FastMlp)
    )
    x, y = samples(150)
    # The last batch has another number of samples.
    for rows in (slice(0, 80), slice(40, 120), slice(70, 150), slice(3, 4)):
        expected = plain.step(x[rows], y[rows], 0.05, *further)
        assert fast.step(x[rows], y[rows], 0.05, *further) == pytest.approx(expected, rel=1e-10)
        close(fast, plain)
    np.testing.assert_allclose(fast.predict(x), plain.predict(x), rtol=1e-10, atol=1e-13)
    assert fast.evaluate(x, y) == pytest.approx(plain.evaluate(x, y), rel=1e-10)


@pytest.mark.parametrize("n", [1, 7, 8, 9, 20])
def test_blocks_of_an_evaluation_cover_every_sample_once(monkeypatch, n):
    monkeypatch.setattr(numpy_trainer, "BLOCK", 8)
    net, (x, y) = FastMlp.drawn((16, 7, 10), 0.5, np.random.RandomState(3)), samples(n)
    np.testing.assert_allclose(net.predict(x), net.forward(x)[-1], rtol=1e-12)
    assert net.evaluate(x, y) == pytest.approx(Mlp.evaluate(net, x, y), rel=1e-10)


def test_a_prediction_is_not_overwritten_by_the_next():
    net, (x, _) = FastMlp.drawn((16, 7, 10), 0.5, np.random.RandomState(5)), samples(3)
    first = net.predict(x)
    kept = first.copy()
    net.predict(x + 1)
    assert np.array_equal(first, kept)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.filterwarnings("error")
def test_saturated_outputs_stay_finite_and_silent(dtype, loss):
    net = FastMlp.drawn((16, 10), 0.7, np.random.RandomState(7), dtype, loss=loss)
    x, y = samples(6, dtype)
    assert np.isfinite(net.step(x * np.asarray(1e4, dtype), y, 0.1))
    assert all(np.isfinite(array).all() for array in net.parameters().values())


def test_float32_follows_float64():
    exact, short = (
        FastMlp.drawn((16, 6, 10), 0.7, np.random.RandomState(9), dtype)
        for dtype in ("float64", "float32")
    )
    (x, y), (x32, y32) = samples(50), samples(50, "float32")
    for _ in range(20):
        assert short.step(x32, y32, 0.5) == pytest.approx(exact.step(x, y, 0.5), rel=1e-5)
    assert short.weights[0].dtype == short.predict(x32).dtype == np.float32
    close(short, exact, rtol=1e-3, atol=1e-5)


# --- the protocol --------------------------------------------------------------------------------


def test_images_are_scaled_in_blocks(monkeypatch):
    monkeypatch.setattr(numpy_trainer, "SCALED_AT_ONCE", 7)
    pixels = small_splits().train.pixels
    for dtype in ("float64", "float32"):
        assert scaled_inputs(pixels, dtype).tobytes() == scale_pixels(pixels, dtype).tobytes()


def test_three_epochs_are_the_protocol_written_out_plainly():
    """With the net on one page: weights and shuffles from generators of the same seed."""
    data = small_splits(train=350, validation=200, test=10)
    trainer = NumpyTrainer(data, REPORTED, seed=123)
    net = Mlp.drawn((16, 50, 10), 0.1, np.random.RandomState(123))
    random = np.random.RandomState(123)

    def batches(part):
        order = np.arange(len(part.pixels))
        random.shuffle(order)
        for places in full_batches(len(order), 100):
            rows = order[places]
            yield scale_pixels(part.pixels[rows]), np.eye(10)[part.labels[rows]]

    for _ in range(3):
        trainer.train_epoch()
        trainer.evaluate("train")
        for x, y in batches(data.train):
            net.step(x, y, 0.1)
        # An evaluation draws a shuffle too; 50 of the 350 images are in none of its full batches.
        list(batches(data.train))
        measured = np.mean([net.evaluate(x, y) for x, y in batches(data.validation)], axis=0)
        # The history's loss is the mean over the classes.
        assert trainer.evaluate("validation") == pytest.approx(measured / [10, 1], rel=1e-10)
    close(trainer.net, net, atol=1e-14)
    for ours, theirs in zip(trainer.random.get_state(), random.get_state(), strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_all_is_computed_in_the_precision_that_is_asked_for(dtype):
    data = small_splits()
    trainer = NumpyTrainer(data, replace(REPORTED, dtype=dtype), 1)
    assert {array.dtype for array in trainer.net.parameters().values()} == {np.dtype(dtype)}
    assert trainer.scores(data.test.pixels).dtype == dtype


@pytest.mark.parametrize("kind", [Mlp, FastMlp])
def test_an_image_s_cross_entropy_does_not_depend_on_how_sure_others_are(kind):
    net = kind([np.eye(2)], [np.zeros(2)], output="linear", loss="cross_entropy")
    loss = net.step(np.array([[5000.0, 0.0], [0.0, 1.0]]), np.eye(2), 0.1)
    assert loss == pytest.approx(np.log1p(np.exp(-1)) / 2)


def test_the_net_on_one_page_reads_what_is_saved(tmp_path):
    data = small_splits()
    trainer, _ = train(NumpyTrainer, data, replace(REPORTED, epochs=1), 1)
    trainer.save(tmp_path / "model.npz")
    scores = Mlp.load(tmp_path / "model.npz").predict(scale_pixels(data.test.pixels))
    np.testing.assert_allclose(scores, predict(trainer, data).of("test").scores, rtol=1e-12)


# --- the report's figures ------------------------------------------------------------------------

# Accuracies of train and validation after the first epochs of model 1, as the report's notebook
# printed them, and of train, validation and test at the end, in %.
FIRST_EPOCHS = [76.15, 75.98, 85.45, 85.04, 87.82, 87.60]
FINAL = {"train": 95.61, "validation": 94.78, "test": 94.54}


def first_epochs(history):
    return [round(100 * row.accuracy, 2) for row in history[:6]]


@pytest.mark.heavy
def test_model_1_comes_out_to_the_digit(mnist):
    trainer, history = train(NumpyTrainer, mnist, replace(REPORTED, dtype="float32"), 123)
    assert first_epochs(history) == FIRST_EPOCHS
    assert percentages(predict(trainer, mnist)) == FINAL


@pytest.mark.heavy
def test_model_1_begins_to_the_digit_in_the_report_s_own_precision(mnist):
    _, history = train(NumpyTrainer, mnist, replace(REPORTED, epochs=3), 123)
    assert first_epochs(history) == FIRST_EPOCHS


@pytest.mark.heavy
def test_model_2_ends_where_its_recipe_was_seen_to(mnist):
    recipe = replace(REPORTED, hidden=(128, 64), dtype="float32")
    trainer, _ = train(NumpyTrainer, mnist, recipe, 123)
    found = percentages(predict(trainer, mnist))
    assert found == {"train": 96.77, "validation": 95.98, "test": 95.81}


def percentages(predictions):
    return {
        split: round(100 * float(np.mean(own.scores.argmax(axis=1) == own.labels)), 2)
        for split in FINAL
        for own in [predictions.of(split)]
    }

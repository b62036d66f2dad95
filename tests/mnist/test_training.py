"""The report's protocol, the loop over epochs, and going on after a kill."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import small_mnist
from bench.mnist import RECIPE as REPORTED
from bench.mnist import Data, Direct
from repro.errors import UserError
from repro.mnist import training
from repro.mnist.images import ImageSet, MnistSplits, scale_pixels
from repro.mnist.net import Mlp
from repro.mnist.training import (
    MlpRecipe,
    NumpyTrainer,
    TrainedMlp,
    full_batches,
    initial_net,
    train_mlp,
)
from repro.predictions import Predictions
from small_mnist import OUTPUTS, SEED, small_splits, write_small

RECIPE = MlpRecipe(hidden=(7,), learning_rate=0.5, batch_size=10, epochs=3, initial_std=0.1)


# --- the protocol --------------------------------------------------------------------------------


def test_weights_are_drawn_layer_by_layer_from_one_generator():
    net = initial_net(replace(RECIPE, hidden=(7, 5)), 16, np.random.RandomState(123))
    expected = np.random.RandomState(123)
    for weights, shape in zip(net.weights, [(7, 16), (5, 7), (10, 5)], strict=True):
        assert np.array_equal(weights, expected.normal(0.0, 0.1, shape))
    assert not any(b.any() for b in net.biases)


def test_float32_starts_from_the_same_draws():
    exact = initial_net(RECIPE, 16, np.random.RandomState(3))
    short = initial_net(replace(RECIPE, dtype="float32"), 16, np.random.RandomState(3))
    assert np.array_equal(exact.weights[0].astype(np.float32), short.weights[0])


@given(n=st.integers(1, 200), batch_size=st.integers(1, 250))
def test_batches_are_full_and_only_a_last_part_is_left_out(n, batch_size):
    places = np.arange(n)
    batches = [places[batch] for batch in full_batches(n, batch_size)]
    size = min(n, batch_size)
    assert all(len(batch) == size for batch in batches)
    seen = np.concatenate(batches)
    assert np.array_equal(seen, places[: len(seen)])
    assert n - len(seen) < size


def test_an_epoch_draws_three_shuffles():
    trainer = NumpyTrainer(small_splits(), RECIPE, seed=123)
    expected = np.random.RandomState(123)
    for n in (60, 60, 23):
        expected.shuffle(np.arange(n))
    trainer.train_epoch()
    trainer.evaluate("train")
    trainer.evaluate("validation")
    for ours, theirs in zip(trainer.random.get_state(), expected.get_state(), strict=True):
        assert np.array_equal(ours, theirs)


def test_three_epochs_equal_the_protocol_written_out_plainly():
    """``Direct`` of the benchmark shares no code with the net: it is its second opinion."""
    data = small_splits(train=350, validation=200, test=10)
    trainer, direct = NumpyTrainer(data, REPORTED, seed=123), Direct(Data(data))
    for _ in range(3):
        trainer.train_epoch()
        direct.train_epoch()
        trainer.evaluate("train")
        loss, accuracy = trainer.evaluate("validation")
        direct.evaluate()
        assert (accuracy, loss) == pytest.approx(direct.measured, rel=1e-12)
    for ours, theirs in zip(trainer.net.weights, (direct.w1, direct.w2), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-14)
    for ours, theirs in zip(trainer.net.biases, (direct.b1, direct.b2), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-14)


# --- training ------------------------------------------------------------------------------------


@given(
    hidden=st.lists(st.integers(1, 8), max_size=3).map(tuple),
    batch_size=st.sampled_from([1, 2, 59, 60, 61, 1000]),
    dtype=st.sampled_from(["float64", "float32"]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=25, deadline=None)
def test_any_shape_trains_and_depends_on_the_seed_alone(hidden, batch_size, dtype, seed):
    data = small_splits()
    recipe = replace(RECIPE, hidden=hidden, batch_size=batch_size, dtype=dtype, epochs=2)
    trained, again = train_mlp(data, recipe, seed), train_mlp(data, recipe, seed)
    assert same(trained, again)
    assert not same(trained, train_mlp(data, recipe, (seed + 1) % 2**32))
    assert trained.net.sizes == (16, *hidden, 10)


def same(a: TrainedMlp, b: TrainedMlp) -> bool:
    return a.history.equals(b.history) and all(
        np.array_equal(x, y)
        for x, y in zip(a.net.parameters().values(), b.net.parameters().values(), strict=True)
    )


@pytest.fixture
def blocks_of_seven(monkeypatch):
    """Let images be scaled in blocks, of which the last is not full."""
    monkeypatch.setattr(training, "_SCALED_AT_ONCE", 7)


def test_history_holds_loss_and_accuracy_at_each_epoch_s_end(blocks_of_seven):
    data = small_splits()
    trained = train_mlp(data, RECIPE, 1)
    history = trained.history
    assert list(history.columns) == ["epoch", "split", "loss", "accuracy"]
    assert history["epoch"].tolist() == [1, 1, 2, 2, 3, 3]
    assert history["split"].tolist() == ["train", "validation"] * 3
    for row, part in ((-2, data.train), (-1, data.validation)):
        scores = trained.net.predict(scale_pixels(part.pixels))
        targets = np.eye(10)[part.labels]
        assert history["loss"].iloc[row] == pytest.approx(np.mean((scores - targets) ** 2))
        assert history["accuracy"].iloc[row] == np.mean(scores.argmax(axis=1) == part.labels)


@pytest.mark.parametrize(("output", "loss"), [("sigmoid", "mse"), ("linear", "cross_entropy")])
def test_it_learns(output, loss):
    recipe = replace(RECIPE, output=output, loss=loss, epochs=200)
    history = train_mlp(small_splits(train=200), recipe, 1).history
    assert history["accuracy"].iloc[-1] > 0.9


def test_history_of_cross_entropy_is_in_nats_an_image():
    data = small_splits()
    recipe = replace(RECIPE, output="linear", loss="cross_entropy", epochs=1)
    trained = train_mlp(data, recipe, 1)
    scores = trained.net.predict(scale_pixels(data.validation.pixels))
    log_probabilities = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    chosen = log_probabilities[np.arange(23), data.validation.labels]
    assert trained.history["loss"].iloc[-1] == pytest.approx(-chosen.mean())


@pytest.mark.parametrize("output", ["sigmoid", "linear"])
def test_predictions_cover_all_splits_in_their_order(blocks_of_seven, output):
    data = small_splits()
    trained = train_mlp(data, replace(RECIPE, output=output), 1)
    predictions = trained.predict(data)
    assert predictions.kind == output
    assert np.array_equal(predictions.classes, np.arange(10))
    for name in ("train", "validation", "test"):
        part, own = getattr(data, name), predictions.of(name)
        assert np.array_equal(own.ids, part.ids)
        assert np.array_equal(own.labels, part.labels)
        np.testing.assert_allclose(own.scores, trained.net.predict(scale_pixels(part.pixels)))


def test_test_images_do_not_matter_to_training():
    data = small_splits()
    other = MnistSplits(data.train, data.validation, small_splits(1, 1, 30).test)
    assert same(train_mlp(data, RECIPE, 1), train_mlp(other, RECIPE, 1))


@pytest.mark.fault("training", "the loss becomes infinite or NaN", "stopped, naming epoch and step")
def test_a_diverging_loss_stops_with_epoch_and_step():
    recipe = replace(RECIPE, activation="relu", output="linear", learning_rate=1e100)
    with pytest.raises(UserError, match=r"loss became (nan|inf) in epoch 1, step [23]: .*1e\+100"):
        train_mlp(small_splits(), recipe, 1)


def test_a_loss_that_diverges_in_the_last_step_stops_too():
    recipe = replace(RECIPE, activation="relu", output="linear", learning_rate=1e100)
    with pytest.raises(UserError, match=r"loss became (nan|inf) at the end of epoch 1: .*1e\+100"):
        train_mlp(small_splits(), replace(recipe, epochs=1, batch_size=1_000), 1)


def test_a_loss_that_is_nan_at_a_later_epoch_is_placed(monkeypatch):
    steps = 0
    step = Mlp.step

    def seventh_of_second_epoch(self, x, y, learning_rate):
        nonlocal steps
        steps += 1
        return step(self, x, y, learning_rate) if steps < 13 else float("nan")

    monkeypatch.setattr(Mlp, "step", seventh_of_second_epoch)
    with pytest.raises(UserError, match="the loss became nan in epoch 3, step 1"):
        train_mlp(small_splits(), RECIPE, 1)


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("learning_rate", -0.1),
        ("learning_rate", 0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("learning_rate", "0.1"),
        ("batch_size", 0),
        ("batch_size", 1.5),
        ("epochs", 0),
        ("epochs", True),
        ("hidden", [0]),
        ("hidden", ["50"]),
        ("hidden", 50),
        ("hidden", "50"),
        ("initial_std", -1),
        ("dtype", "float16"),
        ("activation", "swish"),
        ("output", "softmax"),
        ("loss", "hinge"),
    ],
)
def test_a_recipe_names_the_field_that_is_wrong(field, value):
    values = {"hidden": [7], "learning_rate": 0.1, "batch_size": 10, "epochs": 1, field: value}
    with pytest.raises(UserError, match=rf"^{field}: expected .*found"):
        MlpRecipe.from_mapping(values)


def test_a_recipe_rejects_unknown_and_missing_keys():
    values = {"hidden": [7], "learning_rate": 0.1, "batch_size": 10, "epochs": 1}
    assert MlpRecipe.from_mapping(values).hidden == (7,)
    with pytest.raises(UserError, match="unknown momentum"):
        MlpRecipe.from_mapping({**values, "momentum": 0.9})
    del values["epochs"]
    with pytest.raises(UserError, match="epochs missing"):
        MlpRecipe.from_mapping(values)


def test_the_numpy_net_needs_an_initial_std():
    with pytest.raises(UserError, match="initial_std: the NumPy net needs a number"):
        train_mlp(small_splits(), replace(RECIPE, initial_std=None), 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixels": np.zeros((23, 15), np.uint8)}, r"validation images: expected .*\(n, 16\)"),
        ({"pixels": np.zeros((23, 16))}, "validation images: expected uint8 .*found float64"),
        ({"pixels": np.zeros((0, 16), np.uint8)}, "validation images: expected at least one"),
        ({"labels": np.zeros(22, np.int64)}, "validation labels: expected 23"),
        ({"labels": np.full(23, 10)}, "validation labels: expected 0 to 9; found 10 to 10"),
        ({"labels": np.full(23, -1)}, "validation labels: expected 0 to 9; found -1"),
    ],
)
def test_bad_data_is_named(change, message):
    data = small_splits()
    spoiled: ImageSet = replace(data.validation, **change)
    with pytest.raises(UserError, match=message):
        train_mlp(replace(data, validation=spoiled), RECIPE, 1)


# --- going on ------------------------------------------------------------------------------------


@pytest.mark.fault("kills", "a training is interrupted at any step", "it ends as one that was not")
@given(stop=st.integers(1, 30))
@settings(max_examples=20, deadline=None)
def test_a_training_stopped_at_any_step_ends_as_one_that_was_not(tmp_path_factory, stop, happened):
    data, recipe = small_splits(), replace(RECIPE, epochs=5)
    checkpoint = tmp_path_factory.mktemp("stopped") / "checkpoint.npz"
    step, steps = Mlp.step, 0

    def stopping(self, x, y, learning_rate):
        nonlocal steps
        steps += 1
        if steps == stop:
            raise KeyboardInterrupt
        return step(self, x, y, learning_rate)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Mlp, "step", stopping)
        with pytest.raises(KeyboardInterrupt):
            train_mlp(data, recipe, 1, checkpoint=checkpoint)
    assert checkpoint.exists() == (stop > 6)
    assert same(train_mlp(data, recipe, 1, checkpoint=checkpoint), train_mlp(data, recipe, 1))
    happened("net and history are those of a training that was let alone")


def test_a_finished_training_is_not_done_again(tmp_path, monkeypatch):
    checkpoint = tmp_path / "checkpoint.npz"
    done = train_mlp(small_splits(), RECIPE, 1, checkpoint=checkpoint)
    monkeypatch.setattr(Mlp, "step", None)
    assert same(train_mlp(small_splits(), RECIPE, 1, checkpoint=checkpoint), done)


@pytest.mark.fault(
    "checkpoints", "a checkpoint of another recipe, seed or data set", "refused with what differs"
)
def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    checkpoint, data = tmp_path / "checkpoint.npz", small_splits()
    train_mlp(data, RECIPE, 1, checkpoint=checkpoint)
    for other in (
        {"recipe": replace(RECIPE, learning_rate=0.25), "match": "learning_rate: 0.5 there, 0.25"},
        {"recipe": replace(RECIPE, hidden=(8,)), "match": r"hidden: \[7\] there, \[8\] now"},
        {"seed": 2, "match": "seed: 1 there, 2 now"},
        *({"data": other, "match": "data_sha256"} for other in with_one_value_changed(data)),
    ):
        match = other.pop("match")
        arguments = {"data": data, "recipe": RECIPE, "seed": 1, **other}
        with pytest.raises(UserError, match=match):
            train_mlp(**arguments, checkpoint=checkpoint)


def with_one_value_changed(data: MnistSplits) -> Iterator[MnistSplits]:
    """Yield the data with a pixel or a label changed, of the images that a training looks at."""
    for name in ("train", "validation"):
        for field in ("pixels", "labels"):
            part: ImageSet = getattr(data, name)
            values = getattr(part, field).copy()
            values[-1] = 9 - values[-1] if field == "labels" else 255 - values[-1]
            yield replace(data, **{name: replace(part, **{field: values})})


@pytest.mark.fault(
    "kills",
    "SIGKILL in a training, at random points, again and again",
    "it goes on from its last epoch and ends bit for bit the same",
)
@pytest.mark.parametrize(
    ("framework", "kills"),
    [
        ("numpy", 2),
        pytest.param("numpy", 8, marks=pytest.mark.heavy),
        pytest.param("torch", 4, marks=pytest.mark.heavy),
    ],
)
def test_killed_at_random_points_it_ends_bit_for_bit_the_same(tmp_path, framework, kills, happened):
    for name in ("whole", "killed"):
        write_small(tmp_path / name, SMALL, train=600)
    small_mnist.run_script(framework, tmp_path / "whole")

    assert run_and_kill(framework, tmp_path / "killed", kills) == kills
    assert outputs(tmp_path / "killed") == outputs(tmp_path / "whole")
    assert not (tmp_path / "killed/checkpoint.npz").exists()
    happened("history, predictions and net are those of a training that was let alone")


SMALL = {"hidden": [9], "learning_rate": 0.5, "batch_size": 5, "epochs": 100, "initial_std": 0.1}


def outputs(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in OUTPUTS.values()}


def run_and_kill(framework: str, folder: Path, kills: int) -> int:
    """Run the rule's script in processes of their own until one ends by itself.

    All but the last are killed by SIGKILL. Return how many went on from a checkpoint.
    """
    chance = random.Random(kills)  # noqa: S311
    command = [sys.executable, small_mnist.__file__, framework, str(folder)]
    resumed = 0
    for attempt in range(kills + 1):
        epochs = chance.randint(1, 9) if attempt < kills else None
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            for line in process.stderr:
                resumed += "going on after epoch" in line
                if epochs is not None and "train loss" in line:
                    epochs -= 1
                    if epochs == 0:
                        # Some way into one of the next epochs, or into writing its checkpoint.
                        time.sleep(chance.uniform(0, 0.02))
                        process.kill()
        assert process.returncode == (0 if epochs is None else -signal.SIGKILL)
    return resumed


def test_the_script_writes_history_predictions_and_net(tmp_path):
    write_small(tmp_path / "run", {**SMALL, "epochs": 2})
    small_mnist.run_script("numpy", tmp_path / "run")
    history = pd.read_csv(tmp_path / "run/history.csv")
    assert history["epoch"].tolist() == [1, 1, 2, 2]
    predictions = Predictions.load(tmp_path / "run/predictions.npz")
    net = Mlp.load(tmp_path / "run/model")
    images = np.load(tmp_path / "run/images.npy")
    np.testing.assert_allclose(net.predict(scale_pixels(images)), predictions.scores)
    trained = train_mlp(small_splits(), MlpRecipe.from_mapping({**SMALL, "epochs": 2}), SEED)
    assert np.array_equal(trained.predict(small_splits()).scores, predictions.scores)
    assert "epoch 2 of 2: train loss" in (tmp_path / "run/log.txt").read_text()


# --- the report's figures ------------------------------------------------------------------------

# Accuracies of train and validation after the first epochs of model 1, as the report's notebook
# printed them, and of train, validation and test at the end, in %.
FIRST_EPOCHS = [(76.15, 75.98), (85.45, 85.04), (87.82, 87.60)]
FINAL = {"train": 95.61, "validation": 94.78, "test": 94.54}


@pytest.mark.heavy
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_model_1_comes_out_to_the_digit(mnist: MnistSplits, dtype: str):
    trained = train_mlp(mnist, replace(REPORTED, dtype=dtype), 123)
    table = trained.history.pivot_table(index="epoch", columns="split", values="accuracy")
    first = table.loc[1:3, ["train", "validation"]].to_numpy() * 100
    assert first.round(2).tolist() == [list(row) for row in FIRST_EPOCHS]
    assert percentages(trained.predict(mnist)) == FINAL


@pytest.mark.heavy
def test_model_2_ends_where_its_recipe_was_seen_to(mnist: MnistSplits):
    recipe = replace(REPORTED, hidden=(128, 64), dtype="float32")
    found = percentages(train_mlp(mnist, recipe, 123).predict(mnist))
    assert found == {"train": 96.77, "validation": 95.98, "test": 95.81}


def percentages(predictions: Predictions) -> dict[str, float]:
    return {
        split: round(100 * float(np.mean(own.scores.argmax(axis=1) == own.labels)), 2)
        for split in FINAL
        for own in [predictions.of(split)]
    }

"""The loop over epochs, whatever computes them: what it leaves, and going on after a kill."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import small_mnist
from repro.errors import UserError
from repro.history import read_history
from repro.mnist import training
from repro.mnist.images import MnistSplits
from repro.mnist.numpy_trainer import FastMlp, NumpyTrainer
from repro.mnist.recipe import MlpRecipe
from repro.mnist.training import predict, train
from repro.predictions import Predictions
from small_mnist import OUTPUTS, SEED, small_splits, write_small

RECIPE = MlpRecipe(
    hidden=(7, 6), activation="relu", learning_rate=0.5, batch_size=10, epochs=3, initial_std=0.3
)
DIVERGING = replace(RECIPE, output="linear", learning_rate=1e100)
KINDS = [("sigmoid", "mse"), ("linear", "cross_entropy")]
both = pytest.mark.parametrize("framework", ["numpy", "torch"])


def module_of(framework):
    return import_module(f"repro.mnist.{framework}_trainer")


def trainer_of(framework):
    return getattr(module_of(framework), f"{framework.title()}Trainer")


def same(one, other):
    """Say whether two trainings ended alike: the nets, the random generators, the histories."""
    a, b = one[0].state(), other[0].state()
    return one[1] == other[1] and all(np.array_equal(a[name], b[name]) for name in a | b)


@both
@given(
    hidden=st.lists(st.integers(1, 8), max_size=3).map(tuple),
    batch_size=st.sampled_from([1, 2, 59, 60, 61, 1000]),
    dtype=st.sampled_from(["float64", "float32"]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=10, deadline=None)
def test_any_shape_trains_and_depends_on_the_seed_alone(framework, hidden, batch_size, dtype, seed):
    data, kind = small_splits(), trainer_of(framework)
    recipe = replace(RECIPE, hidden=hidden, batch_size=batch_size, dtype=dtype, epochs=2)
    trained = train(kind, data, recipe, seed)
    assert same(trained, train(kind, data, recipe, seed))
    assert not same(trained, train(kind, data, recipe, (seed + 1) % 2**32))
    assert trained[0].scores(data.test.pixels).dtype == dtype


@both
@pytest.mark.parametrize(("output", "loss"), KINDS)
def test_history_and_predictions_are_those_of_the_final_net(monkeypatch, framework, output, loss):
    # In blocks, of which the last is not full.
    monkeypatch.setattr(module_of(framework), "BLOCK", 7)
    monkeypatch.setattr(training, "SCALED_AT_ONCE", 7)
    data, recipe = small_splits(), replace(RECIPE, output=output, loss=loss)
    trainer, history = train(trainer_of(framework), data, recipe, 1)
    assert [(row.epoch, row.split) for row in history] == [
        (epoch, split) for epoch in (1, 2, 3) for split in ("train", "validation")
    ]
    predictions = predict(trainer, data)
    assert predictions.kind == output
    assert np.array_equal(predictions.classes, np.arange(10))
    for name in ("train", "validation", "test"):
        part, own = getattr(data, name), predictions.of(name)
        assert np.array_equal(own.ids, part.ids)
        assert np.array_equal(own.labels, part.labels)
        np.testing.assert_allclose(own.scores, trainer.scores(part.pixels))
    for row in history[-2:]:
        own = predictions.of(row.split)
        targets = np.eye(10)[own.labels]
        expected = {
            "mse": np.mean((own.scores - targets) ** 2),
            "cross_entropy": np.mean(np.log(np.exp(own.scores).sum(axis=1)))
            - np.mean(own.scores[targets == 1]),
        }
        assert row.loss == pytest.approx(expected[loss])
        assert row.accuracy == np.mean(own.scores.argmax(axis=1) == own.labels)


@both
@pytest.mark.parametrize(("output", "loss"), KINDS)
def test_it_learns(framework, output, loss):
    # PyTorch averages the squared error over the ten classes too.
    rate = 2.0 if (framework, loss) == ("torch", "mse") else 0.2
    recipe = replace(RECIPE, output=output, loss=loss, learning_rate=rate, epochs=50)
    _, history = train(trainer_of(framework), small_splits(train=200), recipe, 1)
    assert history[-1].accuracy > 0.8


@both
def test_momentum_and_weight_decay_are_those_of_the_recipe(framework):
    data, kind = small_splits(), trainer_of(framework)
    ends = [
        train(kind, data, replace(RECIPE, epochs=1, **further), 1)
        for further in ({}, {"momentum": 0.5}, {"weight_decay": 0.1})
    ]
    weights = [next(iter(trainer.state().values())) for trainer, _ in ends]
    assert np.linalg.norm(weights[2]) < np.linalg.norm(weights[0])
    assert len({weight.tobytes() for weight in weights}) == 3


def test_test_images_do_not_matter_to_training():
    data = small_splits()
    other = MnistSplits(data.train, data.validation, small_splits(1, 1, 30).test)
    assert same(train(NumpyTrainer, data, RECIPE, 1), train(NumpyTrainer, other, RECIPE, 1))


@pytest.mark.fault("training", "the loss becomes infinite or NaN", "stopped, naming epoch and step")
@both
def test_a_diverging_loss_stops_with_epoch_and_step(framework):
    with pytest.raises(UserError, match=r"loss became (nan|inf) in epoch 1, step [23]: .*1e\+100"):
        train(trainer_of(framework), small_splits(), DIVERGING, 1)


@both
def test_a_loss_that_diverges_in_the_last_step_stops_too(framework):
    recipe = replace(DIVERGING, epochs=1, batch_size=1_000)
    with pytest.raises(UserError, match=r"loss became (nan|inf) at the end of epoch 1: .*1e\+100"):
        train(trainer_of(framework), small_splits(), recipe, 1)


def test_a_loss_that_is_nan_at_a_later_epoch_is_placed(monkeypatch):
    losses = iter([1.0] * 12 + [float("nan")])
    monkeypatch.setattr(FastMlp, "step", lambda *_: next(losses))
    with pytest.raises(UserError, match="the loss became nan in epoch 3, step 1"):
        train(NumpyTrainer, small_splits(), RECIPE, 1)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"pixels": np.zeros((23, 15), np.uint8)}, r"\(23, 15\) and \(23,\)"),
        ({"pixels": np.zeros((23, 4, 4), np.uint8)}, r"\(23, 4, 4\) and"),
        ({"pixels": np.zeros((0, 16), np.uint8), "labels": np.zeros(0, int)}, r"\(0, 16\) and"),
        ({"labels": np.zeros(22, int)}, r"\(23, 16\) and \(22,\)"),
    ],
)
def test_data_of_the_wrong_shape_is_named(change, found):
    data = small_splits()
    spoiled = replace(data, validation=replace(data.validation, **change))
    with pytest.raises(UserError, match=rf"validation images: expected .*\(n, 16\).*found {found}"):
        train(NumpyTrainer, spoiled, RECIPE, 1)


# --- going on ------------------------------------------------------------------------------------


@pytest.mark.fault("kills", "a training is interrupted at any step", "it ends as one that was not")
@both
@given(stop=st.integers(1, 30), momentum=st.sampled_from([0, 0.9]))
@settings(max_examples=10, deadline=None)
def test_a_training_stopped_at_any_step_ends_as_one_that_was_not(
    tmp_path_factory, happened, framework, stop, momentum
):
    data, kind = small_splits(), trainer_of(framework)
    recipe = replace(RECIPE, epochs=5, momentum=momentum)
    checkpoint = tmp_path_factory.mktemp("stopped") / "checkpoint.npz"
    steps = 0

    def stopping(n, batch_size):
        nonlocal steps
        for start in range(0, n, batch_size):
            steps += 1
            if steps == stop:
                raise KeyboardInterrupt
            yield slice(start, start + batch_size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module_of(framework), "full_batches", stopping)
        with pytest.raises(KeyboardInterrupt):
            train(kind, data, recipe, 1, checkpoint=checkpoint)
    assert checkpoint.exists() == (stop > 6)
    resumed = train(kind, data, recipe, 1, checkpoint=checkpoint)
    assert same(resumed, train(kind, data, recipe, 1))
    happened("net and history are those of a training that was let alone")


@both
def test_a_finished_training_is_not_done_again(tmp_path, monkeypatch, framework):
    checkpoint, kind = tmp_path / "checkpoint.npz", trainer_of(framework)
    done = train(kind, small_splits(), RECIPE, 1, checkpoint=checkpoint)
    monkeypatch.setattr(kind, "train_epoch", None)
    assert same(train(kind, small_splits(), RECIPE, 1, checkpoint=checkpoint), done)


@pytest.mark.fault(
    "checkpoints", "a checkpoint of another recipe, seed or data set", "refused with what differs"
)
def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    checkpoint, data = tmp_path / "checkpoint.npz", small_splits()
    train(NumpyTrainer, data, RECIPE, 1, checkpoint=checkpoint)
    for other, match in (
        ({"recipe": replace(RECIPE, learning_rate=0.25)}, "learning_rate: 0.5 there, 0.25 now"),
        ({"recipe": replace(RECIPE, hidden=(8,))}, r"hidden: \[7, 6\] there, \[8\] now"),
        ({"seed": 2}, "seed: 1 there, 2 now"),
        ({"kind": trainer_of("torch")}, "kind: numpy there, torch now"),
        *(({"data": changed}, "data_sha256") for changed in with_one_value_changed(data)),
    ):
        arguments = {"kind": NumpyTrainer, "data": data, "recipe": RECIPE, "seed": 1, **other}
        with pytest.raises(UserError, match=match):
            train(**arguments, checkpoint=checkpoint)


def with_one_value_changed(data):
    """Yield the data with a pixel or a label changed, of the images that a training looks at."""
    for name in ("train", "validation"):
        for field in ("pixels", "labels"):
            part = getattr(data, name)
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


def outputs(folder):
    return {name: (folder / name).read_bytes() for name in OUTPUTS.values()}


def run_and_kill(framework, folder, kills):
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


@both
def test_the_script_writes_history_predictions_and_net(tmp_path, framework):
    write_small(tmp_path / "run", {**SMALL, "epochs": 2})
    small_mnist.run_script(framework, tmp_path / "run")
    recipe = MlpRecipe(**SMALL | {"epochs": 2})
    trainer, history = train(trainer_of(framework), small_splits(), recipe, SEED)
    written = read_history(tmp_path / "run/history.csv")
    assert [tuple(row) for row in written.itertuples(index=False)] == history
    scores = Predictions.load(tmp_path / "run/predictions.npz").scores
    assert np.array_equal(scores, predict(trainer, small_splits()).scores)
    trainer.save(tmp_path / "model")
    assert (tmp_path / "run/model").read_bytes() == (tmp_path / "model").read_bytes()

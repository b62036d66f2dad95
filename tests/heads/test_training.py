import csv
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from repro.errors import UserError
from repro.heads.training import (
    HeadRecipe,
    HeadRun,
    head_module,
    initial_state,
    train_heads,
)
from repro.history import write_history
from support import ROOT

CPU = torch.device("cpu")
RECIPE = HeadRecipe(hidden=16, batch_size=8, epochs=3)
CLASSES = 5


@pytest.fixture(scope="module")
def data():
    draw = np.random.default_rng(0)
    labels = draw.integers(0, CLASSES, 120)
    centres = draw.normal(size=(CLASSES, 24))
    features = (centres[labels] + draw.normal(size=(120, 24)) * 0.7).astype(np.float32)
    return features, labels


def run_of(seed, train=60, split_seed=None):
    order = np.random.default_rng(seed if split_seed is None else split_seed).permutation(120)
    return HeadRun(seed, order[:train], order[train:90], order[90:])


def by_hand(features, labels, run, recipe):
    """The same training written as a plain PyTorch loop: losses of all steps, and the head."""
    generator = torch.Generator().manual_seed(run.seed)
    head = head_module(features.shape[1], recipe.hidden, CLASSES)
    head.load_state_dict(initial_state(features.shape[1], recipe.hidden, CLASSES, generator))
    optimizer = torch.optim.Adam(head.parameters(), lr=recipe.learning_rate)
    x, y = torch.from_numpy(features), torch.from_numpy(labels)
    rows = torch.from_numpy(run.train_rows)
    history = []
    for _ in range(recipe.epochs):
        losses, hits = 0.0, 0
        for batch in rows[torch.randperm(len(rows), generator=generator)].split(recipe.batch_size):
            scores = head(x[batch])
            loss = nn.functional.nll_loss(scores, y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses += loss.item() * len(batch)
            hits += int((scores.argmax(1) == y[batch]).sum())
        history.append((losses / len(rows), hits / len(rows)))
        for split in (run.validation_rows, run.test_rows):
            with torch.no_grad():
                scores, target = head(x[split]), y[split]
            loss = nn.functional.nll_loss(scores, target).item()
            history.append((loss, float((scores.argmax(1) == target).double().mean())))
    return history, head


def test_a_head_is_what_a_plain_training_loop_makes(data):
    features, labels = data
    run = run_of(3)
    result = train_heads(features, labels, [run], RECIPE, CPU)[0]
    history, head = by_hand(features, labels, run, RECIPE)
    np.testing.assert_allclose([row[2:] for row in result.history], history, rtol=1e-5)
    assert [row[:2] for row in result.history] == [
        (epoch, split) for epoch in (1, 2, 3) for split in ("train", "validation", "test")
    ]
    for name, tensor in head.state_dict().items():
        torch.testing.assert_close(result.state[name], tensor, rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        scores = head(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(result.scores, scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_run_comes_out_the_same_to_the_bit_alone_and_in_company(data, threads):
    runs = [run_of(1, 60), run_of(2, 51), run_of(3, 60), run_of(4, 7), run_of(9, split_seed=0)]
    together = train_heads(*data, runs, RECIPE, CPU, threads=threads)
    for run, result in zip(runs, together, strict=True):
        alone = train_heads(*data, [run], RECIPE, CPU)[0]
        assert result.history == alone.history
        assert np.array_equal(result.scores, alone.scores)
        assert all(torch.equal(result.state[name], alone.state[name]) for name in alone.state)


def test_training_learns_and_leaves_the_global_generator_alone(data):
    before = torch.get_rng_state()
    recipe = replace(RECIPE, epochs=30, learning_rate=0.01)
    result = train_heads(*data, [run_of(1)], recipe, CPU)[0]
    assert result.history[-1].accuracy > 0.9
    assert result.history[0].loss > 2 * result.history[-3].loss
    assert torch.equal(torch.get_rng_state(), before)


def test_scores_are_log_probabilities_of_every_row(data):
    result = train_heads(*data, [run_of(1)], RECIPE, CPU, classes=7)[0]
    assert result.scores.shape == (120, 7)
    np.testing.assert_allclose(np.exp(result.scores).sum(axis=1), 1, rtol=1e-5)


def test_first_weights_are_drawn_as_pytorch_draws_its_own():
    drawn = initial_state(24, 16, CLASSES, torch.Generator().manual_seed(5))
    torch.manual_seed(5)
    expected = head_module(24, 16, CLASSES).state_dict()
    for name, tensor in expected.items():
        torch.testing.assert_close(drawn[name], tensor, rtol=0, atol=1e-7)


def test_progress_is_told_for_every_run_and_epoch(data):
    told = []
    runs = [run_of(s) for s in range(5)]
    train_heads(*data, runs, RECIPE, CPU, threads=2, on_epoch=lambda: told.append(1))
    assert len(told) == 5 * RECIPE.epochs


@pytest.mark.fault("training", "the loss of a flower net's head becomes NaN", "stopped in words")
def test_a_diverging_head_is_told(data):
    recipe = replace(RECIPE, learning_rate=1e30)
    with pytest.raises(UserError, match=r"in epoch 1 of the head of seed 1: .*head\.learning_rate"):
        train_heads(*data, [run_of(1)], recipe, CPU)


def test_an_empty_set_leaves_its_figures_empty(data, tmp_path):
    run = replace(run_of(1), test_rows=np.empty(0, np.int64))
    result = train_heads(*data, [run], RECIPE, CPU)[0]
    write_history(tmp_path / "history.csv", result.history)
    with (tmp_path / "history.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["epoch", "split", "loss", "accuracy"]
    assert {(r["loss"], r["accuracy"]) for r in rows if r["split"] == "test"} == {("", "")}
    assert float(rows[0]["loss"]) == result.history[0].loss


SMALL_TRAINING = """
import numpy, sys, torch, train_head
from repro.heads.training import HeadRecipe, HeadRun, train_heads
rows = numpy.arange(4)
x = numpy.ones((4, 3), numpy.float32)
train_heads(x, rows, [HeadRun(1, rows, rows, rows)], HeadRecipe(), torch.device("cpu"))
print(*sys.modules)
"""


def test_a_small_training_does_not_wait_for_torch_compile():
    """Loading it takes longer than such a training."""
    child = subprocess.run(
        [sys.executable, "-c", SMALL_TRAINING],
        cwd=ROOT / "scripts",
        check=True,
        capture_output=True,
        text=True,
    )
    loaded = child.stdout.split()
    assert "torch.optim" in loaded
    assert "torch._dynamo" not in loaded

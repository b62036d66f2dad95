"""Two nets on the same test images."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, multinomial

from repro.comparison.against import COLUMNS, images, paired_interval, row
from repro.predictions import Predictions
from scripts_support import run_rule

NAMES = {"model": "wide", "title": "Wide", "against": "plain", "against_title": "Plain"}
LABELS = np.array([3, 8, 9])  # what the class indices stand for


def predictions(taken: list[int], order: list[int], sureness: list[float]) -> Predictions:
    """Return those of test images 10, 11, …, all of class 1, in an order; and a training image."""
    scores = np.zeros((len(taken), 3))
    scores[np.arange(len(taken)), taken] = sureness
    ids = 10 + np.arange(len(taken))
    rows = np.array(order)
    return Predictions(
        ids=np.append(ids[rows], 5),
        labels=np.ones(len(taken) + 1, np.int64),
        splits=np.append(np.full(len(taken), "test"), "train"),
        scores=np.vstack([scores[rows], [0, 0, 1]]),
        kind="linear",
        classes=LABELS,
    )


@pytest.fixture
def pair() -> tuple[Predictions, Predictions]:
    #        image 10     11     12 13    14     15
    wide = predictions([1, 1, 1, 0, 2, 1], [5, 0, 1, 2, 4, 3], [1, 1, 1, 2, 1, 1])
    plain = predictions([1, 0, 2, 1, 2, 0], [0, 1, 2, 3, 4, 5], [1, 1, 3, 1, 1, 2])
    return wide, plain


def test_a_row_has_what_each_alone_gets_right(pair):
    found = row(NAMES, *pair)
    assert list(found) == COLUMNS
    assert (found["n"], found["only_model"], found["only_against"]) == (6, 3, 1)
    assert (found["accuracy"], found["against_accuracy"]) == (pytest.approx(4 / 6), 2 / 6)
    assert found["difference_pp"] == pytest.approx(100 * 2 / 6)
    assert found["p"] == pytest.approx(binomtest(3, 4).pvalue)
    # (3 + 1) / 8 and (1 + 1) / 8, and their difference of 1/4.
    half = 1.959964 * np.sqrt((0.5 + 0.25 - 0.25**2) / 8)
    assert (found["low_pp"], found["high_pp"]) == pytest.approx(
        (100 * (0.25 - half), 100 * (0.25 + half))
    )


def test_images_are_those_that_one_alone_gets_right_the_surest_mistakes_first(pair):
    table = images("wide", "plain", *pair)
    assert table["right"].tolist() == ["wide"] * 3 + ["plain"]
    assert table["id"].tolist() == [12, 15, 11, 13]
    assert table["true"].tolist() == [8] * 4
    assert table["taken_for"].tolist() == [9, 3, 3, 3]
    assert table["confidence"][0] == pytest.approx(np.exp(3) / (np.exp(3) + 2))
    assert set(table["model"]) == {"wide"}
    assert set(table["against"]) == {"plain"}


def test_the_rule_sets_each_net_against_its_own_counterpart(tmp_path, pair):
    turned = {"model": "plain", "title": "Plain", "against": "wide", "against_title": "Wide"}
    wide, plain = tmp_path / "wide.npz", tmp_path / "plain.npz"
    for file, made in zip((wide, plain), pair, strict=True):
        made.save(file)
    run_rule(
        "set_against",
        tmp_path,
        input={"models": [wide, plain], "others": [plain, wide]},
        output={"table": tmp_path / "table.csv", "images": tmp_path / "images.csv"},
        params={"pairs": [NAMES, turned]},
    )
    rows = [row(NAMES, *pair), row(turned, *pair[::-1])]
    both = [images("wide", "plain", *pair), images("plain", "wide", *pair[::-1])]
    for name, made in {"table": pd.DataFrame(rows), "images": pd.concat(both)}.items():
        found = pd.read_csv(tmp_path / f"{name}.csv")
        pd.testing.assert_frame_equal(found, made.reset_index(drop=True))


def test_nets_that_agree_have_no_such_images(pair):
    table = images("wide", "plain", pair[0], pair[0])
    assert table.empty
    assert row(NAMES, pair[0], pair[0])["p"] == 1
    assert not table.columns.difference(images("wide", "plain", *pair).columns).any()


@pytest.mark.parametrize(("first", "second"), [(0.1, 0.1), (0.2, 0.05), (0.3, 0.1)])
def test_the_interval_has_the_difference_in_ninety_five_of_a_hundred(first, second):
    """Over every outcome of 60 images, each with its probability."""
    n = 60
    counts = [(a, b) for a, b in product(range(n + 1), repeat=2) if a + b <= n]
    chances = multinomial(n, [first, second, 1 - first - second]).pmf(
        [(a, b, n - a - b) for a, b in counts]
    )
    intervals = np.array([paired_interval(a, b, n) for a, b in counts])
    inside = (intervals[:, 0] <= first - second) & (first - second <= intervals[:, 1])
    assert 0.94 < chances[inside].sum() < 0.995


def test_the_interval_turns_with_the_nets():
    low, high = paired_interval(30, 12, 500)
    assert paired_interval(12, 30, 500) == pytest.approx((-high, -low))
    assert pd.Series([low, 18 / 500, high]).is_monotonic_increasing

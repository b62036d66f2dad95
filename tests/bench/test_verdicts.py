"""What docs/VERDICTS.md promises, through the functions that judge a run, with fewer draws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench import verdicts
from repro.comparison.claims import slope
from support import ROOT

DRAWS = 3_000  # the standard error of 5 % is 0.4 points


@pytest.mark.parametrize(("runs", "reference"), verdicts.FIGURES)
def test_an_honest_report_is_called_wrong_in_one_case_of_twenty(runs, reference):
    found = verdicts.verdicts(DRAWS, runs, 0.6, reference=reference)
    assert verdicts.differ(found) == pytest.approx(0.05, abs=0.01)


def test_a_report_that_is_off_by_what_matters_is_seen():
    """Where chance makes half of what matters it is seen nearly always, where as much in half."""
    assert verdicts.differ(verdicts.verdicts(DRAWS, 20, 1.2, 1.2)) > 0.93
    assert verdicts.differ(verdicts.verdicts(DRAWS, 20, 0.6, 0.6)) == pytest.approx(0.47, abs=0.05)


def test_slopes_are_those_of_a_claim():
    drawn = verdicts.slopes(2, 3, 9, 0.9)
    curves = verdicts.curves(np.random.default_rng([3, 9, 9]), 6, 9, 0.9)
    expected = [slope(pd.Series(curve, index=range(1, 10))) for curve in curves.T]
    assert drawn.ravel() == pytest.approx(np.array(expected))
    assert curves.shape == (9, 6)


def test_epochs_are_as_alike_as_they_are_said_to_be():
    curves = verdicts.curves(np.random.default_rng(0), 20_000, 9, 0.9)
    for epoch in (0, 7):
        both = np.corrcoef(curves[epoch], curves[epoch + 1])
        assert both[0, 1] == pytest.approx(0.9, abs=0.01)
    assert curves.std(axis=1) == pytest.approx(np.full(9, 1 / np.sqrt(1 - 0.81)), rel=0.03)


@pytest.mark.parametrize("runs", verdicts.RUNS)
def test_no_trend_is_called_one_in_one_case_of_twenty(runs):
    for epochs, correlation in ((9, 0.0), (40, 0.9)):
        found = verdicts.false_trends(DRAWS, epochs, correlation, runs)
        assert found == pytest.approx(0.05, abs=0.01)


def test_splits_that_share_images_need_the_correction():
    both = verdicts.learners(400)
    gains = (both[:, 0] - both[:, 1])[:, :20]
    assert verdicts.above(gains, verdicts.SHARE) < 0.06
    assert verdicts.above(gains) > 0.15


def test_the_page_that_ships_is_the_command_s():
    """The figures come from more draws; the text and the tables' first columns are the same."""

    def skeleton(text):
        return [line.split("|")[1].strip() if "|" in line else line for line in text.splitlines()]

    made = verdicts.page(40)
    ships = (ROOT / "docs/VERDICTS.md").read_text(encoding="utf-8")
    assert "nan" not in made
    assert len(ships.splitlines()) < 150
    different = [
        pair for pair in zip(skeleton(made), skeleton(ships), strict=True) if len(set(pair)) > 1
    ]
    assert len(different) == 2, different  # those that name the draws

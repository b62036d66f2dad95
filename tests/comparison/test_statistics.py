"""Intervals and tests over runs: against published figures, hand calculations and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from repro.comparison.statistics import (
    Mean,
    Spread,
    prediction_half_width,
    runs_needed,
    sd_interval,
    wilson,
)

VALUES = [0.3, 0.1, 0.4, 0.1, 0.5]  # mean 0.28, variance 0.032


class TestWilson:
    # Newcombe 1998, Statistics in Medicine 17, table I, method 3.
    @pytest.mark.parametrize(
        ("hits", "n", "low", "high"),
        [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)],
    )
    def test_published(self, hits, n, low, high):
        assert wilson(hits / n, n) == pytest.approx((low, high), abs=5e-5)

    def test_not_a_count(self):
        assert wilson(0.3079847909, 263) == wilson(81 / 263, 263)
        with pytest.raises(ValueError, match="whole number"):
            wilson(0.5, 3)


def test_a_spread_is_the_sample_s():
    assert Spread.of(VALUES) == Spread(pytest.approx(np.sqrt(0.032)), 4)
    assert Spread.of([1.0, 1.0]) == Spread(0, 1)
    assert Spread.of([1.0]) is None


@pytest.mark.parametrize(
    ("own", "reference", "better"),
    [(4, 19, 19), (19, 4, 19), (None, 4, 4), (4, None, 4), (None, None, None)],
)
def test_the_better_of_two_spreads_has_more_degrees_of_freedom(own, reference, better):
    def spread(df):
        return None if df is None else Spread(1, df)

    assert Spread.better(spread(own), spread(reference)) == spread(better)


def test_of_two_spreads_alike_the_own_is_taken():
    assert Spread.better(Spread(1, 4), Spread(2, 4)) == Spread(1, 4)


class TestPrediction:
    # The quantiles stand in any table of t, two-sided 5 %.
    @pytest.mark.parametrize(
        ("df", "runs", "t"), [(1, 2, 12.706), (4, 5, 2.776), (19, 1, 2.093), (19, 5, 2.093)]
    )
    def test_by_hand(self, df, runs, t):
        expected = t * 0.2 * np.sqrt(1 + 1 / runs)
        assert prediction_half_width(Spread(0.2, df), runs) == pytest.approx(expected, rel=2e-4)

    def test_as_scipy_s_interval_of_the_difference(self):
        scale = np.sqrt(0.032 * (1 + 1 / 5))
        low, high = stats.t.interval(0.95, 4, scale=scale)
        found = prediction_half_width(Spread.of(VALUES), 5)
        assert (-found, found) == pytest.approx((low, high))

    def test_the_runs_that_are_needed_are_the_fewest(self):
        # Own spread: t falls with the runs. 2.776 √(1 + 1/5) = 3.04, 2.571 √(1 + 1/6) = 2.78.
        assert runs_needed(Spread(1, 1), 2.9) == 6
        assert runs_needed(Spread(1, 1), 3.05) == 5
        assert runs_needed(Spread(1, 1), 15.6) == 2  # 12.706 √1.5 = 15.56
        # Reference runs: their degrees of freedom until there are more. 2.093 √(1 + 1/3) = 2.417.
        assert runs_needed(Spread(1, 19), 2.42) == 3
        assert runs_needed(Spread(1, 19), 2.41) == 4
        # 1.988 √(1 + 1/86) = 2.000; with any number it is above 1.960 deviations.
        assert runs_needed(Spread(1, 19), 2.0) == 86
        assert runs_needed(Spread(1, 19), 1.9) is None
        # A thousand are looked at, and what is reached is enough.
        last = prediction_half_width(Spread(1, 999), 1000)
        assert runs_needed(Spread(1, 1), last) == 1000
        assert runs_needed(Spread(1, 1), last - 1e-6) is None


class TestMean:
    @pytest.mark.parametrize("values", [VALUES, [-0.2, 0.5], [-3.0, -1.0, -2.0]])
    def test_is_scipy_s_t_test(self, values):
        found = Mean.of(values)
        for p, side in ((found.p_above, "greater"), (found.p_below, "less")):
            assert p == pytest.approx(stats.ttest_1samp(values, 0, alternative=side).pvalue)
        interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx(tuple(interval))
        assert found.value == pytest.approx(np.mean(values))

    def test_of_runs_that_share_images_is_nadeau_and_bengio_s(self):
        # Variance 0.032, 5 runs, half as many test images as training images:
        # error √((1/5 + 1/2) 0.032) = 0.14967, t = 0.28 / 0.14967 = 1.8708, df 4.
        found = Mean.of(VALUES, resampled=0.5)
        assert found.half == pytest.approx(2.7764 * 0.14967, rel=1e-4)
        assert found.p_above == pytest.approx(stats.t.sf(1.8708, 4), rel=1e-3)
        assert found.p_below == pytest.approx(1 - found.p_above)
        assert found.value == pytest.approx(0.28)

    @pytest.mark.parametrize(
        ("value", "p_above", "p_below"), [(0.1, 0, 1), (-0.1, 1, 0), (0.0, 1, 1)]
    )
    def test_of_runs_that_are_all_alike_is_certain(self, value, p_above, p_below):
        assert Mean.of([value] * 2) == Mean(value, 0, p_above, p_below)


def test_interval_of_a_deviation():
    # Chi-squared quantiles with 9 degrees of freedom, from any table: 2.700 and 19.023.
    sd, low, high = sd_interval(np.array([1.0, -1.0] * 5))
    assert sd == pytest.approx(np.sqrt(10 / 9))
    assert low == pytest.approx(np.sqrt(10 / 19.023), rel=1e-4)
    assert high == pytest.approx(np.sqrt(10 / 2.700), rel=1e-4)

"""Intervals and tests over runs: what is known of a figure that differs from run to run.

``docs/VERDICTS.md`` shows by simulation that each keeps the error it promises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit
from scipy.stats import binomtest, chi2

LEVEL = 0.95
_MOST_RUNS = 1000  # more than anybody makes


def wilson(fraction: float, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a fraction of ``n`` images (Wilson 1927)."""
    hits = round(fraction * n)
    if abs(hits - fraction * n) > 1e-6 * max(n, 1):
        raise ValueError(f"{fraction} is not a whole number of images out of {n}")
    interval = binomtest(hits, n).proportion_ci(confidence_level=LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


@dataclass(frozen=True)
class Spread:
    """How far a figure moves from run to run.

    Attributes:
        sd: sample standard deviation over runs, in the figure's unit.
        df: its degrees of freedom, the runs less one.
    """

    sd: float
    df: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """Return the spread of several runs; one run has none."""
        return cls(float(np.std(values, ddof=1)), len(values) - 1) if len(values) > 1 else None

    @staticmethod
    def better(own: Spread | None, reference: Spread | None) -> Spread | None:
        """Return the spread with more degrees of freedom; the runs' own where they are as many."""
        if own is None or (reference is not None and reference.df > own.df):
            return reference
        return own


def prediction_half_width(spread: Spread, runs: int, level: float = LEVEL) -> float:
    """Return half the prediction interval (95 %) for one further run, about the mean of ``runs``.

    The mean of k runs and one further run differ by less than that in 95 of 100 cases, if the
    further one is of the same kind (Spence and Stanley, PLoS ONE 2016, e0162874).
    """
    return float(stdtrit(spread.df, (1 + level) / 2) * spread.sd * np.sqrt(1 + 1 / runs))


def runs_needed(spread: Spread, margin: float) -> int | None:
    """Return with how many runs that half width is the margin at most; None: with no number."""
    for runs in range(2, _MOST_RUNS + 1):
        df = max(spread.df, runs - 1)
        if prediction_half_width(Spread(spread.sd, df), runs) <= margin:
            return runs
    return None


@dataclass(frozen=True)
class Mean:
    """A mean over runs, with the half width of its 95 % interval, and the one-sided p-values.

    Attributes:
        value: the mean.
        half: half the 95 % interval (t).
        p_above: how likely so high a mean is where the true one is zero.
        p_below: how likely so low a one is.
    """

    value: float
    half: float
    p_above: float
    p_below: float

    @property
    def low(self) -> float:
        """The interval's lower end."""
        return self.value - self.half

    @property
    def high(self) -> float:
        """The interval's upper end."""
        return self.value + self.half

    @classmethod
    def of(cls, values: Sequence[float], resampled: float = 0.0) -> Mean:
        """Take the mean of two or more runs.

        Args:
            values: one number a run.
            resampled: of runs on random splits of the same images, the ratio of test images to
                training images. Such runs share images and are not independent; their variance is
                corrected by it (Nadeau and Bengio, Machine Learning 52, 2003). 0: runs that differ
                in their seed alone.
        """
        k, mean = len(values), float(np.mean(values))
        error = float(np.std(values, ddof=1) * np.sqrt(1 / k + resampled))
        if error == 0:
            return cls(mean, 0.0, float(mean <= 0), float(mean >= 0))
        share = mean / error
        half = float(stdtrit(k - 1, (1 + LEVEL) / 2) * error)
        return cls(mean, half, float(stdtr(k - 1, -share)), float(stdtr(k - 1, share)))


def sd_interval(values: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float, float]:
    """Return the sample standard deviation and its 95 % interval (chi-squared, normal values)."""
    degrees = len(values) - 1
    sd = float(np.std(values, ddof=1))
    low, high = (sd * float(np.sqrt(degrees / chi2.ppf(q, degrees))) for q in (0.975, 0.025))
    return sd, low, high

"""Simulate reports and claims: how often are honest ones called wrong, is an error seen?

Run by `make verdicts`, which writes docs/VERDICTS.md; its text is verdicts.md beside this file.
What is simulated is what a run is judged by: `judge`, `Mean.of`, `_above`, `_inside`, `aucs_about`
and `sd_interval` of `repro.comparison`. Seeds are fixed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.signal import lfilter
from scipy.stats import kendalltau, theilslopes

from bench import harness
from repro.comparison.claims import TESTS, Evidence, _above, _inside
from repro.comparison.compare import Model, judge
from repro.comparison.reported import Claim
from repro.comparison.statistics import Mean, Spread, sd_interval, wilson
from repro.comparison.verdict import ClaimVerdict, Verdict
from repro.evaluation.names import METRIC_COLUMNS
from repro.system.files import write_text

Array = np.ndarray[Any, np.dtype[np.float64]]

SD, DIGIT = 0.3, 0.01  # points: what the test accuracy of a NumPy net has, about
REFERENCE = 20
RUNS = (2, 3, 5, 11, 20)
# Runs, and whether reference runs give the spread.
FIGURES = ((1, True), (2, False), (3, False), (5, False), (5, True), (11, False), (20, False))
DIFFERS = (Verdict.TOO_LITTLE, Verdict.HIGHER, Verdict.LOWER)
FEWER = 4  # draws of what takes its time
SHARE = 0.5  # test images to training images, as the flowers are split


# --- figures -------------------------------------------------------------------------------------


def share(found: Iterable[bool]) -> float:
    """Return how many of the draws it is so in."""
    return float(np.mean(list(found)))


def verdicts(
    draws: int,
    runs: int,
    margin: float,
    off: float = 0.0,
    *,
    reference: bool = False,
    sd: float = SD,
    digit: float = DIGIT,
) -> list[Verdict]:
    """Judge reports of one run, printed to a digit, each by as many runs of the same kind.

    Args:
        draws: how many reports.
        runs: how many runs each is held against.
        margin: what matters.
        off: how far the report's kind of run is from ours.
        reference: whether reference runs give the spread.
        sd: of runs.
        digit: that the report prints.
    """
    draw = np.random.default_rng([runs, reference, round(1e4 * margin), round(1e4 * off)])
    own, others = (draw.normal(0, sd, (draws, count)) for count in (runs, REFERENCE))
    printed = np.round(draw.normal(off, sd, draws) / digit) * digit
    return [
        judge(
            float(printed[i]),
            digit,
            own[i].tolist(),
            Spread.of((others if reference else own)[i].tolist()),
            margin,
        ).verdict
        for i in range(draws)
    ]


def differ(found: Iterable[Verdict]) -> float:
    """Return the share of verdicts that say that a figure differs."""
    return share(verdict in DIFFERS for verdict in found)


def of_figures(draws: int) -> list[dict[str, str]]:
    """Return a row for each number of runs: false alarms, and what is told with two margins."""
    rows = []
    for runs, reference in FIGURES:
        row = {
            "runs": str(runs),
            "spread from": f"{REFERENCE} reference runs" if reference else "the runs",
        }
        for times in (2, 4):
            margin = times * SD
            held = verdicts(draws, runs, margin, reference=reference)
            off = verdicts(draws, runs, margin, margin, reference=reference)
            row.setdefault("differs, though it holds", percent(differ(held)))
            agrees = share(verdict == Verdict.AGREES for verdict in held)
            row |= {
                f"δ = {times} sd: agrees, and holds": percent(agrees),
                f"δ = {times} sd: seen": percent(differ(off)),
            }
        rows.append(row)
    return rows


def of_kinds(draws: int) -> list[dict[str, str]]:
    """Return false alarms where something is not as in the first table."""
    draw = np.random.default_rng(1)
    accuracies = learners(draws // FEWER)[:, 0]
    margin = 100 * SD

    def told(reported: Array, own: Array, spread_of: Array | None = None) -> str:
        known = own if spread_of is None else spread_of
        return percent(
            differ(
                judge(float(r), None, o.tolist(), Spread.of(k.tolist()), margin).verdict
                for r, o, k in zip(reported, own, known, strict=True)
            )
        )

    auc = differ(verdicts(draws, 5, 1.0, sd=0.0003, digit=0.001))
    pool = draw.normal(0, SD, (draws, REFERENCE))
    main, another = draw.normal(0, 0.5, (2, draws, 1))
    seeds = draw.normal(0, 0.2, (draws, 6))
    fine = draw.normal(size=(draws, 3)) + draw.random((draws, 1))
    fifths, tenths = (np.round(fine * steps) / steps for steps in (5, 10))
    cases = {
        "11 runs on random splits that share their images, as the report's does": told(
            accuracies[:, 11], accuracies[:, :11]
        ),
        "5 runs that are among the 20 reference runs": told(
            draw.normal(0, SD, draws), pool[:, :5], pool
        ),
        "5 runs, an AUC printed to 0.001, sd 0.0003": percent(auc),
        "2 runs, an accuracy in steps of a fifth of the sd (few images)": told(
            fifths[:, 2], fifths[:, :2]
        ),
        "2 runs, in steps of a tenth": told(tenths[:, 2], tenths[:, :2]),
        "5 seeds of one split, the report on another (sd 0.2 over seeds, 0.5 over splits): no "
        "spread is taken from them; it would give": told(
            (another + seeds[:, 5:])[:, 0], main + seeds[:, :5]
        ),
    }
    return [{"case": case, "differs, though it holds": told} for case, told in cases.items()]


@cache
def learners(draws: int, images: int = 400, splits: int = 21) -> Array:
    """Return test accuracies, in points, of two learners that are equally good on average.

    Each draw is a data set; its random splits share its images: half are trained on, a quarter is
    tested. A learner finds the direction between two classes in numbers of its own, eight an image.

    Returns:
        Shape (draws, 2, splits).
    """
    draw = np.random.default_rng(2)
    found = np.empty((draws, 2, splits))
    for one in found:
        sides = draw.integers(0, 2, images) * 2 - 1
        numbers = draw.normal(size=(images, 2, 8))
        numbers[:, :, 0] += 0.5 * sides[:, None]
        for split in range(splits):
            order = draw.permutation(images)
            train, test = order[: images // 2], order[-images // 4 :]
            direction = np.tensordot(sides[train], numbers[train], 1)
            guesses = np.einsum("ilk,lk->li", numbers[test], direction) > 0
            one[:, split] = 100 * (guesses == (sides[test] > 0)).mean(axis=1)
    return found


# --- claims --------------------------------------------------------------------------------------


def slopes(draws: int, runs: int, epochs: int, correlation: float, trend: float = 0.0) -> Array:
    """Return a slope an epoch for each run, of curves whose epochs are autocorrelated.

    Args:
        draws: how many sets of runs.
        runs: in each set.
        epochs: of a run.
        correlation: of an epoch with the one before.
        trend: the true slope, in standard deviations of a slope over runs.

    Returns:
        Shape (draws, runs): the slopes of :func:`repro.comparison.claims.slope`.
    """
    draw = np.random.default_rng([runs, epochs, round(10 * correlation)])
    noise = curves(draw, draws * runs, epochs, correlation)
    found = np.polyfit(np.arange(1, epochs + 1), noise, 1)[0].reshape(draws, runs)
    return np.asarray(found + trend * found.std())


def curves(draw: np.random.Generator, count: int, epochs: int, correlation: float) -> Array:
    """Return so many curves without a trend, of shape (epochs, count)."""
    noise = draw.normal(size=(epochs, count))
    noise[0] /= np.sqrt(1 - correlation**2)  # as if the curve had gone on before
    return np.asarray(lfilter([1], [1, -correlation], noise, axis=0))


def above(sets: Array, resampled: float = 0.0) -> float:
    """Return in how many sets of runs the mean is above zero, as a claim's test says."""
    return share(_above(Mean.of(values.tolist(), resampled)) is True for values in sets)


def false_trends(draws: int, epochs: int, correlation: float, runs: int) -> float:
    """Return in how many sets of runs without a trend a rise is found."""
    return above(slopes(draws, runs, epochs, correlation))


def by_runs(of: Callable[[int], float | None]) -> dict[str, str]:
    """Return a percentage for each number of runs."""
    found = {str(runs): of(runs) for runs in RUNS}
    return {runs: "" if value is None else percent(value) for runs, value in found.items()}


def of_trends(draws: int) -> list[dict[str, str]]:
    """Return how often runs without a trend are said to have one, and runs with one are."""
    rows = []
    for epochs, correlation in product((9, 10, 40), (0.0, 0.5, 0.9)):
        name = f"no trend, {epochs} epochs, autocorrelation {correlation:g}"
        found = by_runs(partial(false_trends, draws, epochs, correlation))
        rows.append({"curves": name} | found)
    seen = by_runs(lambda runs: above(slopes(draws, runs, 10, 0.5, trend=1)))
    return [*rows, {"curves": "seen: a trend of 1 sd of the slopes"} | seen]


def of_claims(draws: int) -> list[dict[str, str]]:
    """Return how often each other test of a claim is wrong where the truth is at its edge."""
    both = learners(draws // FEWER)
    gains = both[:, 0] - both[:, 1]

    def at_the_margin(runs: int, wrong: bool) -> float:
        values = np.random.default_rng(runs).normal(1, SD, (draws, runs))
        return share(_inside(Mean.of(each.tolist()), 1.0) is wrong for each in values)

    def off_the_deviation(runs: int) -> float | None:
        if runs < 10:
            return None  # the claim's test refuses
        sets = np.random.default_rng(runs).normal(size=(draws, runs))
        return share(not low <= 1 <= high for _, low, high in map(sd_interval, sets))

    rows: dict[str, Callable[[int], float | None]] = {
        "a mean at the margin is said to be within": lambda k: at_the_margin(k, True),
        "and to be beyond": lambda k: at_the_margin(k, False),
        "AUCs about a value, their mean at the edge: said to hold": lambda k: aucs_at_the_edge(
            draws // FEWER, k
        ),
        "the true deviation over splits is outside its interval": off_the_deviation,
        "one net beats an equal one, corrected for shared images": lambda k: above(
            gains[:, :k], SHARE
        ),
        "the same without the correction": lambda k: above(gains[:, :k]),
    }
    return [{"test": name, **by_runs(of)} for name, of in rows.items()]


def aucs_at_the_edge(draws: int, runs: int) -> float:
    """Return how often AUCs whose true mean is at the margin are said to be within it."""
    claim = Claim(1, "", ("net",), "aucs_about", {"auc": 0.98, "within": 0.01}, "")
    names = [f"run-{number}" for number in range(runs)]
    model = Model("net", "Net", "numpy", "net", "stated", dict.fromkeys(names, "main"), True, "")
    rows = [("net", name, 1, "validation", "auc_ovr_softmax", 0.0, 1) for name in names]
    metrics = pd.DataFrame(rows, columns=METRIC_COLUMNS)
    values = np.random.default_rng(runs).normal(0.99, 0.001, (draws, runs))
    test = TESTS["aucs_about"].judge
    found = [test(claim, [Evidence(model, metrics.assign(value=each))], [])[0] for each in values]
    return share(finding.verdict == ClaimVerdict.HOLDS for finding in found)


# --- the rules before ----------------------------------------------------------------------------


def of_old_rules(draws: int) -> list[dict[str, str]]:
    """Return how often the first rules of this project called an honest report or claim wrong."""
    draw = np.random.default_rng(3)
    rows = []
    for runs in RUNS:
        own, reported = draw.normal(size=(draws, runs)), draw.normal(size=draws)
        outside = (reported < own.min(axis=1)) | (reported > own.max(axis=1))
        rows.append((f"outside the range of {runs} runs, though it holds", outside.mean(), "5"))
    n, pool = 2048, 8189
    right = round(0.91 * pool)
    tests = {
        "two test sets": draw.binomial(n, 0.91, (draws, 2)),
        "two splits of the same images": draw.hypergeometric(right, pool - right, n, (draws, 2)),
    }
    for what, hits in tests.items():
        ends = [wilson(one / n, n) for one, _ in hits]
        pairs = zip(ends, hits[:, 1] / n, strict=True)
        out = share(not low <= other <= high for (low, high), other in pairs)
        rows.append((f"outside the Wilson interval of one run, though it holds: {what}", out, "5"))
    epochs = np.arange(40)
    for correlation in (0.0, 0.5, 0.9):
        noise = curves(draw, draws // FEWER, len(epochs), correlation).T
        where = f"40 epochs of one run, autocorrelation {correlation:g}"
        low = share(theilslopes(each, epochs, 0.95).low_slope > 0 for each in noise)
        tau = share(kendalltau(each, epochs, alternative="greater").pvalue < 0.05 for each in noise)
        rows.append((f"a rise by Theil and Sen's slope, though there is none: {where}", low, "2.5"))
        rows.append((f"a rise by Kendall's test, though there is none: {where}", tau, "5"))
    return [
        {"found": what, "how often": percent(found), "promised": promised}
        for what, found, promised in rows
    ]


# --- the page ------------------------------------------------------------------------------------


def percent(value: float) -> str:
    """Return e.g. "5.0" for a share of 0.05."""
    return f"{100 * value:.1f}"


def page(draws: int) -> str:
    """Return the page as Markdown, from as many draws for each figure."""
    text = Path(__file__).with_suffix(".md").read_text(encoding="utf-8")
    return text.format(
        draws=draws,
        learned=draws // FEWER,
        sd=SD,
        digit=DIGIT,
        figures=harness.table(of_figures(draws), 2),
        kinds=harness.table(of_kinds(draws)),
        trends=harness.table(of_trends(draws)),
        claims=harness.table(of_claims(draws)),
        old=harness.table(of_old_rules(draws)),
    )


def main() -> None:
    """Read the command line, simulate, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, help="write the page there too")
    parser.add_argument("--draws", type=int, default=5_000, help="for each figure")
    options = parser.parse_args()
    text = page(options.draws)
    print(text, end="")
    if options.output:
        write_text(options.output, text)


if __name__ == "__main__":
    main()

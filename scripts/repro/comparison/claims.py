"""The report's claims in words, and a library of tests that they name.

A test looks at every run of the models that the claim is about: each run gives one number, and what
is tested is their mean over runs. A single run is described, not tested: its epochs are not
independent, and one of anything has no spread. Where the models were not run, or on other data than
the report's, the claim cannot be judged, and what would be needed is said instead. Flower nets that
ran by another protocol than the report's judge it only under that protocol's name.

What the tests make of chance: ``docs/VERDICTS.md``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from repro.comparison.compare import Model
from repro.comparison.reference import Reference
from repro.comparison.reported import Claim, Report
from repro.comparison.statistics import Mean, Spread, prediction_half_width, sd_interval, wilson
from repro.comparison.verdict import ClaimVerdict
from repro.evaluation.metrics import predicted
from repro.evaluation.names import ERROR
from repro.predictions import Predictions

COLUMNS = [
    "claim",
    "text",
    "verdict",
    "protocol",  # by which it was judged, where the report's is another
    "evidence",
    "needs",
    "test",
]

_SETS = ("train", "validation", "test")
_SPLITS_NEEDED = 10
_P = 0.05


@dataclass(frozen=True)
class Evidence:
    """What was run of one model.

    Attributes:
        model: the model.
        metrics: its rows of metrics.csv, all runs.
        histories: history of each run that has one, by the run's name.
        predictions: path of the predictions of each run that has them, by the run's name.
        reference: reference runs of the reported model, where there are any.
    """

    model: Model
    metrics: pd.DataFrame
    histories: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    predictions: Mapping[str, str | os.PathLike[str]] = field(default_factory=dict)
    reference: Reference | None = None

    def values(self, split: str, metric: str) -> pd.Series:
        """Return a metric by run; raise NotEnoughError where it was not made."""
        own = self.metrics[self.metrics["run"].isin(self.model.runs)]
        rows = own[(own["split"] == split) & (own["metric"] == metric)]
        if rows.empty:
            raise NotEnoughError(f"the {split} {metric} of {self.model.title}")
        return rows.set_index("run")["value"]

    def n(self, split: str) -> int:
        """Return the number of images in a set of the headline run."""
        own = self.metrics[self.metrics["run"] == self.model.headline]
        return int(own.loc[own["split"] == split, "n"].iloc[0])

    @property
    def resampled(self) -> float:
        """Test images to training images of runs on several splits; 0 where they share one."""
        return self.n("test") / self.n("train") if self.model.on_several_splits else 0.0

    def mean(self, values: Sequence[float]) -> Mean | None:
        """Return the mean of one number a run; None for a single run."""
        return Mean.of(values, self.resampled) if len(values) > 1 else None

    def curves(self, split: str, quantity: str) -> list[pd.Series]:
        """Return a quantity by epoch for each run that has it, the headline first.

        Raises:
            NotEnoughError: no run has the history, or not this quantity in three epochs.
        """
        found = [_series(self.histories[run], split, quantity) for run in self._told]
        if not found or min(map(len, found)) < 3:
            what = f"the {split} {quantity} of three epochs or more" if found else "the history"
            raise NotEnoughError(f"{what} of {self.model.title}")
        return found

    def has_curve(self, split: str, quantity: str) -> bool:
        """Whether its histories have this quantity on this set."""
        return all(len(_series(self.histories[run], split, quantity)) for run in self._told)

    @property
    def _told(self) -> list[str]:
        return [run for run in self.model.runs if run in self.histories]


class NotEnoughError(Exception):
    """What was run does not suffice; the message says what would be needed."""


@dataclass(frozen=True)
class Finding:
    """Whether a claim holds of one model, the numbers that carry it, and what is lacking."""

    verdict: ClaimVerdict
    text: str
    needs: str = ""

    @classmethod
    def of(cls, found: Evidence, parts: Sequence[bool | None], text: str) -> Finding:
        """Put together what a test found of the parts of a claim; None: chance could be all."""
        text = _named(found, text)
        if len(found.model.runs) < 2:
            return cls(
                ClaimVerdict.CANNOT,
                text,
                f"a second run of {found.model.title}; one run is described, not tested",
            )
        if set(parts) == {True}:
            return cls(ClaimVerdict.HOLDS, text)
        if True in parts:
            return cls(ClaimVerdict.IN_PART, text)
        if False in parts:
            return cls(ClaimVerdict.FAILS, text)
        return cls(ClaimVerdict.CANNOT, text, f"more runs of {found.model.title}")


def judge(report: Report, everything: Sequence[Evidence]) -> pd.DataFrame:
    """Return one row per claim: number, text, verdict, evidence, what is needed, how tested."""
    told = [replace(found, model=found.model.each_split_once()) for found in everything]
    rows = [_judge(claim, report, told) for claim in report.claims]
    return pd.DataFrame(rows, columns=COLUMNS)


def _judge(claim: Claim, report: Report, everything: Sequence[Evidence]) -> dict[str, Any]:
    """Judge a claim by the report's protocol; by another where only that was run far enough."""
    run = [
        found
        for found in everything
        if found.model.comparable and found.model.reported in claim.models
    ]
    others = [found.model.protocol for found in run if found.model.protocol]
    rows = [
        _by_protocol(protocol, claim, report, run, everything)
        for protocol in dict.fromkeys([claim.protocol, *others])
    ]
    best = max(rows, key=lambda row: (row["verdict"] != ClaimVerdict.CANNOT, row["evidence"] != ""))
    if not run:
        best["evidence"] = _of_stand_ins(claim, report, everything)
    return best


def _by_protocol(
    protocol: str,
    claim: Claim,
    report: Report,
    run: Sequence[Evidence],
    everything: Sequence[Evidence],
) -> dict[str, Any]:
    """Judge a claim by the nets that ran by one protocol, and those that have none."""
    own = [found for found in run if found.model.protocol in ("", protocol)]
    there = {found.model.reported for found in own}
    absent = [report.models[key].title for key in claim.models if key not in there]
    findings: Sequence[Finding] = []
    needs = ""
    try:
        findings = TESTS[claim.test].judge(claim, own, everything) if own else []
    except NotEnoughError as error:
        needs = str(error)
    lacking = [finding.needs for finding in findings if finding.needs]
    needs = "; ".join(dict.fromkeys(lacking)) or needs
    if absent:
        needs = f"{' and '.join(absent)} on the report's data, by its recipe"
    evidence = "; ".join(finding.text for finding in findings)
    another = protocol != claim.protocol
    if evidence and protocol:
        whose = f"the report's is {claim.protocol}" if another else "as the report"
        evidence = f"by the protocol {protocol}, {whose}: {evidence}"
    return {
        "claim": claim.number,
        "text": claim.text,
        "verdict": ClaimVerdict.CANNOT if absent or not findings else _overall(findings),
        "protocol": protocol if another else "",
        "evidence": evidence,
        "needs": needs,
        "test": TESTS[claim.test].words.format(**claim.parameters),
    }


def _of_stand_ins(claim: Claim, report: Report, everything: Sequence[Evidence]) -> str:
    """Return what the test finds of the models that were run in place of the report's."""
    test = TESTS[claim.test]
    if not test.about_any_net:
        return ""
    part = report.models[claim.models[0]].part
    texts = []
    for found in everything:
        if found.model.part != part or found.model.comparable:
            continue
        why_not = f" ({found.model.why_not})"
        title = found.model.title.removesuffix(why_not) + why_not
        stand_in = replace(found, model=replace(found.model, title=title))
        try:
            texts += [finding.text for finding in test.judge(claim, [stand_in], [])]
        except NotEnoughError:
            continue
    return "; ".join(f"in place of the report's models, {text}" for text in texts)


def _overall(findings: Sequence[Finding]) -> ClaimVerdict:
    outcomes = {finding.verdict for finding in findings}
    if len(outcomes) == 1:
        return outcomes.pop()
    return ClaimVerdict.CANNOT if ClaimVerdict.CANNOT in outcomes else ClaimVerdict.IN_PART


def _named(found: Evidence, text: str) -> str:
    return f"{found.model.title}: {text}"


def _series(history: pd.DataFrame, split: str, quantity: str) -> pd.Series:
    """Return a quantity by epoch, without the epochs where it is not known."""
    rows = history[history["split"] == split].dropna(subset=[quantity])
    return pd.Series(rows[quantity].to_numpy(), index=rows["epoch"].to_numpy()).sort_index()


def slope(series: pd.Series) -> float:
    """Return a run's slope per epoch, by least squares, in the quantity's unit."""
    return float(np.polyfit(series.index.to_numpy(), series.to_numpy(), 1)[0])


def _above(mean: Mean | None) -> bool | None:
    """Whether a mean over runs is above zero (True) or below (False); None: chance could be all."""
    if mean is None:
        return None
    return True if mean.p_above < _P else (False if mean.p_below < _P else None)


def _inside(mean: Mean | None, margin: float) -> bool | None:
    """Whether a mean is within a margin of zero (True) or beyond (False); None: it may be both."""
    if mean is None:
        return None
    if -margin <= mean.low and mean.high <= margin:
        return True
    return False if mean.low > margin or mean.high < -margin else None


def _with_interval(values: Sequence[float], mean: Mean | None, digits: int) -> str:
    """Return e.g. "+0.021 ± 0.004" over several runs, or the number of a single one."""
    centre = f"{np.mean(values):+.{digits}f}"
    return f"{centre} \u00b1 {mean.half:.{digits}f}" if mean else centre


def _over(found: Evidence) -> str:
    runs = len(found.model.runs)
    return f"over {runs} runs" if runs > 1 else "in one run"


def stay_close(claim: Claim, found: Evidence) -> Finding:
    """Train minus validation accuracy, averaged over the epochs, is within the margin."""
    pairs = zip(
        found.curves("train", "accuracy"), found.curves("validation", "accuracy"), strict=True
    )
    curves = [100 * (train - validation).dropna() for train, validation in pairs]
    gaps = [float(gap.mean()) for gap in curves]
    mean = found.mean(gaps)
    headline = curves[0]
    widest = headline.abs().idxmax()
    text = (
        f"train minus validation {_with_interval(gaps, mean, 2)} points on average over the "
        f"epochs, {_over(found)}; widest in the headline run {headline[widest]:+.2f} at epoch "
        f"{widest}, {headline.iloc[-1]:+.2f} at the end"
    )
    return Finding.of(found, [_inside(mean, claim.parameters["points"])], text)


def keep_rising(
    claim: Claim, own: Sequence[Evidence], everything: Sequence[Evidence]
) -> list[Finding]:
    """Beyond the report's epochs every slope is above zero."""
    shorter = {found.model.reported: found for found in own}
    longer = [found for found in everything if found.model.longer_of in shorter]
    if not longer:
        raise NotEnoughError("a longer run of the same net (a model with longer_of)")
    findings = []
    for found in longer:
        short = shorter[found.model.longer_of]
        last = int(short.curves("train", "accuracy")[0].index.max())
        end = int(found.curves("train", "accuracy")[0].index.max())
        texts, rises = [], []
        for split in _SETS:
            if found.has_curve(split, "accuracy"):
                curves = found.curves(split, "accuracy")
                slopes = [100 * slope(curve[curve.index > last]) for curve in curves]
                mean = found.mean(slopes)
                texts.append(f"{split} {_with_interval(slopes, mean, 4)}")
            else:
                # No curve: the same seed's two runs, one beside the other.
                before, after = (100 * part.values(split, "accuracy") for part in (short, found))
                gains = (after - before).dropna().tolist()
                if not gains:
                    raise NotEnoughError(f"runs of {short.model.title} of the same seeds")
                mean = found.mean(gains)
                gain = _with_interval(gains, mean, 2)
                texts.append(f"{split} {gain} in all, by seed")
            rises.append(_above(mean))
        text = f"epochs {last + 1} to {end}, points per epoch {_over(found)}: {', '.join(texts)}"
        findings.append(Finding.of(found, rises, text))
    return findings


def level_off(claim: Claim, found: Evidence) -> Finding:
    """Over the last epochs train rises, validation stays level, and a gap stands open."""
    epochs, points = claim.parameters["epochs"], claim.parameters["points"]
    late = {
        split: [
            100 * curve[curve.index > curve.index.max() - epochs]
            for curve in found.curves(split, "accuracy")
        ]
        for split in ("train", "validation")
    }
    steps = len(late["train"][0]) - 1
    rises = [steps * slope(curve) for curve in late["train"]]
    moves = [steps * slope(curve) for curve in late["validation"]]
    pairs = zip(late["train"], late["validation"], strict=True)
    gaps = [float((train - validation).mean()) for train, validation in pairs]
    low, high = wilson(float(late["validation"][0].iloc[-1]) / 100, found.n("validation"))
    rise, move, gap = (found.mean(values) for values in (rises, moves, gaps))
    text = (
        f"over the last {steps + 1} epochs, {_over(found)}, train "
        f"{_with_interval(rises, rise, 3)} points, validation "
        f"{_with_interval(moves, move, 3)}; train minus validation "
        f"{_with_interval(gaps, gap, 2)} (half the validation set's interval is "
        f"{50 * (high - low):.2f})"
    )
    is_open = gap.value > 50 * (high - low) if gap else None
    return Finding.of(found, [_above(rise), _inside(move, points), is_open], text)


def aucs_about(claim: Claim, found: Evidence) -> Finding:
    """The macro AUC (one-vs-rest on softmax, validation) of one more run would be about it."""
    split, metric = "validation", "auc_ovr_softmax"
    values = found.values(split, metric).tolist()
    known = found.reference.spread(split, metric) if found.reference else None
    spread = Spread.better(Spread.of(values), known)
    if spread is None:
        needs = f"a second run of {found.model.title}; one run is described, not tested"
        text = _named(found, f"{values[0]:.4f}")
        return Finding(ClaimVerdict.CANNOT, text, needs)
    away = float(np.mean(values)) - claim.parameters["auc"]
    half, within = prediction_half_width(spread, len(values)), claim.parameters["within"]
    verdict = ClaimVerdict.CANNOT
    if abs(away) + half <= within:
        verdict = ClaimVerdict.HOLDS
    elif abs(away) - half > within:
        verdict = ClaimVerdict.FAILS
    needs = f"more runs of {found.model.title}" if verdict == ClaimVerdict.CANNOT else ""
    text = f"{np.mean(values):.4f} \u00b1 {half:.4f}, {_over(found)}"
    return Finding(verdict, _named(found, text), needs)


def losses_fall(claim: Claim, own: Sequence[Evidence], _: Sequence[Evidence]) -> list[Finding]:
    """Loss falls on every set; the one rise the report saw is looked for."""
    findings = [_trend(found, "loss", -1) for found in own]
    for found in own:
        if found.model.reported == claim.parameters["rise_of"]:
            findings.append(_the_rise(found, claim.parameters))
    return findings


def accuracies_grow(_: Claim, found: Evidence) -> Finding:
    """Accuracy grows on every set."""
    return _trend(found, "accuracy", 1)


def _trend(found: Evidence, quantity: str, sign: int) -> Finding:
    """Find whether a quantity follows the epochs on every set."""
    scale, unit = (100, " %") if quantity == "accuracy" else (1, "")
    texts, follows = [], []
    for split in _SETS:
        curves = [scale * curve for curve in found.curves(split, quantity)]
        slopes = [slope(curve) for curve in curves]
        mean = found.mean(slopes)
        follows.append(_above(found.mean([sign * each for each in slopes])))
        first, last = (np.mean([curve.iloc[at] for curve in curves]) for at in (0, -1))
        texts.append(
            f"{split} {first:.2f} to {last:.2f}{unit} ({_with_interval(slopes, mean, 3)} an epoch)"
        )
    return Finding.of(found, follows, f"{', '.join(texts)}, {_over(found)}")


def _the_rise(found: Evidence, rise: Mapping[str, Any]) -> Finding:
    """Find in how many runs the loss rises between the two epochs and is lower again after them."""
    epochs = [rise["before"], rise["after"], rise["evened_out"]]
    seen, texts = [], []
    for split in rise["rise_on"]:
        steps = []
        for curve in found.curves(split, "loss"):
            if missing := [epoch for epoch in epochs if epoch not in curve.index]:
                raise NotEnoughError(f"epoch {missing[0]} of {found.model.title}")
            before, after, later = curve[epochs]
            steps.append(after - before)
            seen.append(after > before and later < after)
        texts.append(f"{split} {np.mean(steps):+.3f}")
    text = (
        f"loss between epochs {epochs[0]} and {epochs[1]}: {', '.join(texts)}; a small rise that "
        f"evens out is seen in {sum(seen)} of {len(seen)} curves"
    )
    return Finding.of(found, [2 * sum(seen) >= len(seen)], text)


def reasonable_gap(claim: Claim, found: Evidence) -> Finding:
    """Train loss ends below the others, and validation loss has not begun to climb."""
    curves = {split: found.curves(split, "loss") for split in _SETS}
    ends = {split: [float(curve.iloc[-1]) for curve in curves[split]] for split in _SETS}
    held_out = zip(ends["train"], ends["validation"], ends["test"], strict=True)
    gaps = [min(validation, test) - train for train, validation, test in held_out]
    # A loss of nothing at all, as tiny sets can come to, has no multiples.
    climbs = [
        100 * (curve.iloc[-1] / curve.min() - 1) if curve.min() > 0 else 0.0
        for curve in curves["validation"]
    ]
    gap, climb = found.mean(gaps), found.mean(climbs)
    text = (
        ", ".join(f"{split} {np.mean(ends[split]):.3f}" for split in _SETS)
        + f" at the end; train is below both by {_with_interval(gaps, gap, 3)}, validation is "
        f"{_with_interval(climbs, climb, 1)} % from its lowest, {_over(found)}"
    )
    parts = [_above(gap), _inside(climb, claim.parameters["percent"])]
    return Finding.of(found, parts, text)


# What "moves by" can mean, each as a multiple of the standard deviation over splits.
_READINGS = {
    "as a standard deviation": 1.0,
    "as the usual change from one split to another": 2 / np.sqrt(np.pi),
    "as the largest of twenty such changes": 1.96 * np.sqrt(2),
}


def spread_over_splits(claim: Claim, found: Evidence) -> Finding:
    """The stated movement lies in the 95 % interval of the standard deviation, or a multiple."""
    splits = set(found.model.runs.values())
    if len(splits) < _SPLITS_NEEDED:
        raise NotEnoughError(
            f"{_SPLITS_NEEDED} random splits of {found.model.title}, "
            f"{len(splits)} were run (flowers.split_seeds)"
        )
    values = 100 * found.values("test", "accuracy").to_numpy()
    sd, low, high = sd_interval(values)
    points = claim.parameters["points"]
    fits = {name: low * by <= points <= high * by for name, by in _READINGS.items()}
    n, mean = found.n("test"), values.mean() / 100
    chance = 100 * float(np.sqrt(mean * (1 - mean) / n))
    holds = [name for name, fit in fits.items() if fit]
    text = (
        f"test accuracy {values.mean():.2f} % over {len(values)} splits, standard deviation "
        f"{sd:.2f} points (95 % {low:.2f} to {high:.2f}), from {values.min():.2f} to "
        f"{values.max():.2f}; drawing {n} test images alone gives {chance:.2f}; {points} "
        f"points fit {' and '.join(holds) or 'no reading'}"
    )
    return Finding.of(found, [any(fits.values())], text)


@dataclass(frozen=True)
class McNemar:
    """Images that only one of two models got right, and the two-sided exact p-value."""

    only_first: int
    only_second: int
    shared: int
    p: float


def mcnemar(first: Predictions, second: Predictions) -> McNemar:
    """Compare two models on the images both have in their test sets (McNemar 1947).

    The p-value is the exact binomial one: under the null hypothesis each disagreement falls to
    either side with probability one half. It is right for few disagreements and for many.

    Raises:
        NotEnoughError: where the test sets share no image.
    """
    right = [
        pd.Series(part.classes[predicted(part)] == part.classes[part.labels], index=part.ids)
        for part in (first.of("test"), second.of("test"))
    ]
    both = pd.concat(right, axis=1, join="inner", keys=["first", "second"])
    if both.empty:
        raise NotEnoughError("both models on the same test images")
    only_first = int((both["first"] & ~both["second"]).sum())
    only_second = int((both["second"] & ~both["first"]).sum())
    disagreements = only_first + only_second
    p = float(binomtest(only_first, disagreements).pvalue) if disagreements else 1.0
    return McNemar(only_first, only_second, len(both), p)


def _paired(claim: Claim, own: Sequence[Evidence]) -> tuple[Evidence, Evidence, list[float]] | None:
    """Return both models and how much higher the first is in each pair of runs, in points."""
    pair = [next((x for x in own if x.model.reported == key), None) for key in claim.models]
    first, second = pair
    if first is None or second is None:
        return None
    metric = claim.parameters["metric"]
    values = [100 * part.values("test", metric) for part in (first, second)]
    paired = [
        run
        for run, split in first.model.runs.items()
        if second.model.runs.get(run) == split and all(run in each for each in values)
    ]
    if not paired:
        raise NotEnoughError("runs of both models on the same split")
    return first, second, (values[0] - values[1])[paired].tolist()


def beats(claim: Claim, own: Sequence[Evidence], _: Sequence[Evidence]) -> list[Finding]:
    """The first is better in the mean over paired runs, beyond chance."""
    pair = _paired(claim, own)
    if pair is None:
        return []
    better, worse, gains = pair
    if claim.parameters["metric"] == ERROR:
        gains = [-gain for gain in gains]
    mean = better.mean(gains)
    won = sum(gain > 0 for gain in gains)
    text = (
        f"better on test by {_with_interval(gains, mean, 2)} points, in {won} of {len(gains)} "
        f"paired runs; {_one_run(better, worse)}"
    )
    return [Finding.of(better, [_above(mean)], text)]


def about_equal(claim: Claim, own: Sequence[Evidence], _: Sequence[Evidence]) -> list[Finding]:
    """In the mean over paired runs the two are no further apart than the margin."""
    pair = _paired(claim, own)
    if pair is None:
        return []
    first, second, apart = pair
    mean = first.mean(apart)
    text = (
        f"test {claim.parameters['metric']} {_with_interval(apart, mean, 2)} points from that of "
        f"{second.model.title}, over {len(apart)} paired run{'' if len(apart) == 1 else 's'}"
    )
    return [Finding.of(first, [_inside(mean, claim.parameters["points"])], text)]


def _one_run(better: Evidence, worse: Evidence) -> str:
    """Return what the headline runs' predictions say of these two trained nets (McNemar)."""
    paths = [part.predictions.get(part.model.headline) for part in (better, worse)]
    if None in paths:
        raise NotEnoughError("the predictions of both models")
    outcome = mcnemar(*(Predictions.load(path) for path in paths if path is not None))
    return (
        f"of {outcome.shared} test images that the headline runs share {outcome.only_first} only "
        f"{better.model.title} got right, {outcome.only_second} only {worse.model.title} (exact "
        f"McNemar p = {outcome.p:.2g})"
    )


Judge = Callable[[Claim, Sequence[Evidence], Sequence[Evidence]], list[Finding]]


@dataclass(frozen=True)
class ClaimTest:
    """A test that claims of the report's file name.

    Attributes:
        judge: takes the claim, what was run of its models, and what was run of all.
        words: the test in words, for the reader of the table; it may name parameters in braces.
        about_any_net: whether it says something of a net that stands in for the report's.
    """

    judge: Judge
    words: str
    about_any_net: bool = False


def _each(test: Callable[[Claim, Evidence], Finding]) -> Judge:
    """Return a test of one model as one of each model that the claim is about."""

    @wraps(test)
    def judge(claim: Claim, own: Sequence[Evidence], _: Sequence[Evidence]) -> list[Finding]:
        return [test(claim, found) for found in own]

    return judge


_T = "mean over runs, one-sided t test at 5 %"

# By name; repro.comparison.reported has the parameters of each.
TESTS = {
    test.judge.__name__: test
    for test in (
        ClaimTest(
            _each(stay_close),
            "Train minus validation accuracy, averaged over the epochs: the 95 % interval of its "
            "mean over runs lies within the points stated in the report's file.",
        ),
        ClaimTest(
            keep_rising,
            f"One slope of accuracy a run, over the epochs beyond the report's: above zero ({_T}). "
            "A set without a curve ends higher than in the shorter run of the same seed.",
        ),
        ClaimTest(
            _each(level_off),
            "Over the last epochs, one rise a run, slope times epochs: that of train accuracy is "
            f"above zero ({_T}), that of validation accuracy has its 95 % interval within the "
            "points stated, and train is above validation by more than half its Wilson interval.",
        ),
        ClaimTest(
            _each(aucs_about),
            "Macro AUC, one-vs-rest on softmax of the outputs, validation set: the 95 % prediction "
            "interval for one further run is within the margin about the stated value.",
        ),
        ClaimTest(
            losses_fall,
            f"One slope of the loss a run and set: below zero ({_T}). The single rise is looked "
            "for at the epochs stated.",
            about_any_net=True,
        ),
        ClaimTest(
            _each(accuracies_grow),
            f"One slope of accuracy a run and set: above zero ({_T}).",
            about_any_net=True,
        ),
        ClaimTest(
            _each(reasonable_gap),
            f"Train loss ends below validation and test loss ({_T}); the gap counts as reasonable "
            "while the 95 % interval of validation loss is within the stated per cent of its "
            "lowest.",
            about_any_net=True,
        ),
        ClaimTest(
            _each(spread_over_splits),
            f"Over at least {_SPLITS_NEEDED} random splits: the stated movement lies in the 95 % "
            "interval (chi-squared) of the standard deviation of test accuracy, of the usual "
            "change between two splits, or of the largest of twenty: the words can mean each.",
            about_any_net=True,
        ),
        ClaimTest(
            beats,
            f"Difference of test {{metric}} between the two on the same split ({_T}, its variance "
            "corrected for splits that share images). McNemar's exact test stands beside it as the "
            "view of one run.",
        ),
        ClaimTest(
            about_equal,
            "Difference of test {metric} between the two on the same split: the 95 % interval of "
            "its mean over runs lies within ±{points} points.",
        ),
    )
}

"""The report's claims in words, and a library of tests that they name.

A test looks at what was run of the models that the claim is about, and finds for each whether the
claim holds, with the numbers that carry it. Where the models were not run, or on other data than
the report's, the claim cannot be judged, and what would be needed is said instead. Flower nets that
ran by another protocol than the report's judge it only under that protocol's name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest, chi2, kendalltau, theilslopes

from repro.comparison.compare import Model, wilson
from repro.comparison.reported import Claim, Report
from repro.comparison.verdict import ClaimVerdict
from repro.evaluation.metrics import predicted
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

# What the report leaves open, decided here once.
_LAST_EPOCHS = 10  # "towards the end" of 50
_AUC_WITHIN = 0.01  # "about 0.99": within the last digit stated
_LOSS_RISE = 0.05  # a gap is "reasonable" while validation loss is within 5 % of its lowest
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
        on_other_splits: names of the runs on other splits than the main one.
    """

    model: Model
    metrics: pd.DataFrame
    histories: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    predictions: Mapping[str, str | os.PathLike[str]] = field(default_factory=dict)
    on_other_splits: Collection[str] = ()

    @property
    def history(self) -> pd.DataFrame | None:
        """The history of the headline run."""
        return self.histories.get(self.model.headline)

    def value(self, split: str, metric: str) -> float:
        """Return a metric of the headline run; raise NotEnoughError where it was not made."""
        own = self.metrics[self.metrics["run"] == self.model.headline]
        found = own.loc[(own["split"] == split) & (own["metric"] == metric), "value"]
        if found.empty:
            raise NotEnoughError(f"the {split} {metric} of {self.model.title}")
        return float(found.iloc[0])

    def n(self, split: str) -> int:
        """Return the number of images in a split of the headline run."""
        own = self.metrics[self.metrics["run"] == self.model.headline]
        return int(own.loc[own["split"] == split, "n"].iloc[0])


class NotEnoughError(Exception):
    """What was run does not suffice; the message says what would be needed."""


@dataclass(frozen=True)
class Finding:
    """Whether a claim holds of one model (None: in part), and the numbers that carry it."""

    holds: bool | None
    text: str


def _of_parts(hold: Sequence[bool]) -> bool | None:
    """Return True where all parts of a claim hold, None (in part) where some do, else False."""
    return all(hold) or (None if any(hold) else False)


def judge(report: Report, everything: Sequence[Evidence]) -> pd.DataFrame:
    """Return one row per claim: number, text, verdict, evidence, what is needed, how tested."""
    rows = [_judge(claim, report, everything) for claim in report.claims]
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
        "test": TESTS[claim.test].words,
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
    outcomes = {finding.holds for finding in findings}
    if outcomes == {True}:
        return ClaimVerdict.HOLDS
    return ClaimVerdict.FAILS if outcomes == {False} else ClaimVerdict.IN_PART


def _named(found: Evidence, text: str) -> str:
    return f"{found.model.title}: {text}"


def _needed_history(found: Evidence) -> pd.DataFrame:
    if found.history is None:
        raise NotEnoughError(f"the history of {found.model.title}")
    return found.history


def _series(history: pd.DataFrame, split: str, quantity: str) -> pd.Series:
    """Return a quantity by epoch, without the epochs where it is not known."""
    rows = history[history["split"] == split].dropna(subset=[quantity])
    return pd.Series(rows[quantity].to_numpy(), index=rows["epoch"].to_numpy()).sort_index()


@dataclass(frozen=True)
class Slope:
    """Theil-Sen slope per epoch with its 95 % confidence limits, in the quantity's unit."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, series: pd.Series) -> Slope:
        """Fit; the median of all pairwise slopes is not led astray by one odd epoch."""
        fit = theilslopes(series.to_numpy(), series.index.to_numpy(), alpha=0.95)
        return cls(float(fit.slope), float(fit.low_slope), float(fit.high_slope))

    def in_points(self) -> str:
        """Return e.g. "+0.021 points per epoch (+0.019 to +0.023)" for accuracies."""
        low, high = 100 * self.low, 100 * self.high
        return f"{100 * self.value:+.3f} points per epoch ({low:+.3f} to {high:+.3f})"


def stay_close(claim: Claim, own: Sequence[Evidence], _: Sequence[Evidence]) -> list[Finding]:
    """In every epoch the train accuracy lies in the interval of the validation's."""
    findings = []
    for found in own:
        history, n = _needed_history(found), found.n("validation")
        train = _series(history, "train", "accuracy")
        validation = _series(history, "validation", "accuracy")
        gaps = (train - validation).dropna()
        inside = [
            wilson(validation[epoch], n)[0] <= train[epoch] <= wilson(validation[epoch], n)[1]
            for epoch in gaps.index
        ]
        widest = gaps.abs().idxmax()
        low, high = wilson(validation[widest], n)
        findings.append(
            Finding(
                all(inside),
                _named(
                    found,
                    f"inside in {sum(inside)} of {len(gaps)} epochs; widest gap "
                    f"{100 * gaps[widest]:+.2f} points at epoch {widest} (half the interval is "
                    f"{50 * (high - low):.2f}), {100 * gaps.iloc[-1]:+.2f} at the end",
                ),
            )
        )
    return findings


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
        reported_epochs = int(_needed_history(short)["epoch"].max())
        history = _needed_history(found)
        last = int(history["epoch"].max())
        beyond = history[history["epoch"] > reported_epochs]
        texts, rises = [], []
        for split in ("train", "validation", "test"):
            series = _series(beyond, split, "accuracy")
            if len(series) > 2:
                slope = Slope.of(series)
                rises.append(slope.low > 0)
                texts.append(f"{split} {slope.in_points()}")
            else:
                before, after = (part.value(split, "accuracy") for part in (short, found))
                rises.append(after > before)
                texts.append(f"{split} from {100 * before:.2f} to {100 * after:.2f} %")
        findings.append(
            Finding(
                _of_parts(rises),
                _named(found, f"epochs {reported_epochs + 1} to {last}, {', '.join(texts)}"),
            )
        )
    return findings


def level_off(claim: Claim, own: Sequence[Evidence], _: Sequence[Evidence]) -> list[Finding]:
    """Over the last epochs train rises, validation does not, and a gap stands open."""
    findings = []
    for found in own:
        history = _needed_history(found)
        late = history[history["epoch"] > history["epoch"].max() - _LAST_EPOCHS]
        train = _series(late, "train", "accuracy")
        validation = _series(late, "validation", "accuracy")
        if len(train) < 3:
            raise NotEnoughError(f"three epochs of {found.model.title}")
        rise, level = Slope.of(train), Slope.of(validation)
        gap = float((train - validation).mean())
        low, high = wilson(float(validation.iloc[-1]), found.n("validation"))
        rises, is_level, is_open = rise.low > 0, level.low <= 0, gap > (high - low) / 2
        text = (
            f"over the last {len(train)} epochs train {rise.in_points()}, validation "
            f"{level.in_points()}; train minus validation {100 * gap:.2f} points on average "
            f"(half the interval is {50 * (high - low):.2f})"
        )
        holds = _of_parts([is_level, is_open]) if rises else False
        findings.append(Finding(holds, _named(found, text)))
    return findings


def aucs_about(claim: Claim, own: Sequence[Evidence], _: Sequence[Evidence]) -> list[Finding]:
    """The macro AUC (one-vs-rest on softmax, validation) is within 0.01 of that stated."""
    findings = []
    for found in own:
        auc = found.value("validation", "auc_ovr_softmax")
        close = abs(auc - claim.parameters["auc"]) <= _AUC_WITHIN
        findings.append(Finding(close, _named(found, f"{auc:.4f}")))
    return findings


def losses_fall(claim: Claim, own: Sequence[Evidence], _: Sequence[Evidence]) -> list[Finding]:
    """Loss falls on every set; the one rise the report saw is looked for."""
    findings = [_trend(found, "loss", -1) for found in own]
    for found in own:
        if found.model.reported == claim.parameters["rise_of"]:
            findings.append(_the_rise(found, claim.parameters))
    return findings


def accuracies_grow(claim: Claim, own: Sequence[Evidence], _: Sequence[Evidence]) -> list[Finding]:
    """Accuracy grows on every set."""
    return [_trend(found, "accuracy", 1) for found in own]


def _trend(found: Evidence, quantity: str, sign: int) -> Finding:
    """Find whether a quantity follows the epochs on every set (Kendall's tau, one-sided)."""
    history = _needed_history(found)
    texts, follows = [], []
    for split in ("train", "validation", "test"):
        series = _series(history, split, quantity)
        if len(series) < 3:
            raise NotEnoughError(f"the {split} {quantity} of every epoch of {found.model.title}")
        test = kendalltau(
            series.index.to_numpy(),
            series.to_numpy(),
            alternative="greater" if sign > 0 else "less",
        )
        against = int((sign * series.diff().dropna() < 0).sum())
        follows.append(bool(test.pvalue < _P and sign * (series.iloc[-1] - series.iloc[0]) > 0))
        scale, unit = (100, " %") if quantity == "accuracy" else (1, "")
        texts.append(
            f"{split} {scale * series.iloc[0]:.2f} to {scale * series.iloc[-1]:.2f}{unit} "
            f"(τ {test.statistic:+.2f}, {against} of {len(series) - 1} steps against it)"
        )
    return Finding(_of_parts(follows), _named(found, ", ".join(texts)))


def _the_rise(found: Evidence, rise: Mapping[str, Any]) -> Finding:
    """Find whether the loss rises between the two epochs and is lower again after them."""
    seen, texts = [], []
    for split in rise["rise_on"]:
        series = _series(_needed_history(found), split, "loss")
        epochs = (rise["before"], rise["after"], rise["evened_out"])
        if missing := [epoch for epoch in epochs if epoch not in series.index]:
            raise NotEnoughError(f"epoch {missing[0]} of {found.model.title}")
        before, after, later = (series[epoch] for epoch in epochs)
        seen.append(after > before and later < after)
        texts.append(f"{split} {after - before:+.3f}")
    where = f"between epochs {rise['before']} and {rise['after']}"
    outcome = f"seen on {sum(seen)} of {len(seen)} sets"
    text = f"loss {where}: {', '.join(texts)}; the small rise is {outcome}"
    return Finding(True if all(seen) else None, _named(found, text))


def reasonable_gap(claim: Claim, own: Sequence[Evidence], _: Sequence[Evidence]) -> list[Finding]:
    """Train loss ends below the others, and validation loss has not begun to climb."""
    findings = []
    for found in own:
        history = _needed_history(found)
        ends = {}
        for split in ("train", "validation", "test"):
            series = _series(history, split, "loss")
            if series.empty:
                raise NotEnoughError(f"the {split} loss of {found.model.title}")
            ends[split] = float(series.iloc[-1])
        lowest = float(_series(history, "validation", "loss").min())
        below = ends["train"] < min(ends["validation"], ends["test"])
        reasonable = ends["validation"] <= (1 + _LOSS_RISE) * lowest
        # A loss of nothing at all, as tiny sets can come to, has no multiples.
        rise = (
            f"validation is {100 * (ends['validation'] / lowest - 1):.1f} % above its lowest"
            if lowest > 0
            else "the lowest of validation was 0"
        )
        findings.append(
            Finding(
                True if below and reasonable else (None if below else False),
                _named(
                    found,
                    ", ".join(f"{split} {value:.3f}" for split, value in ends.items())
                    + f" at the end; {rise}",
                ),
            )
        )
    return findings


def spread_over_splits(
    claim: Claim, own: Sequence[Evidence], _: Sequence[Evidence]
) -> list[Finding]:
    """The stated movement lies in the 95 % interval of the standard deviation."""
    findings = []
    for found in own:
        of_splits = found.metrics[found.metrics["run"].isin(found.on_other_splits)]
        test = of_splits[(of_splits["split"] == "test") & (of_splits["metric"] == "accuracy")]
        values = 100 * test["value"].to_numpy()
        if len(values) < _SPLITS_NEEDED:
            raise NotEnoughError(
                f"{_SPLITS_NEEDED} random splits of {found.model.title}, "
                f"{len(values)} were run (flowers.split_seeds)"
            )
        sd, low, high = sd_interval(values)
        n, mean = int(test["n"].iloc[0]), values.mean() / 100
        chance = 100 * float(np.sqrt(mean * (1 - mean) / n))
        findings.append(
            Finding(
                low <= claim.parameters["points"] <= high,
                _named(
                    found,
                    f"test accuracy {values.mean():.2f} % over {len(values)} splits, standard "
                    f"deviation {sd:.2f} points (95 % {low:.2f} to {high:.2f}), from "
                    f"{values.min():.2f} to {values.max():.2f}; drawing {n} test images "
                    f"alone gives {chance:.2f}",
                ),
            )
        )
    return findings


def sd_interval(values: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float, float]:
    """Return the sample standard deviation and its 95 % interval (chi-squared, normal values)."""
    degrees = len(values) - 1
    sd = float(np.std(values, ddof=1))
    low, high = (sd * float(np.sqrt(degrees / chi2.ppf(q, degrees))) for q in (0.975, 0.025))
    return sd, low, high


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


def beats(claim: Claim, own: Sequence[Evidence], _: Sequence[Evidence]) -> list[Finding]:
    """The first is right more often where the two disagree, beyond chance."""
    pair = [next((x for x in own if x.model.reported == key), None) for key in claim.models]
    better, worse = pair
    if better is None or worse is None:
        return []
    paths = [part.predictions.get(part.model.headline) for part in (better, worse)]
    if None in paths:
        raise NotEnoughError("the predictions of both models")
    outcome = mcnemar(*(Predictions.load(path) for path in paths if path is not None))
    accuracies = [100 * part.value("test", "accuracy") for part in (better, worse)]
    return [
        Finding(
            outcome.only_first > outcome.only_second and outcome.p < _P,
            f"test accuracy {accuracies[0]:.2f} against {accuracies[1]:.2f} %; of {outcome.shared} "
            f"shared test images {outcome.only_first} only {better.model.title} got right, "
            f"{outcome.only_second} only {worse.model.title}; exact McNemar p = {outcome.p:.2g}",
        )
    ]


@dataclass(frozen=True)
class ClaimTest:
    """A test that claims of the report's file name.

    Attributes:
        judge: takes the claim, what was run of its models, and what was run of all.
        words: the test in words, for the reader of the table.
        about_any_net: whether it says something of a net that stands in for the report's.
    """

    judge: Callable[[Claim, Sequence[Evidence], Sequence[Evidence]], list[Finding]]
    words: str
    about_any_net: bool = False


# By name; repro.comparison.reported has the parameters of each.
TESTS = {
    test.judge.__name__: test
    for test in (
        ClaimTest(
            stay_close,
            "In every epoch train accuracy lies in the 95 % Wilson interval of validation "
            "accuracy.",
        ),
        ClaimTest(
            keep_rising,
            "Beyond the report's epochs the Theil-Sen slope of accuracy is above zero with 95 % "
            "confidence; a set without a curve ends higher in the longer run.",
        ),
        ClaimTest(
            level_off,
            f"Over the last {_LAST_EPOCHS} epochs the Theil-Sen slope of train accuracy is above "
            "zero, that of validation accuracy is not (95 %), and train is on average above "
            "validation by more than half its Wilson interval.",
        ),
        ClaimTest(
            aucs_about,
            "Macro AUC, one-vs-rest on softmax of the outputs, validation set: within "
            f"{_AUC_WITHIN} of the stated value.",
        ),
        ClaimTest(
            losses_fall,
            "Kendall's tau of loss and epoch is below zero (one-sided p < 0.05) on each set; the "
            "single rise is looked for at the epochs stated.",
            about_any_net=True,
        ),
        ClaimTest(
            accuracies_grow,
            "Kendall's tau of accuracy and epoch is above zero (one-sided p < 0.05) on each set.",
            about_any_net=True,
        ),
        ClaimTest(
            reasonable_gap,
            "Train loss ends below validation and test loss; the gap counts as reasonable while "
            f"validation loss is within {100 * _LOSS_RISE:.0f} % of its lowest.",
            about_any_net=True,
        ),
        ClaimTest(
            spread_over_splits,
            f"Over at least {_SPLITS_NEEDED} random splits the stated movement lies in the 95 % "
            "interval (chi-squared) of the standard deviation of test accuracy.",
            about_any_net=True,
        ),
        ClaimTest(
            beats,
            "McNemar's exact test on the shared test images: more disagreements fall to the "
            "first, p < 0.05.",
        ),
    )
}

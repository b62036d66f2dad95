"""Each claim in words at its edges: where it holds, in part, not, and where nothing can be said.

Most tests make three runs whose numbers are c - d, c and c + d. Their mean has the error d/√3 and
two degrees of freedom: it is above zero beyond chance from c = 2.9200 d/√3 = 1.6859 d on, and its
95 % interval reaches 4.3027 d/√3 = 2.4841 d to either side.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from repro.comparison import claims, reported
from repro.comparison.claims import Evidence
from repro.comparison.compare import Model
from repro.comparison.reference import Reference
from repro.comparison.statistics import wilson
from repro.evaluation.names import METRIC_COLUMNS
from repro.history import read_history
from repro.predictions import Predictions

N = {"train": 4_000, "validation": 5_000, "test": 2_000}
THREE = np.array([0, -1, 1])
# How many d the mean of three runs is from zero, and what that is worth.
ABOVE, PERHAPS, BELOW = 1.69, 1.68, -1.69
HOLDS, IN_PART, FAILS, CANNOT = "holds", "holds in part", "does not hold", "cannot be judged"


@pytest.fixture(scope="module")
def other(root):
    """The report whose figures are errors."""
    return reported.load(root / "resources/lecun1998.yaml")


def model(of: str, *splits: str, **changed) -> Model:
    values = {
        "name": of,
        "title": of,
        "framework": "torch",
        "reported": of,
        "recipe": "stated",
        "runs": {f"run-{number}": split for number, split in enumerate(splits, start=1)},
        "comparable": True,
        "why_not": "",
        "part": "mnist" if "hidden" in of or "mlp" in of else "flowers",
        "protocol": "" if "hidden" in of or "mlp" in of else "notebook",
    }
    return Model.of(values | changed)


def history(quantity="accuracy", **series) -> pd.DataFrame:
    """Return a history from one sequence a set."""
    rows = [
        {"epoch": epoch, "split": split, quantity: value}
        for split, values in series.items()
        for epoch, value in enumerate(values, start=1)
    ]
    return pd.DataFrame(rows).reindex(columns=["epoch", "split", "loss", "accuracy"])


def evidence(of: str, curves=(), splits=None, figures=None, **changed) -> Evidence:
    """Return what was run of one model: a history a run, and figures of each by set and metric.

    A further run is among the metrics and the histories: it is none of the model's.
    """
    figures = {("test", "accuracy"): None, ("validation", "accuracy"): None} | (figures or {})
    figures[("train", "accuracy")] = None
    count = max(len(curves), *(len(values or ()) for values in figures.values()), len(splits or ()))
    net = model(of, *(splits or ["main"] * count), **changed)
    rows = [
        (net.name, run, 1, split, metric, value, N[split])
        for (split, metric), values in figures.items()
        for run, value in zip(["stray", *net.runs], [0.1, *(values or [0.95] * count)], strict=True)
    ]
    metrics = pd.DataFrame(rows, columns=METRIC_COLUMNS)
    histories = dict(zip(net.runs, curves, strict=False))
    if curves:
        histories["stray"] = curves[0].assign(loss=9.0, accuracy=0.1)
    return Evidence(net, metrics, histories)


def judged(report, number, *everything):
    return claims.judge(report, everything).set_index("claim").loc[number]


def lines(quantity, slopes, sets=("train", "validation", "test"), epochs=9, **others):
    """Return a history a run, each set a line of that slope, or of its own among ``others``."""
    steps = np.arange(epochs) - (epochs - 1) / 2
    return [
        history(quantity, **{s: 0.5 + others.get(s, slopes)[run] * steps for s in sets})
        for run in range(len(slopes))
    ]


class TestAll:
    def test_nothing_was_run(self, report):
        rows = claims.judge(report, [])
        assert list(rows.columns) == claims.COLUMNS
        assert set(rows["verdict"]) == {CANNOT}
        assert (rows["needs"] != "").all()
        assert (rows["test"] != "").all()

    def test_every_test_is_named_by_a_claim(self, report, other):
        assert set(claims.TESTS) == {claim.test for claim in (*report.claims, *other.claims)}

    def test_a_claim_is_judged_by_the_test_it_names_of_the_models_it_names(self, report):
        claim = replace(report.claims[0], models=("torch_2hidden", "numpy_1hidden"), number=9)
        other = replace(report, claims=(claim,))
        nets = [TestStayClose.net(name, 0 * THREE) for name in claim.models]
        row = judged(other, 9, nets[0])
        assert row["needs"].startswith("NumPy, one hidden layer")
        assert row["verdict"] == CANNOT
        row = judged(other, 9, *nets)
        assert row["verdict"] == HOLDS
        assert row["test"].startswith("Train minus validation")

    def test_a_set_is_as_large_as_the_headline_s(self):
        net = evidence("torch_2hidden", figures={("test", "accuracy"): [0.9, 0.8]})
        first = net.metrics["run"] == net.model.headline
        other = net.metrics.assign(n=net.metrics["n"].where(first, 1))
        assert replace(net, metrics=other).n("test") == N["test"]

    def test_one_run_is_described_and_not_tested(self, report):
        row = judged(report, 1, TestStayClose.net("torch_2hidden", np.array([0.1])))
        assert row["verdict"] == CANNOT
        assert row["needs"] == "a second run of torch_2hidden; one run is described, not tested"
        assert "+0.10 points on average over the epochs, in one run" in row["evidence"]

    @pytest.mark.parametrize(
        ("epochs", "needs"), [(2, "train accuracy of three epochs or more of"), (0, "history of")]
    )
    def test_needs_three_epochs(self, report, epochs, needs):
        curves = lines("accuracy", THREE, epochs=epochs) if epochs else ()
        found = evidence("torch_2hidden", curves, ["main"] * 3)
        row = judged(report, 1, found)
        assert (row["verdict"], row["needs"]) == (CANNOT, f"the {needs} torch_2hidden")

    def test_runs_on_several_splits_share_images(self, report):
        """2,000 test to 4,000 training images: the error is √(1/3 + 1/2) d, not √(1/3) d."""
        for splits, c, expected in (
            (["a"] * 3, ABOVE, HOLDS),
            (["a", "b", "c"], ABOVE, CANNOT),
            (["a", "b", "c"], 2.66, CANNOT),
            (["a", "b", "c"], 2.67, HOLDS),  # 2.9200 √(1/3 + 1/2) = 2.6656
            (["a", "b", "c", "c"], 2.67, HOLDS),  # each split once
        ):
            slopes = 0.01 * np.r_[c + THREE, -99][: len(splits)]
            nets = [
                evidence(name, lines("accuracy", slopes), splits)
                for name in ("resnet152", "convnext_large")
            ]
            row = judged(report, 6, *nets)
            assert row["verdict"] == expected, (splits, c)
            assert ("more runs of resnet152" in row["needs"]) == (expected == CANNOT)


class TestProtocol:
    """Flower nets by another protocol than the report's judge under that protocol's name."""

    @staticmethod
    def nets(protocol, c=ABOVE):
        return [
            evidence(
                name,
                lines("accuracy", 0.01 * (c + THREE)),
                name=f"{name}_{protocol}",
                protocol=protocol,
            )
            for name in ("resnet152", "convnext_large")
        ]

    def test_another_is_named(self, report):
        row = judged(report, 6, *self.nets("frozen"))
        assert (row["verdict"], row["protocol"]) == (HOLDS, "frozen")
        assert row["evidence"].startswith("by the protocol frozen, the report's is notebook: ")

    @pytest.mark.parametrize("order", [1, -1])
    def test_the_reports_goes_first_and_is_named(self, report, order):
        both = [*self.nets("frozen", BELOW), *self.nets("notebook")]
        row = judged(report, 6, *both[::order])
        assert (row["verdict"], row["protocol"]) == (HOLDS, "")
        assert row["evidence"].startswith("by the protocol notebook, as the report: ")

    def test_two_protocols_are_not_mixed(self, report):
        row = judged(report, 6, self.nets("frozen")[0], self.nets("notebook")[1])
        assert row["verdict"] == CANNOT
        assert row["needs"].startswith("ResNet-152 on")

    def test_another_steps_in_where_the_reports_did_not_run_far_enough(self, report):
        row = judged(report, 6, *self.nets("notebook", PERHAPS), *self.nets("adapted", BELOW))
        assert (row["verdict"], row["protocol"]) == (FAILS, "adapted")

    def test_nets_without_any_have_none(self, report):
        row = judged(report, 1, TestStayClose.net("torch_2hidden", 0 * THREE))
        assert (row["protocol"], "protocol" in row["evidence"]) == ("", False)


class TestStayClose:
    @staticmethod
    def net(name, gaps):
        """Return runs whose gap is that on average, in points, and is wider in an epoch."""
        validation = np.array([0.7, 0.8, 0.9])
        around = np.sign(gaps[0]) * np.array([-0.02, 0.03, -0.01])
        trains = [validation + gap / 100 + around for gap in gaps]
        return evidence(name, [history(train=train, validation=validation) for train in trains])

    # Within 1 point; d is 0.1, so the interval reaches 0.2484 to either side.
    @pytest.mark.parametrize("sign", [1, -1])
    @pytest.mark.parametrize(
        ("gap", "expected"), [(0.751, HOLDS), (0.752, CANNOT), (1.248, CANNOT), (1.249, FAILS)]
    )
    def test_the_mean_over_epochs_and_runs(self, report, gap, sign, expected):
        row = judged(report, 1, self.net("torch_2hidden", sign * gap + 0.1 * THREE))
        assert row["verdict"] == expected
        assert f"{sign * gap:+.2f} ± 0.25 points" in row["evidence"]
        widest, last = sign * (gap + 3), sign * (gap - 1)
        assert f"headline run {widest:+.2f} at epoch 2, {last:+.2f} at the end" in row["evidence"]


class TestKeepRising:
    @staticmethod
    def nets(train, validation, test):
        """Return a net, and it longer: slopes beyond the third epoch, and gains on the test set."""
        short = evidence(
            "torch_2hidden",
            lines("accuracy", -THREE, ("train", "validation"), 3),
            figures={("test", "accuracy"): [0.9, 0.8, 0.7]},
        )
        steps = np.arange(4)
        curves = [
            history(
                train=np.r_[0.9, 0.5, 0.1, 0.5 + a * steps],
                validation=np.r_[0.9, 0.5, 0.1, 0.5 + b * steps],
            )
            for a, b in zip(train, validation, strict=True)
        ]
        longer = evidence(
            "torch_2hidden_long",
            curves,
            figures={("test", "accuracy"): list(np.array([0.9, 0.8, 0.7]) + test)},
            reported=None,
            comparable=False,
            why_not="longer",
            longer_of="torch_2hidden",
        )
        return short, longer

    @pytest.mark.parametrize(
        ("ratios", "expected"),
        [
            ((ABOVE, ABOVE, ABOVE), HOLDS),
            ((PERHAPS, ABOVE, ABOVE), IN_PART),
            ((ABOVE, BELOW, ABOVE), IN_PART),
            ((ABOVE, ABOVE, PERHAPS), IN_PART),
            ((PERHAPS, BELOW, PERHAPS), FAILS),
            ((PERHAPS, PERHAPS, -PERHAPS), CANNOT),
        ],
    )
    def test_each_set_beyond_chance_and_beyond_the_report_s_epochs(self, report, ratios, expected):
        values = [0.01 * (c + THREE) for c in ratios]
        row = judged(report, 2, *self.nets(*values))
        assert row["verdict"] == expected
        train, validation, test = ratios
        assert row["evidence"].endswith(
            f"epochs 4 to 7, points per epoch over 3 runs: train {train:+.4f} ± 2.4841, "
            f"validation {validation:+.4f} ± 2.4841, test {test:+.2f} ± 2.48 in all, by seed"
        )

    def test_needs_a_longer_run(self, report):
        short, longer = self.nets(*[0.01 * (ABOVE + THREE)] * 3)
        other = replace(longer, model=replace(longer.model, longer_of="numpy_1hidden"))
        row = judged(report, 2, short, other)
        assert row["verdict"] == CANNOT
        assert "longer run" in row["needs"]


class TestLevelOff:
    HALF = 50 * (wilson(0.95, N["validation"])[1] - wilson(0.95, N["validation"])[0])

    def nets(self, rise, move, gap):
        """Return runs with these rises and gaps over the last ten epochs, in points."""
        late = np.arange(10) - 9
        nets = []
        for name in ("numpy_1hidden", "numpy_2hidden"):
            curves = [
                history(
                    train=np.r_[0.9, 0.1, 0.95 + (g - m / 2) / 100 + r / 900 * (late + 4.5)],
                    validation=np.r_[0.1, 0.9, 0.95 + m / 900 * late],
                )
                for r, m, g in zip(rise, move, gap, strict=True)
            ]
            nets.append(evidence(name, curves))
        return nets

    # Validation moves by less than 0.5 points; its d is 0.1, which makes an interval of ± 0.2484.
    @pytest.mark.parametrize(
        ("rise", "move", "gap", "expected"),
        [
            (ABOVE, 0.251, HALF + 0.01, HOLDS),
            (ABOVE, -0.251, HALF + 0.01, HOLDS),
            (PERHAPS, 0.251, HALF + 0.01, IN_PART),
            (ABOVE, 0.252, HALF + 0.01, IN_PART),
            (ABOVE, 0.251, HALF - 0.01, IN_PART),
            (BELOW, 0.749, HALF - 0.01, FAILS),
            (PERHAPS, 0.748, HALF - 0.01, FAILS),
        ],
    )
    def test_verdicts(self, report, rise, move, gap, expected):
        nets = self.nets(rise + THREE, move + 0.1 * THREE, gap + 0.3 * THREE)
        row = judged(report, 3, *nets)
        assert row["verdict"] == expected
        assert (
            f"train {rise:+.3f} ± 2.484 points, validation {move:+.3f} ± 0.248; "
            f"train minus validation {gap:+.2f} ± 0.75 "
            f"(half the validation set's interval is {self.HALF:.2f})"
        ) in row["evidence"]

    def test_two_nets_that_differ_hold_it_in_part(self, report):
        one = self.nets(ABOVE + THREE, 0.1 * THREE, 2 + THREE)[0]
        other = self.nets(BELOW + THREE, 9 + THREE, 0 * THREE)[1]
        assert judged(report, 3, one, other)["verdict"] == IN_PART
        row = judged(report, 3, one)
        assert row["verdict"] == CANNOT
        assert "numpy_1hidden: over the last 10 epochs" in row["evidence"]
        assert row["needs"].startswith("NumPy, two hidden layers")

    def test_one_run_is_described(self, report):
        row = judged(report, 3, *self.nets([ABOVE], [0.1], [2.0]))
        assert row["verdict"] == CANNOT
        assert "over the last 10 epochs" in row["evidence"]

    def test_half_the_interval_is_that_of_the_headline(self, report):
        nets = [self.nets([ABOVE], [move], [2.0])[0] for move in (0.1, -400)]
        both = evidence("numpy_1hidden", [next(iter(net.histories.values())) for net in nets])
        assert f"interval is {self.HALF:.2f})" in judged(report, 3, both)["evidence"]

    def test_says_how_many_epochs_it_used(self, report):
        nets = [evidence("numpy_1hidden", lines("accuracy", 0 * THREE, epochs=4))]
        assert "over the last 4 epochs" in judged(report, 3, *nets)["evidence"]


class TestAucs:
    # One more run would be within 0.01 of 0.99: 4.3027 √(1 + 1/3) d = 4.9684 d, d is 0.001.
    @pytest.mark.parametrize("sign", [1, -1])
    @pytest.mark.parametrize(
        ("away", "expected"),
        [(0.00502, HOLDS), (0.00504, CANNOT), (0.01496, CANNOT), (0.01498, FAILS)],
    )
    def test_the_prediction_interval(self, report, away, sign, expected):
        values = 0.99 + sign * away + 0.001 * THREE
        row = judged(report, 4, *self.nets(values))
        assert row["verdict"] == expected
        assert f"{values[0]:.4f} ± 0.0050, over 3 runs" in row["evidence"]
        titles = ("numpy_1hidden", "numpy_2hidden", "torch_2hidden")
        needs = [f"more runs of {title}" for title in titles] if expected == CANNOT else []
        assert row["needs"] == "; ".join(needs)

    @pytest.mark.parametrize(
        ("own", "others", "half"),
        [
            (1, 0, None),
            (1, 3, 4.3027 * 2 * np.sqrt(2)),
            (3, 3, 4.3027 * np.sqrt(4 / 3)),  # its own where they are as many
            (3, 4, 3.1824 * 2 * np.sqrt(5 / 3) * np.sqrt(4 / 3)),  # 5/3: variance of 0, -1, 1, 2
        ],
    )
    def test_whichever_runs_are_more_give_the_spread(self, report, own, others, half):
        runs = pd.DataFrame({"value": 0.9 + 0.002 * np.resize([0, -1, 1, 2], others)})
        known = runs.assign(seed=runs.index, split="validation", metric="auc_ovr_softmax")
        nets = [
            replace(net, reference=Reference(known, "", {}) if others else None)
            for net in self.nets((0.99 + 0.001 * THREE)[:own])
        ]
        row = judged(report, 4, *nets)
        if half is None:
            assert row["verdict"] == CANNOT
            assert "a second run of numpy_1hidden" in row["needs"]
            assert "a second run of torch_2hidden" in row["needs"]
            assert row["evidence"].startswith("numpy_1hidden: 0.9900; numpy_2hidden: 0.9900")
        else:
            assert f"0.9900 ± {0.001 * half:.4f}" in row["evidence"]

    def nets(self, values):
        figures = {("validation", "auc_ovr_softmax"): list(values)}
        return [
            evidence(name, figures=figures)
            for name in ("numpy_1hidden", "numpy_2hidden", "torch_2hidden")
        ]


class TestTrends:
    """Losses fall, accuracies grow: one slope a run and set."""

    @pytest.mark.parametrize(
        ("ratios", "expected"),
        [
            ((ABOVE, ABOVE, ABOVE), HOLDS),
            ((ABOVE, PERHAPS, ABOVE), IN_PART),
            ((ABOVE, ABOVE, BELOW), IN_PART),
            ((BELOW, PERHAPS, PERHAPS), FAILS),
            ((PERHAPS, -PERHAPS, PERHAPS), CANNOT),
        ],
    )
    @pytest.mark.parametrize(("number", "quantity"), [(6, "accuracy"), (5, "loss")])
    def test_of_every_set(self, report, number, quantity, ratios, expected):
        sign, scale = {"accuracy": (1, 100), "loss": (-1, 1)}[quantity]
        slopes = [sign * 0.01 * (c + THREE) for c in ratios]
        sets = dict(zip(N, slopes, strict=True))
        # Of the losses that of the net without the single rise.
        claim = replace(report.claims[number - 1], models=("convnext_large",))
        other = replace(report, claims=(claim,))
        row = judged(other, number, evidence("convnext_large", lines(quantity, slopes[0], **sets)))
        assert row["verdict"] == expected
        slope = f"{scale * slopes[2].mean():+.3f} ± {scale * 0.024841:.3f} an epoch"
        assert slope in row["evidence"].partition("test")[2]

    @pytest.mark.parametrize(
        ("rises", "sets", "stays", "expected"),
        [
            (3, ["validation"], False, HOLDS),  # in half of six curves
            (1, ["validation", "test"], False, FAILS),
            (2, ["validation", "test"], True, FAILS),
        ],
    )
    def test_the_one_rise(self, report, rises, sets, stays, expected):
        """Between epochs 7 and 8, evened out at 9, on validation and test."""
        curves = lines("loss", [-0.05] * 3)
        for curve in curves[:rises]:
            for epoch, more in ((8, 0.06), (9, 0.12 * stays)):
                at = (curve["epoch"] == epoch) & curve["split"].isin(sets)
                curve.loc[at, "loss"] += more
        test = claims.TESTS["losses_fall"].judge
        _, found = test(report.claims[4], [evidence("resnet152", curves)], [])
        assert found.verdict == expected
        assert f"seen in {0 if stays else rises * len(sets)} of 6 curves" in found.text
        assert f"validation {rises / 3 * 0.06 - 0.05:+.3f}" in found.text

    def test_the_report_s_own_curve(self, report):
        curve = read_history(report.models["resnet152"].curve)
        row = judged(report, 5, evidence("resnet152", [curve]))
        assert "seen in 1 of 2 curves" in row["evidence"]

    def test_the_rise_needs_its_epochs(self, report):
        nets = [evidence(name, lines("loss", THREE, epochs=7)) for name in report.claims[4].models]
        assert judged(report, 5, *nets)["needs"] == "epoch 8 of resnet152"

    def test_a_stand_in_is_shown_but_judges_nothing(self, report):
        curves = lines("loss", THREE - 5)
        stand_ins = [
            evidence(name, curves, reported=reported_as, comparable=False, why_not=why)
            for name, reported_as, why in (
                ("small", None, "generated data"),
                ("digits_hidden", None, "longer"),
                ("other", "resnet152", "random weights"),
            )
        ]
        row = judged(report, 5, *stand_ins)
        assert row["verdict"] == CANNOT
        for words in ("small (generated data)", "other (random weights)"):
            assert words in row["evidence"]
        assert "digits_hidden" not in row["evidence"]
        assert "ResNet-152 and ConvNeXt-Large" in row["needs"]


class TestReasonableGap:
    # Climbs of less than 5 %; their d is 0.4, which makes an interval of ± 0.9937.
    @pytest.mark.parametrize(
        ("gap", "climb", "expected"),
        [
            (ABOVE, 4.00, HOLDS),
            (ABOVE, 4.01, IN_PART),
            (PERHAPS, 4.00, IN_PART),
            (BELOW, 5.99, FAILS),
            (PERHAPS, 6.00, FAILS),
            (PERHAPS, 5.99, CANNOT),
        ],
    )
    @pytest.mark.parametrize("lower", ["validation", "test"])
    def test_verdicts(self, report, gap, climb, expected, lower):
        curves = []
        for g, c in zip(0.01 * (gap + THREE), climb + 0.4 * THREE, strict=True):
            validation = 0.5 * (1 + c / 100)
            test = validation + (0.2 if lower == "validation" else -0.2)
            ends = {"validation": [2, 0.5, validation], "test": [2, 0.01, test]}
            curves.append(history("loss", train=[2, 1, min(validation, test) - g], **ends))
        row = judged(report, 7, evidence("convnext_large", curves))
        assert row["verdict"] == expected
        below = 0.5 * (1 + climb / 100) - (0.2 if lower == "test" else 0)
        assert row["evidence"].endswith(
            f"train {below - 0.01 * gap:.3f}, validation {0.5 * (1 + climb / 100):.3f}, "
            f"test {below + (0.2 if lower == 'validation' else 0):.3f} at the end; train is below "
            f"both by {0.01 * gap:+.3f} ± 0.025, validation is {climb:+.1f} ± 1.0 % from its "
            "lowest, over 3 runs"
        )

    def test_a_loss_of_nothing_divides_nothing(self, report):
        """As easy images of one's own can come to."""
        curves = [history("loss", **{split: [0.5, 0.1, 0.0] for split in N})] * 2
        row = judged(report, 7, evidence("convnext_large", curves))
        assert "+0.0 ± 0.0 % from its lowest" in row["evidence"]


class TestSpreadOverSplits:
    @staticmethod
    def nets(sd, splits=10):
        """Return runs on splits with that deviation in points, and a further seed of the first."""
        values = np.resize([1, -1], splits) * sd / 100 / np.sqrt(splits / (splits - 1))
        names = [f"seed-{number}" for number in range(splits)]
        return [
            evidence(
                name,
                splits=[names[0], *names],
                figures={
                    ("test", "accuracy"): [0.91 + values[0], 0.99, *(0.91 + values[1:])],
                    ("test", "top5_accuracy"): list(np.linspace(0, 1, splits + 1)),
                },
            )
            for name in ("resnet152", "convnext_large")
        ]

    DEVIATION = "as a standard deviation"
    USUAL = "as the usual change from one split to another"
    LARGEST = "as the largest of twenty such changes"

    # With ten splits the interval is from 0.6878 to 1.8256 deviations; 0.2 points are stated.
    @pytest.mark.parametrize(
        ("sd", "verdict", "fits"),
        [
            (0.0395, FAILS, "no reading"),  # 2.7719 · 1.8256 sd
            (0.0396, HOLDS, LARGEST),
            (0.1048, HOLDS, f"{USUAL} and {LARGEST}"),
            (0.1050, HOLDS, USUAL),  # 2.7719 · 0.6878 sd
            (0.1096, HOLDS, f"{DEVIATION} and {USUAL}"),  # 1.8256 sd
            (0.2576, HOLDS, f"{DEVIATION} and {USUAL}"),
            (0.2578, HOLDS, DEVIATION),  # 2/√π · 0.6878 sd
            (0.2908, FAILS, "no reading"),  # 0.6878 sd
        ],
    )
    def test_readings(self, report, sd, verdict, fits):
        row = judged(report, 8, *self.nets(sd))
        assert row["verdict"] == verdict
        assert f"points fit {fits}; " in row["evidence"]
        # √(0.91 · 0.09 / 2000) is 0.64 points.
        shown = (
            f"test accuracy 91.00 % over 10 splits, standard deviation {sd:.2f} points "
            f"(95 % {0.6878 * sd:.2f} to {1.8256 * sd:.2f})"
        )
        assert shown in row["evidence"]
        assert "drawing 2000 test images alone gives 0.64" in row["evidence"]

    def test_needs_ten_splits(self, report):
        row = judged(report, 8, *self.nets(0.2, splits=9))
        assert row["verdict"] == CANNOT
        assert "9 were run" in row["needs"]


def predictions(ids, right) -> Predictions:
    """Return test predictions of two classes, right where told, behind one of each other set."""
    ids = np.r_[[1001, 1000], ids]
    labels = ids % 2
    chosen = np.where(np.r_[[True, sum(right) % 2 == 0], right], labels, 1 - labels)
    splits = np.r_[["train", "validation"], np.repeat("test", len(ids) - 2)]
    return Predictions(ids, labels, splits, np.eye(2)[chosen], "linear", np.array([1, 2]))


class TestMcNemar:
    def test_by_hand_and_as_scipy_s_binomial_test(self):
        first = predictions(range(10), [1, 1, 1, 1, 1, 1, 1, 0, 0, 1])
        second = predictions(range(10), [0, 0, 0, 0, 0, 1, 1, 1, 0, 1])
        found = claims.mcnemar(first, second)
        assert (found.only_first, found.only_second, found.shared) == (5, 1, 10)
        assert found.p == pytest.approx(2 * (1 + 6) / 2**6)
        assert found.p == pytest.approx(binomtest(5, 6).pvalue)
        assert claims.mcnemar(second, first).p == found.p

    def test_only_shared_images_count_in_any_order(self):
        first = predictions([1, 2, 3, 4], [1, 1, 1, 0])
        second = predictions([5, 4, 3, 2], [1, 1, 0, 1])
        found = claims.mcnemar(first, second)
        assert (found.only_first, found.only_second, found.shared) == (1, 1, 3)

    def test_nothing_unlike_or_nothing_shared(self):
        assert claims.mcnemar(*[predictions([1, 2], [1, 0])] * 2).p == 1
        with pytest.raises(claims.NotEnoughError, match="same test images"):
            claims.mcnemar(predictions([1], [1]), predictions([2], [1]))


class TestBeats:
    @staticmethod
    def nets(folder, gains, splits="aaa", others="aaa"):
        """Return two nets, the first better by that in points, and their headlines' predictions."""
        right = {"convnext_large": 9, "resnet152": 6}
        base = np.array([0.5, 0.7, 0.6])
        values = {"convnext_large": base + gains / 100, "resnet152": base}
        nets = []
        for name, on in (("resnet152", others), ("convnext_large", splits)):
            predictions(range(10), np.arange(10) < right[name]).save(folder / f"{name}.npz")
            net = evidence(name, (), on, {("test", "accuracy"): list(values[name])})
            nets.append(replace(net, predictions={"run-1": folder / f"{name}.npz"}))
        return nets

    @pytest.mark.parametrize(
        ("c", "expected"),
        [(ABOVE, HOLDS), (PERHAPS, CANNOT), (-PERHAPS, CANNOT), (BELOW, FAILS)],
    )
    def test_over_paired_runs(self, report, tmp_path, c, expected):
        row = judged(report, 9, *self.nets(tmp_path, c + THREE))
        assert row["verdict"] == expected
        assert row["evidence"].endswith(
            f"better on test by {c:+.2f} ± 2.48 points, in {3 if c > 0 else 0} of 3 paired runs; "
            "of 10 test images that the headline runs share 3 only convnext_large got right, "
            "0 only resnet152 (exact McNemar p = 0.25)"
        )

    @pytest.mark.parametrize(("c", "expected"), [(2.67, HOLDS), (2.66, CANNOT)])
    def test_on_splits_that_share_images(self, report, tmp_path, c, expected):
        nets = self.nets(tmp_path, c + THREE, "abc", "abc")
        assert judged(report, 9, *nets)["verdict"] == expected

    def test_runs_on_unlike_splits_are_no_pair(self, report, tmp_path):
        nets = self.nets(tmp_path, np.array([3, 5, -99]), "abc", "abd")
        assert "by +4.00 ± " in judged(report, 9, *nets)["evidence"]
        assert "2 of 2 paired runs" in judged(report, 9, *nets)["evidence"]
        row = judged(report, 9, *self.nets(tmp_path, THREE, "abc", "def"))
        assert row["needs"] == "runs of both models on the same split"

    def test_needs_both_and_their_predictions(self, report, tmp_path):
        nets = self.nets(tmp_path, THREE)
        row = judged(report, 9, nets[0])
        assert row["needs"] == "ConvNeXt-Large on the report's data, by its recipe"
        row = judged(report, 9, *(replace(net, predictions={}) for net in nets))
        assert (row["verdict"], row["needs"]) == (CANNOT, "the predictions of both models")

    @pytest.mark.parametrize(("c", "expected"), [(ABOVE, HOLDS), (PERHAPS, CANNOT), (BELOW, FAILS)])
    def test_fewer_errors_are_better(self, other, tmp_path, c, expected):
        nets = [
            replace(net, predictions=dict.fromkeys(net.model.runs, tmp_path / f"{name}.npz"))
            for name, net in errors("mlp_300_100", "mlp_300", c + THREE).items()
        ]
        for net in nets:
            predictions(range(10), np.arange(10) < 5).save(net.predictions["run-1"])
        row = judged(other, 1, *nets)
        assert row["verdict"] == expected
        assert f"better on test by {c:+.2f} ± 2.48 points" in row["evidence"]
        assert row["test"].startswith("Difference of test error between")


def errors(first, second, fewer):
    """Return two nets, the first with fewer test errors by that in points."""
    base = np.array([0.05, 0.07, 0.06])[: len(fewer)]
    values = {second: base, first: base - fewer / 100}
    return {
        name: evidence(name, figures={("test", "error"): list(v)}) for name, v in values.items()
    }


class TestAboutEqual:
    """1000 units in place of 300: 0.7 points, so with runs d apart, 2.4841 d to either side."""

    @pytest.mark.parametrize(
        ("c", "expected"),
        [(0.45, HOLDS), (-0.45, HOLDS), (0.46, CANNOT), (0.95, FAILS), (-0.95, FAILS)],
    )
    def test_over_paired_runs(self, other, c, expected):
        row = judged(other, 2, *errors("mlp_1000", "mlp_300", c + 0.1 * THREE).values())
        assert row["verdict"] == expected
        words = f"test error {-c:+.2f} ± 0.25 points from that of mlp_300, over 3 paired runs"
        assert words in row["evidence"]
        assert row["test"].endswith("lies within ±0.7 points.")

    def test_one_run_is_described(self, other):
        row = judged(other, 2, *errors("mlp_1000", "mlp_300", np.array([0.2])).values())
        assert row["verdict"] == CANNOT
        assert row["evidence"].endswith("-0.20 points from that of mlp_300, over 1 paired run")
        assert row["needs"] == "a second run of mlp_1000; one run is described, not tested"

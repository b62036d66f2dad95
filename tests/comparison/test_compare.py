"""Verdicts at their edges; rows for what was run, not run and not comparable."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from repro.comparison import compare as comparison
from repro.comparison.compare import Model, judge
from repro.comparison.reference import Reference
from repro.comparison.statistics import Spread, prediction_half_width, wilson
from repro.errors import UserError
from repro.evaluation.names import METRIC_COLUMNS

REPORTED = 0.9454
TINY = 1e-7


def model(count=3, **changed) -> Model:
    values = {
        "name": "net",
        "title": "Net",
        "framework": "numpy",
        "reported": "numpy_1hidden",
        "recipe": "replayed",
        "runs": {f"seed-{seed}": "main" for seed in range(1, count + 1)},
        "comparable": True,
        "why_not": "",
    }
    return Model.of(values | changed)


def metrics(*values: float, name="net", split="test", metric="accuracy", n=10_000):
    rows = [
        (name, f"seed-{seed}", seed, split, metric, value, n)
        for seed, value in enumerate(values, start=1)
    ]
    return pd.DataFrame(rows, columns=METRIC_COLUMNS)


def reference(*values, split="test", metric="accuracy") -> Reference:
    runs = pd.DataFrame({"seed": range(len(values)), "split": split, "metric": metric})
    return Reference(runs.assign(value=values, n=10_000), "A machine.", {})


def made(report, found, nets, references=None) -> pd.DataFrame:
    """Return the rows of what was made."""
    rows = comparison.compare(found, nets, report, references or {})
    return rows[rows["headline"].notna()]


class TestJudge:
    """Nineteen degrees of freedom, three runs and a deviation of 1: h is 2.4168 with no digit."""

    SPREAD = Spread(1.0, 19)
    H = 2.0930 * np.sqrt(4 / 3)

    def of(self, difference, margin, digit=None):
        """Judge three runs whose mean lies off by that, and whose headline does not."""
        runs = [10.0, 10.0 + 2 * difference, 10.0 + difference]
        return judge(10.0, digit, runs, self.SPREAD, margin)

    def test_the_half_width(self):
        assert self.of(0, 9).half_width == pytest.approx(self.H, rel=1e-4)
        assert self.of(0, 9, digit=0.5).half_width == pytest.approx(self.H + 0.25, rel=1e-4)

    @pytest.mark.parametrize("sign", [1, -1])
    @pytest.mark.parametrize("digit", [None, 0.5])
    def test_at_the_edges(self, sign, digit):
        h = self.of(0, 9, digit).half_width
        differs = {1: "differs: higher", -1: "differs: lower"}[sign]
        for difference, margin, expected in (
            (h - TINY, h + TINY, "agrees"),
            (h, h, "agrees"),  # |D| = h and h = δ are inside
            (h + TINY, h, differs),
            (h - TINY, h - TINY / 2, "cannot tell"),
            (0, h - TINY, "cannot tell"),
            (h + TINY, h - TINY, differs),
            (h + 1, h + 1, "differs, too little to matter"),  # |D| = δ is inside
            (h + 1, h + 1 + TINY, "differs, too little to matter"),
            (h + 1, h + 1 - TINY, differs),
        ):
            found = self.of(sign * difference, margin, digit)
            assert found.verdict == expected, (difference, margin)
            assert found.difference == pytest.approx(sign * difference)

    @pytest.mark.parametrize(("off", "way"), [(0.01, "higher"), (-0.01, "lower")])
    def test_which_way_it_differs(self, off, way):
        found = judge(0.9, None, [0.9 + off], Spread(1e-4, 19), 1e-3)
        assert found.verdict == f"differs: {way}"

    def test_without_a_spread(self):
        """Nothing is told, however far off."""
        for value in (10.0, 99.0):
            found = judge(10.0, 0.1, [value], None, 50)
            assert (found.verdict, found.half_width) == ("cannot tell", None)
            assert found.difference == value - 10

    def test_to_the_digit_is_the_headline_s(self):
        found = judge(10.0, 0.1, [10.04, 12, 14], self.SPREAD, 0.1, to_the_digit=True)
        assert found.verdict == "to the digit"
        assert (found.difference, found.half_width) == (pytest.approx(0.04), None)


class TestCompare:
    def test_a_row_for_every_reported_figure(self, report):
        rows = comparison.compare(metrics(REPORTED), [model(1, recipe="inferred")], report, {})
        assert list(rows.columns) == comparison.COLUMNS
        for column in ("split", "metric", "where", "note"):
            expected = [getattr(figure, column) for figure in report.figures]
            assert rows[column].tolist() == expected
        assert rows["reported"].tolist() == [figure.value for figure in report.figures]
        precisions = [figure.precision for figure in report.figures]
        assert rows["reported_precision"].fillna(0).tolist() == [x or 0 for x in precisions]
        assert rows["n_runs"].tolist() == rows["headline"].notna().tolist()
        assert set(rows["protocol"]) == set(rows["why_not"]) == {""}
        # A model that was run goes by its own title and recipe, others by the report's.
        own = rows["model"] == "net"
        assert set(rows.loc[own, "title"]) == {"Net"}
        assert set(rows.loc[own, "recipe"]) == {"inferred"}
        others = [figure.recipe for figure in report.figures if figure.model != "numpy_1hidden"]
        assert rows.loc[~own, "recipe"].tolist() == others
        titles = {model.title for model in report.models.values()}
        assert set(rows.loc[~own, "title"]) == titles - {report.models["numpy_1hidden"].title}
        counts = rows["verdict"].value_counts().to_dict()
        assert counts == {"not run": len(report.figures) - 1, "cannot tell": 1}

    def test_a_row_of_numbers(self, report):
        """Of a headline that is not the first of the metrics, among other figures and runs."""
        own = metrics(0.94, 0.95, 0.97, 0.1)  # the fourth is no run of the model
        own.loc[own["run"] != "seed-2", "n"] = 100
        others = [metrics(0.5, 0.6, 0.7, split="validation"), metrics(0.8, 0.8, 0.8, metric="ece")]
        net = model(runs={f"seed-{seed}": "main" for seed in (2, 1, 3)})
        rows = made(report, pd.concat([others[0], own, others[1]]), [net]).set_index("split")
        row, sd = rows.loc["test"], np.sqrt(0.07 / 300)
        h = 4.3027 * sd * np.sqrt(4 / 3) + 0.00005
        assert (row["headline"], row["n_runs"], row["spread_of"]) == (0.95, 3, "3 runs")
        assert (row["min"], row["max"]) == (0.94, 0.97)
        assert (row["mean"], row["sd"]) == pytest.approx((2.86 / 3, sd))
        assert row["difference"] == pytest.approx(2.86 / 3 - REPORTED)
        assert row["half_width"] == pytest.approx(h, rel=1e-4)
        assert row["margin"] == pytest.approx(0.0062)
        assert (row["wilson_low"], row["wilson_high"]) == wilson(0.95, 10_000)
        assert (row["verdict"], row["to_the_digit"]) == ("cannot tell", False)
        interval = rows.loc["validation", ["wilson_low", "wilson_high"]]
        assert tuple(interval) == wilson(0.6, 10_000)
        assert row["predictions"] == "runs/net/seed-2/predictions.npz"
        assert row["log"] == "workflow/logs/train_net/seed-2.log"
        assert replace(net, part="flowers").files["log"] == "workflow/logs/train_net.log"

    def test_train_images_and_aucs_have_no_wilson_interval(self, report):
        of_train = metrics(0.96, split="train")
        of_auc = metrics(0.99, split="validation", metric="auc_ovr_softmax")
        rows = made(report, pd.concat([of_train, of_auc]), [model(1)])
        assert len(rows) == 2
        assert rows["wilson_low"].isna().all()

    @pytest.mark.parametrize(
        ("headline", "recipe", "expected"),
        [
            (0.9454, "replayed", "to the digit"),
            (0.94545, "replayed", "to the digit"),
            (0.94535, "replayed", "to the digit"),
            (0.945451, "replayed", "cannot tell"),
            (0.945349, "replayed", "cannot tell"),
            (0.9454, "own", "cannot tell"),  # chance can meet a digit
        ],
    )
    def test_the_headline_meets_the_digit(self, report, headline, recipe, expected):
        """The mean is far off; a recipe known whole leaves nothing to chance."""
        found = metrics(headline, 0.5, 0.6).assign(n=1_000_000)
        (row,) = made(report, found, [model(recipe=recipe)]).to_dict("records")
        meets = abs(headline - REPORTED) < 0.0000501
        assert (row["verdict"], row["to_the_digit"]) == (expected, meets)
        if expected == "to the digit":
            assert row["difference"] == pytest.approx(headline - REPORTED, abs=1e-12)

    def test_words_have_no_digit_to_meet(self, report):
        net = model(1, reported="convnext_large", recipe="stated", protocol="notebook")
        (row,) = made(report, metrics(0.9463), [net]).to_dict("records")
        assert pd.isna(row["reported_precision"])
        assert not row["to_the_digit"]

    @pytest.mark.parametrize(
        ("own", "others", "known"),
        [
            ((0.95,), 1, None),  # neither has a spread
            ((0.95,), 2, "2 reference runs"),
            ((0.95, 0.94, 0.93), 3, "3 runs"),  # its own where they are as many
            ((0.95, 0.94, 0.93), 4, "4 reference runs"),
        ],
    )
    def test_whichever_runs_are_more_give_the_spread(self, report, own, others, known):
        values = 0.9 + 0.01 * np.arange(others) ** 2
        references = {"numpy_1hidden": reference(*values)}
        (row,) = made(report, metrics(*own), [model(len(own))], references).to_dict("records")
        assert row["spread_of"] == (known or "")
        if known:
            spread = Spread.of(values if "reference" in known else own)
            expected = prediction_half_width(spread, len(own)) + 0.00005
            assert row["half_width"] == pytest.approx(expected)
        else:
            assert row["verdict"] == "cannot tell"
            assert pd.isna(row["half_width"])

    def test_how_many_runs_would_tell(self, report):
        """Half a digit comes off what matters: 2.093 · 0.00276 √(1 + 1/k) is 0.00615 from 8 on."""
        spread = np.sqrt(0.00276**2 * 19 / 20) * np.repeat([1, -1], 10)
        references = {"numpy_1hidden": reference(*(REPORTED + spread))}
        (row,) = made(report, metrics(0.95), [model(1)], references).to_dict("records")
        assert (row["verdict"], row["runs_needed"]) == ("cannot tell", 8)
        found = metrics(*[0.95] * 8)
        (row,) = made(report, found, [model(8)], references).to_dict("records")
        assert row["verdict"] == "agrees"
        assert pd.isna(row["runs_needed"])

    @pytest.mark.parametrize(("precision", "runs"), [(None, 7), (0.0004, 9)])
    def test_half_a_printed_digit_comes_off_what_matters(self, report, precision, runs):
        """2.093 · 0.00275 √(1 + 1/k) is 0.00615 from 7 on, 0.00607 from 9 on."""
        spread = np.sqrt(0.00275**2 * 19 / 20) * np.repeat([1, -1], 10)
        figures = tuple(
            replace(figure, precision=precision, margin=0.00616 if precision is None else 0.00627)
            for figure in report.figures
        )
        rows = made(
            replace(report, figures=figures),
            metrics(0.95),
            [model(1)],
            {"numpy_1hidden": reference(*(REPORTED + spread))},
        )
        assert rows["runs_needed"].tolist() == [runs]

    @pytest.mark.parametrize("protocol", ["frozen", "notebook"])
    def test_another_protocol_is_set_beside(self, report, protocol):
        runs = {"seed-1": "main", "seed-2": "seed-2"}
        net = model(reported="resnet152", protocol=protocol, runs=runs, recipe="stated")
        values = [1800 / 2048, 1801 / 2048]
        found = metrics(*values, split="validation", n=2048)
        references = {"resnet152": reference(0.8, 0.9, 1.0, split="validation")}
        (row,) = made(report, found, [net], references).to_dict("records")
        own = protocol == "notebook"
        assert row["verdict"] == ("cannot tell" if own else "by another protocol")
        assert row["protocol"] == ("" if own else "frozen")
        assert row["difference"] == pytest.approx(np.mean(values) - 0.9043)
        # The reference runs are of the report's protocol.
        assert row["spread_of"] == ("3 reference runs" if own else "2 runs")
        assert row["half_width"] > 0

    @pytest.mark.parametrize(
        ("splits", "counted", "known"),
        [
            (["main", "main", "main"], 3, ""),  # and the report's run is on another
            (["main", "main", "a"], 2, "2 runs"),
            (["main", "a", "b"], 3, "3 runs"),
        ],
    )
    def test_a_spread_is_over_splits_where_the_report_s_is_another(
        self, report, splits, counted, known
    ):
        runs = {f"seed-{seed}": split for seed, split in enumerate(splits, start=1)}
        net = model(reported="resnet152", protocol="notebook", recipe="stated", runs=runs)
        (row,) = made(report, metrics(0.90, 0.80, 0.91), [net]).to_dict("records")
        assert (row["n_runs"], row["spread_of"]) == (counted, known)
        of = {2: (0.90, 0.91), 3: (0.90, 0.80, 0.91)}[counted]
        assert (row["mean"], row["sd"]) == pytest.approx((np.mean(of), np.std(of, ddof=1)))
        assert pd.isna(row["half_width"]) == (known == "")

    def test_generated_data_is_never_compared(self, report):
        generated = model(1, comparable=False, why_not="generated data")
        (row,) = made(report, metrics(REPORTED), [generated]).to_dict("records")
        assert (row["verdict"], row["why_not"]) == ("not comparable here", "generated data")
        assert pd.isna(row["difference"])

    def test_a_model_of_its_own_comes_last_and_stands_alone(self, report):
        own = model(
            1,
            name="own",
            reported=None,
            recipe="own",
            comparable=False,
            why_not="not in the report",
        )
        found = pd.concat([metrics(REPORTED), metrics(0.5, name="own")])
        rows = comparison.compare(found, [own, model(1)], report, {})
        assert len(rows) == len(report.figures) + 1
        last = rows.iloc[-1]
        assert (last["model"], last["title"], last["recipe"]) == ("own", "Net", "own")
        assert (last["split"], last["metric"], last["headline"]) == ("test", "accuracy", 0.5)
        assert (last["verdict"], last["why_not"]) == ("not comparable here", "not in the report")
        assert last[["protocol", "where", "note"]].tolist() == ["", "", ""]
        assert pd.isna(last["reported"])

    def test_two_variants_of_one_reported_model(self, report):
        found = pd.concat([metrics(REPORTED), metrics(0.94, name="other")])
        rows = comparison.compare(found, [model(1), model(1, name="other")], report, {})
        assert set(rows["model"]) >= {"net", "other"}
        assert "numpy_1hidden" not in set(rows["model"])

    def test_headline_must_be_among_the_runs(self, report):
        with pytest.raises(UserError, match="seed-7"):
            comparison.compare(metrics(0.9), [model(runs={"seed-7": "main"})], report, {})

    def test_counterpart_must_be_in_the_report(self, report):
        with pytest.raises(UserError, match="alexnet"):
            comparison.compare(metrics(0.9), [model(reported="alexnet")], report, {})


class TestModel:
    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"colour": "red"}, "unknown key 'colour'"),
            ({"recipe": "guessed"}, "recipe is 'guessed'"),
            ({"comparable": False}, "why_not is empty"),
        ],
    )
    def test_is_checked(self, changed, message):
        with pytest.raises(UserError, match=message):
            model(**changed)

    def test_a_missing_key(self):
        with pytest.raises(UserError, match="title"):
            Model.of({"name": "net"})


class TestGather:
    def test_joins(self, tmp_path):
        metrics(0.9).to_csv(tmp_path / "a.csv", index=False)
        metrics(0.8, name="other").to_csv(tmp_path / "b.csv", index=False)
        found = comparison.gather([tmp_path / "a.csv", tmp_path / "b.csv"])
        assert found["value"].tolist() == [0.9, 0.8]

    def test_twice(self, tmp_path):
        metrics(0.9).to_csv(tmp_path / "a.csv", index=False)
        metrics(0.8).to_csv(tmp_path / "b.csv", index=False)
        with pytest.raises(UserError, match=r"'net', 'seed-1', 'test', 'accuracy'.* given twice"):
            comparison.gather([tmp_path / "a.csv", tmp_path / "b.csv"])

    def test_another_table(self, tmp_path):
        (tmp_path / "a.csv").write_text("x\n1\n")
        with pytest.raises(UserError, match=r"a\.csv.*expected"):
            comparison.gather([tmp_path / "a.csv"])

    def test_nothing(self, report):
        rows = comparison.compare(comparison.gather([]), [model()], report, {})
        assert set(rows["verdict"]) == {"not run"}

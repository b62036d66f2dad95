"""Verdicts at their edges; rows for what was run, not run and not comparable."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.comparison import compare as comparison
from repro.comparison import reported
from repro.comparison.compare import Model, verdict, wilson
from repro.errors import UserError
from repro.evaluation.names import METRIC_COLUMNS

REPORTED, DIGIT = 0.9454, 0.0001


def model(**changed) -> Model:
    values = {
        "name": "net",
        "title": "Net",
        "framework": "numpy",
        "reported": "numpy_1hidden",
        "recipe": "replayed",
        "headline": "seed-1",
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


@pytest.fixture(scope="module")
def report(root):
    return reported.load(root / "resources/reported.yaml")


class TestVerdict:
    @pytest.mark.parametrize(
        ("reproduced", "expected"),
        [
            (0.9454, "to the digit"),
            (0.94545, "to the digit"),
            (0.94535, "to the digit"),
            (0.945451, "better than reported"),
            (0.945349, "worse than reported"),
        ],
    )
    def test_to_half_the_last_digit(self, reproduced, expected):
        assert verdict(REPORTED, DIGIT, reproduced) == expected

    def test_words_have_no_digits(self):
        assert verdict(0.9463, None, 0.9463, runs=(0.9463,), interval=(0.93, 0.95)) == (
            "within the test set's interval"
        )

        outside = {"runs": (0.947, 0.95), "interval": (0.947, 0.953)}
        assert verdict(0.9463, None, 0.95, **outside) == "better than reported"

    @pytest.mark.parametrize(
        ("runs", "expected"),
        [
            ((0.946, 0.948), "better than reported"),
            ((0.946, 0.9455), "better than reported"),
            ((0.946, 0.94545), "within the seeds' range"),
            ((0.946, 0.94), "within the seeds' range"),
            ((0.946,), "better than reported"),
        ],
    )
    def test_two_runs_make_a_range(self, runs, expected):
        assert verdict(REPORTED, DIGIT, 0.946, runs=runs) == expected

    @pytest.mark.parametrize(
        ("low", "expected"),
        [
            (0.9450, "within the test set's interval"),
            (0.94545, "within the test set's interval"),
            (0.94546, "better than reported"),
        ],
    )
    def test_the_interval_reaches_down_to_the_reported(self, low, expected):
        assert verdict(REPORTED, DIGIT, 0.949, interval=(low, 0.953)) == expected

    def test_the_interval_reaches_up_to_the_reported(self):
        assert verdict(REPORTED, DIGIT, 0.93, interval=(0.92, 0.94535)) == (
            "within the test set's interval"
        )
        assert verdict(REPORTED, DIGIT, 0.93, interval=(0.92, 0.94534)) == "worse than reported"

    def test_the_edge_itself_is_inside(self):
        edge = comparison._EPSILON
        assert verdict(0, 0, edge) == "to the digit"
        for near, far in ((edge, 0.5), (-edge, -0.5)):
            both = (min(near, far), max(near, far))
            assert verdict(0, None, far, runs=both) == "within the seeds' range"
            assert verdict(0, None, far, interval=both) == "within the test set's interval"

    def test_the_first_rule_that_fits_decides(self):
        wide = {"runs": (0.9, 0.99), "interval": (0.9, 0.99)}
        assert verdict(REPORTED, DIGIT, None, **wide, comparable=False) == "not run"
        assert verdict(REPORTED, DIGIT, 0.9454, **wide, comparable=False) == "not comparable here"
        other = {**wide, "same_protocol": False}
        assert verdict(REPORTED, DIGIT, None, **other) == "not run"
        assert verdict(REPORTED, DIGIT, 0.9454, **other, comparable=False) == "not comparable here"
        assert verdict(REPORTED, DIGIT, 0.9454, **other) == "by another protocol"
        assert verdict(REPORTED, DIGIT, 0.9454, **wide) == "to the digit"
        assert verdict(REPORTED, DIGIT, 0.96, **wide) == "within the seeds' range"

    @given(st.floats(0, 1), st.floats(0, 1))
    def test_better_is_higher(self, reported_value, reproduced):
        found = verdict(reported_value, None, reproduced)
        expected = "better" if reproduced > reported_value else "worse"
        assert found == f"{expected} than reported"


class TestWilson:
    # Newcombe 1998, Statistics in Medicine 17, table I, method 3.
    @pytest.mark.parametrize(
        ("hits", "n", "low", "high"),
        [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)],
    )
    def test_published(self, hits, n, low, high):
        assert wilson(hits / n, n) == pytest.approx((low, high), abs=5e-5)

    def test_the_spread_the_report_is_judged_by(self):
        for fraction, n, half in ((0.91, 2048, 1.2), (0.95, 10_000, 0.43)):
            low, high = wilson(round(fraction * n) / n, n)
            assert 50 * (high - low) == pytest.approx(half, abs=0.05)

    def test_not_a_count(self):
        assert wilson(0.3079847909, 263) == wilson(81 / 263, 263)
        with pytest.raises(ValueError, match="whole number"):
            wilson(0.5, 3)


class TestCompare:
    def test_a_row_for_every_reported_figure(self, report):
        rows = comparison.compare(metrics(0.9454), [model(recipe="inferred")], report)
        assert list(rows.columns) == comparison.COLUMNS
        for column in ("split", "metric", "where", "note"):
            expected = [getattr(figure, column) for figure in report.figures]
            assert rows[column].tolist() == expected
        assert rows["reported"].tolist() == [figure.value for figure in report.figures]
        precisions = [figure.precision for figure in report.figures]
        assert rows["reported_precision"].fillna(0).tolist() == [x or 0 for x in precisions]
        assert rows["n_seeds"].tolist() == rows["reproduced"].notna().tolist()
        assert set(rows["why_not"]) == {""}
        # A model that was run goes by its own title and recipe, others by the report's.
        own = rows["model"] == "net"
        assert set(rows.loc[own, "title"]) == {"Net"}
        assert set(rows.loc[own, "recipe"]) == {"inferred"}
        others = [figure.recipe for figure in report.figures if figure.model != "numpy_1hidden"]
        assert rows.loc[~own, "recipe"].tolist() == others
        titles = {model.title for model in report.models.values()}
        assert set(rows.loc[~own, "title"]) == titles - {report.models["numpy_1hidden"].title}
        assert rows["verdict"].value_counts().to_dict() == {
            "not run": len(report.figures) - 1,
            "to the digit": 1,
        }

    def test_statistics(self, report):
        """Of the headline, which is neither the first run nor the last, among other figures."""
        own = metrics(0.94, 0.95, 0.97)
        own.loc[own["run"] != "seed-2", "n"] = 100
        others = [metrics(0.5, 0.6, 0.7, split="validation"), metrics(0.8, 0.8, 0.8, metric="ece")]
        found = pd.concat([others[0], own, others[1]])
        rows = comparison.compare(found, [model(headline="seed-2")], report)
        row = rows.set_index(["model", "split", "metric"]).loc["net", "test", "accuracy"]
        assert row["reproduced"] == 0.95
        assert row["difference_pp"] == pytest.approx(0.46)
        assert row["mean"] == pytest.approx(2.86 / 3)
        assert row["sd"] == pytest.approx(np.sqrt(0.07 / 300))
        assert (row["min"], row["max"], row["n_seeds"]) == (0.94, 0.97, 3)
        assert (row["wilson_low"], row["wilson_high"]) == pytest.approx(wilson(0.95, 10_000))
        assert row["verdict"] == "within the seeds' range"
        row = rows.set_index(["model", "split", "metric"]).loc["net", "validation", "accuracy"]
        assert (row["wilson_low"], row["wilson_high"]) == pytest.approx(wilson(0.6, 10_000))

    def test_one_run_is_held_against_its_test_set_s_interval(self, report):
        rows = comparison.compare(metrics(0.9470), [model()], report)
        (row,) = rows[rows["reproduced"].notna()].to_dict("records")
        assert row["verdict"] == "within the test set's interval"

    def test_train_images_have_no_interval(self, report):
        found = pd.concat(
            [
                metrics(0.96, split="train"),
                metrics(0.99, split="validation", metric="auc_ovr_softmax"),
            ]
        )
        rows = comparison.compare(found, [model()], report)
        made = rows[rows["reproduced"].notna()]
        assert len(made) == 2
        assert made["wilson_low"].isna().all()

    def test_generated_data_is_never_compared(self, report):
        generated = model(comparable=False, why_not="generated data")
        rows = comparison.compare(metrics(0.9454), [generated], report)
        row = rows[rows["reproduced"].notna()].iloc[0]
        assert row["verdict"] == "not comparable here"
        assert row["why_not"] == "generated data"
        assert pd.isna(row["difference_pp"])

    @pytest.mark.parametrize(
        ("protocol", "verdicts", "said"),
        [
            ("frozen", {"by another protocol"}, {"frozen"}),
            ("adapted", {"by another protocol"}, {"adapted"}),
            ("notebook", {"to the digit", "worse than reported"}, {""}),
        ],
    )
    def test_another_protocol_is_set_beside(self, report, protocol, verdicts, said):
        resnet = model(name="net", reported="resnet152", protocol=protocol, part="flowers")
        found = pd.concat(
            [
                metrics(1852 / 2048, split="validation", n=2048),
                metrics(0.9, split="train", metric="running_accuracy", n=100),
            ]
        )
        made = comparison.compare(found, [resnet], report).query("reproduced.notna()")
        assert set(made["verdict"]) == verdicts
        assert set(made["protocol"]) == said
        assert made["difference_pp"].notna().all()

    def test_a_model_of_its_own_comes_last_and_stands_alone(self, report):
        own = model(
            name="own", reported=None, recipe="own", comparable=False, why_not="not in the report"
        )
        found = pd.concat([metrics(0.9454), metrics(0.5, name="own")])
        rows = comparison.compare(found, [own, model()], report)
        assert len(rows) == len(report.figures) + 1
        last = rows.iloc[-1]
        assert (last["model"], last["split"], last["reproduced"]) == ("own", "test", 0.5)
        assert pd.isna(last["reported"])
        assert last["verdict"] == "not comparable here"

    def test_two_variants_of_one_reported_model(self, report):
        variants = [model(), model(name="other", title="Other")]
        found = pd.concat([metrics(0.9454), metrics(0.94, name="other")])
        rows = comparison.compare(found, variants, report)
        assert set(rows["model"]) >= {"net", "other"}
        assert "numpy_1hidden" not in set(rows["model"])

    def test_headline_must_be_among_the_runs(self, report):
        with pytest.raises(UserError, match="seed-7"):
            comparison.compare(metrics(0.9), [model(headline="seed-7")], report)

    def test_counterpart_must_be_in_the_report(self, report):
        with pytest.raises(UserError, match="alexnet"):
            comparison.compare(metrics(0.9), [model(reported="alexnet")], report)


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
        rows = comparison.compare(comparison.gather([]), [model()], report)
        assert set(rows["verdict"]) == {"not run"}

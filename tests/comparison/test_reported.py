"""The report as data: what ships is whole and consistent; what is broken is named."""

from __future__ import annotations

import ast
import csv
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
import yaml

from repro.comparison import claims, reported
from repro.errors import UserError
from repro.evaluation.names import METRICS
from repro.history import read_history
from repro.report import markdown

MINIMAL = """
report: {title: A report}
parts:
  mnist: {data: {images: 0123abcd}, split: {seed: 1}}
  flowers: {data: {}, split: {}}
models:
  net: {title: Net, part: mnist, net: {epochs: 2}}
  rose: {title: Rose, part: flowers, net: {weights: 0123abcd}}
figures:
  - {id: a, model: net, split: test, metric: accuracy, printed: "94.50", unit: percent,
     precision: 0.01, margin: 0.5, where: table, recipe: stated}
  - {id: b, model: rose, split: train, metric: running_accuracy, printed: "0.97", unit: fraction,
     precision: 0.01, margin: 0.02, where: table, protocol: notebook, recipe: stated}
claims:
  - {number: 1, text: It learns, models: [net], test: keep_rising}
  - {number: 2, text: High, models: [net], test: aucs_about, parameters: {auc: 0.99, within: 1}}
  - {number: 3, text: It falls, models: [rose], protocol: notebook, test: losses_fall,
     parameters: {rise_of: rose, rise_on: [test], before: 1, after: 2, evened_out: 3}}
"""


def loaded(folder: Path, text: str) -> reported.Report:
    (folder / "reported.yaml").write_text(text)
    return reported.load(folder / "reported.yaml")


class TestWhatShips:
    def test_the_table_of_part_1(self, report):
        found = {
            model: [
                markdown.number(figure.value, figure.metric, figure.precision)
                for figure in report.figures_of(model)
            ]
            for model in report.models
        }
        assert found["numpy_1hidden"] == ["95.61", "94.78", "94.54", "0.996"]
        assert found["numpy_2hidden"] == ["96.85", "96.01", "95.78", "0.997"]
        assert found["torch_2hidden"] == ["92.25", "91.89", "91.66", "0.991"]

    def test_the_counts_in_the_notebook_give_the_figures(self, report):
        values = {figure.id: figure for figure in report.figures}
        for split, hits in (("validation", 1852), ("test", 1863)):
            figure = values[f"resnet152/{split}/accuracy"]
            assert f"{hits} of 2048" in figure.where
            assert round(hits / 2048, 4) == figure.value

    @pytest.mark.parametrize("model", ["resnet152", "convnext_large"])
    def test_the_curves_end_in_the_figures(self, report, model):
        curve = read_history(report.models[model].curve)
        epochs = report.parts["flowers"].head["epochs"]
        last = curve[curve["epoch"] == epochs].set_index("split")["accuracy"]
        for figure in report.figures_of(model):
            if figure.precision is not None:
                assert round(last[figure.split], 4) == figure.value

    def test_the_flower_figures_and_claims_are_the_notebook_s(self, report):
        for one in (*report.figures, *report.claims):
            model = one.models[0] if isinstance(one, reported.Claim) else one.model
            flowers = report.models[model].part == "flowers"
            assert one.protocol == ("notebook" if flowers else "")


def test_every_test_that_may_be_named_is_there():
    assert set(claims.TESTS) == set(reported.CLAIM_TESTS)


def test_protocols_are_those_of_the_configuration(root):
    schema = yaml.safe_load((root / "config/schema.yaml").read_text())
    known = schema["$defs"]["flower_net"]["properties"]["protocol"]["enum"]
    assert set(reported.PROTOCOLS) == set(known)


class TestWhatIsBroken:
    def test_minimal_is_whole(self, tmp_path):
        figure = loaded(tmp_path, MINIMAL).figures[0]
        assert (figure.value, figure.precision, figure.margin) == (0.945, 0.0001, 0.005)

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("model: net", "model: ned", "unknown model 'ned'"),
            ("models: [net]", "models: [ned]", "unknown model 'ned'"),
            ("split: test", "split: tset", "split of a is 'tset'"),
            ("unit: percent", "unit: permille", "unit of a is 'permille'"),
            ("table, recipe: stated", "table, recipe: guessed", "recipe of a is 'guessed'"),
            ("part: mnist", "part: mnits", "part of net is 'mnits', expected one of mnist"),
            ("images: 0123abcd", "images: 01234567", "images of mnist is"),
            ("weights: 0123abcd", "weights: none", "weights of rose is 'none', expected 8 to 64"),
            (
                "  flowers: {data: {}, split: {}}",
                "",
                "part of rose is 'flowers', expected one of mnist",
            ),
            ('"94.50"', "94.50", "expected text in quotes"),
            ("precision: 0.01", "precision: 0.001", "printed as 94.50"),
            ("precision: 0.01, ", "", "key 'precision' is missing"),
            ("figures:", "figures: 3\nothers:", "not iterable"),
            ("models:\n", "models: [\n", "not YAML"),
        ],
    )
    def test_is_named(self, tmp_path, old, new, message):
        self.refused(tmp_path, old, new, message)

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("metric: accuracy", "metric: error_rate", ["metric of a", *METRICS]),
            ("metric: accuracy", "metric: running_accuracy", ["metric of a (mnist, test)"]),
            (
                "train, metric: running_accuracy",
                "test, metric: running_accuracy",
                ["(flowers, test) is 'running_accuracy'", "auc_ovr_softmax"],
            ),
            ("metric: running_accuracy", "metric: auc_ovr_sum", ["metric of b", "auc_ovr_raw"]),
        ],
    )
    def test_a_metric_that_is_not_made(self, tmp_path, old, new, words):
        for word in words:
            self.refused(tmp_path, old, new, word)

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            (
                "keep_rising",
                "stay_far",
                f"test of claim 1 is 'stay_far', expected one of {', '.join(claims.TESTS)}",
            ),
            (", test: keep_rising", "", "key 'test' is missing"),
            (
                "{auc: 0.99, within: 1}",
                "{}",
                "claim 2, test aucs_about: its parameters are none, expected auc, within",
            ),
            ("within: 1", "by: 1", "its parameters are auc, by, expected auc, within"),
            ("auc: 0.99", "auc: high", "auc is 'high', expected a number"),
            ("before: 1", "before: 1.5", "before is 1.5, expected a whole number"),
            ("rise_of: rose", "rise_of: net", "rise_of of claim 3 is 'net', expected one of rose"),
            ("[test]", "[tset]", "rise_on of claim 3 is 'tset', expected one of train"),
            (
                "keep_rising",
                "beats, parameters: {metric: error}",
                "claim 1: test beats takes two models",
            ),
            (
                "[net], test: keep_rising",
                "[net, net], test: beats, parameters: {metric: loss}",
                "metric of claim 1 is 'loss', expected one of accuracy, error",
            ),
            (
                "[net], test: keep_rising",
                "[net, rose], test: beats, protocol: notebook, parameters: {metric: error}",
                "claim 1: test beats takes two models of one part",
            ),
            ("models: [net], test: keep", "models: [], test: keep", "claim 1 names no model"),
        ],
    )
    def test_a_claim_that_cannot_be_tested(self, tmp_path, old, new, message):
        self.refused(tmp_path, old, new, message)

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("[rose], protocol: notebook", "[rose]", "protocol of claim 3 is ''"),
            ("table, protocol: notebook", "table", "protocol of b is '', expected one of frozen"),
            ("table, protocol: notebook", "table, protocol: note", "protocol of b is 'note'"),
            ("table, recipe", "table, protocol: frozen, recipe", "only flower nets have one"),
        ],
    )
    def test_a_protocol(self, tmp_path, old, new, message):
        self.refused(tmp_path, old, new, message)

    def refused(self, tmp_path, old, new, message):
        assert old in MINIMAL
        with pytest.raises(UserError, match=r"reported\.yaml") as caught:
            loaded(tmp_path, MINIMAL.replace(old, new, 1))
        assert message in str(caught.value)

    @pytest.mark.parametrize("key", ["figures", "claims"])
    def test_twice(self, tmp_path, key):
        data = yaml.safe_load(MINIMAL)
        data[key] *= 2
        with pytest.raises(UserError, match="stands twice"):
            loaded(tmp_path, yaml.safe_dump(data))

    def test_absent(self, tmp_path):
        with pytest.raises(UserError, match="restore it"):
            reported.load(tmp_path / "reported.yaml")


class TestMargins:
    """Half of the smallest gap that the report tells apart, where none is given."""

    @pytest.fixture
    def margins(self, tmp_path):
        """Return a function: the margins of figures of a part, metric and set, by their values."""

        def of(*figures):
            data = yaml.safe_load(MINIMAL) | {"claims": []}
            first = data["figures"][0]
            del first["margin"]
            data["figures"] = data["figures"][1:]
            for number, (printed, changed) in enumerate(figures):
                name = f"net{number}"
                part = changed.pop("part", "mnist")
                data["models"][name] = {"title": name, "part": part, "net": {}}
                entry = first | {"id": name, "model": name, "printed": printed} | changed
                data["figures"].append(entry)
            return [figure.margin for figure in loaded(tmp_path, yaml.safe_dump(data)).figures[1:]]

        return of

    def test_are_half_the_smallest_gap(self, margins):
        found = margins(("94.00", {}), ("97.00", {}), ("95.20", {}))
        assert found == pytest.approx([0.006] * 3)

    def test_a_gap_of_a_digit_is_none(self, margins):
        """A digit is what two roundings make; in figures printed unlike it is the coarser one."""
        coarse = {"precision": 0.1}
        found = margins(("94.00", {}), ("94.01", {}), ("94.03", {}), ("94.1", coarse))
        assert found == pytest.approx([0.0001] * 4)
        found = margins(("94.00", {}), ("94.1", coarse), ("94.4", coarse))
        assert found == pytest.approx([0.0015] * 3)
        in_words = {"precision": None}
        assert margins(("94", in_words), ("94.00", {}), ("94.04", {})) == pytest.approx(
            [0.0002] * 3
        )

    def test_one_that_is_given_stays_in_its_unit(self, margins):
        found = margins(("94.00", {"margin": 0.3}), ("95.00", {}))
        assert found == pytest.approx([0.003, 0.005])

    @pytest.mark.parametrize(
        "unlike",
        [
            {"split": "validation"},
            {"metric": "top5_accuracy"},
            {"part": "flowers", "protocol": "notebook"},
            {"printed": "94.01"},
        ],
    )
    def test_are_asked_for_where_there_is_no_gap(self, margins, unlike):
        with pytest.raises(UserError, match=r"net0 has no margin: .* say with `margin`"):
            margins(("94.00", {}), ("95.00", unlike))

    def test_of_the_report(self, report):
        """In points: 94.54 and 95.78 on test. The flower nets': 90.97 and 94.63."""
        found = {figure.id: 100 * figure.margin for figure in report.figures}
        assert found["numpy_1hidden/test/accuracy"] == pytest.approx(0.62)
        assert found["torch_2hidden/test/accuracy"] == pytest.approx(0.62)
        assert found["resnet152/test/accuracy"] == pytest.approx(1.83)
        # 0.996 and 0.997 are one digit apart; 0.991 and 0.996 are five.
        assert found["numpy_1hidden/auc"] == pytest.approx(0.25)


def test_the_seed_of_a_split_is_given_for_mnist_alone(report):
    found = {key: report.gives_split(key) for key in report.models}
    assert [key for key, given in found.items() if given] == [
        key for key, model in report.models.items() if model.part == "mnist"
    ]


class TestHistory:
    def test_loss_may_be_absent(self, tmp_path):
        (tmp_path / "history.csv").write_text("epoch,split,accuracy\n1,train,0.5\n")
        assert read_history(tmp_path / "history.csv")["loss"].isna().all()

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("epoch,split,loss\n1,train,2\n", "column 'accuracy' is missing"),
            ("epoch,split,accuracy\n1,val,0.5\n", "a set is called 'val'"),
            ("", "not a table of epochs"),
        ],
    )
    def test_is_named(self, tmp_path, text, message):
        (tmp_path / "history.csv").write_text(text)
        with pytest.raises(UserError, match=message):
            read_history(tmp_path / "history.csv")


def test_flower_names_stand_in_the_order_of_labels(root):
    """torchvision ships the same list; its source is read because importing it takes seconds."""
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        pytest.skip("torchvision is not installed, so there is nothing to check the names against")
    source = (Path(spec.origin).parent / "datasets/flowers102.py").read_text()
    theirs = next(
        ast.literal_eval(node.value)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "classes"
    )
    with (root / "resources/flower_names.csv").open(newline="") as stream:
        ours = {int(row["label"]): row["name"] for row in csv.DictReader(stream)}
    # Two slips of the list are mended in ours.
    mended = {"pink-yellow dahlia?": "pink-yellow dahlia", "barbeton daisy": "barberton daisy"}
    assert ours == dict(enumerate((mended.get(name, name) for name in theirs), start=1))
    assert len(set(ours.values())) == 102


def test_shipped_histories_read(root):
    for path in (root / "resources/reported").glob("*.csv"):
        assert isinstance(read_history(path), pd.DataFrame)

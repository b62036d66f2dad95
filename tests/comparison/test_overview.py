"""The report's order of models, run against run; what the reference runs say of a machine."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from repro.comparison import reported
from repro.comparison.compare import Model
from repro.comparison.overview import overview
from repro.comparison.reference import Reference
from repro.evaluation.names import METRIC_COLUMNS


def model(of, *splits, **changed) -> Model:
    """Return a counterpart of a reported model, with one run on each of the splits."""
    runs = {f"run-{number}": split for number, split in enumerate(splits)}
    flowers = of in ("resnet152", "convnext_large")
    return Model(
        **{
            "name": f"own_{of}",
            "title": of.upper(),
            "framework": "torch" if "torch" in of else "numpy",
            "reported": of,
            "recipe": "stated",
            "runs": runs,
            "comparable": True,
            "why_not": "",
            "part": "flowers" if flowers else "mnist",
            "protocol": "notebook" if flowers else "",
            **changed,
        }
    )


def metrics(accuracies) -> pd.DataFrame:
    """Return test accuracies of models by their runs, and what could be taken for them."""
    rows = [
        (net.name, run, 1, split, metric, value if (split, metric) == key else 0.5, 100)
        for net, values in accuracies
        for run, value in zip(net.runs, values, strict=True)
        for key in [("test", "accuracy")]
        for split, metric in (key, ("validation", "accuracy"), ("test", "auc_ovr_softmax"))
    ]
    return pd.DataFrame(rows, columns=METRIC_COLUMNS)


def orders(report, *accuracies):
    nets = [net for net, _ in accuracies]
    return overview(metrics(accuracies), nets, report, {})["orders"]


class TestOrder:
    def test_every_combination_of_runs_on_the_same_split(self, report):
        """ConvNeXt-Large is above in both pairs of split a, in one of two of b; c is not shared."""
        first = model("resnet152", "a", "a", "b", "c"), [0.80, 0.85, 0.88, 0.99]
        second = model("convnext_large", "b", "a", "b"), [0.87, 0.90, 0.89]
        (order,) = orders(report, first, second)
        assert order == {
            "models": ["CONVNEXT_LARGE", "RESNET152"],
            "metric": "accuracy",
            "held": 3,
            "of": 4,
        }

    def test_a_tie_is_no_order(self, report):
        first, second = (model(of, "a") for of in ("resnet152", "convnext_large"))
        (order,) = orders(report, (first, [0.9]), (second, [0.9]))
        assert (order["held"], order["of"]) == (0, 1)

    def test_of_three_each_is_above_the_next(self, report):
        """The report's: two hidden layers, one, PyTorch."""
        nets = [
            (model("numpy_1hidden", "main", "main"), [0.94, 0.96]),
            (model("torch_2hidden", "main", "main"), [0.92, 0.945]),
            (model("numpy_2hidden", "main"), [0.95]),
        ]
        (order,) = orders(report, *nets)
        assert order["models"] == ["NUMPY_2HIDDEN", "NUMPY_1HIDDEN", "TORCH_2HIDDEN"]
        assert (order["held"], order["of"]) == (1, 4)

    def test_of_errors_the_fewest_come_first(self, root):
        other = reported.load(root / "resources/lecun1998.yaml")
        nets = [
            (model("mlp_300", "main", "main", "main"), [0.05, 0.06, 0.03]),
            (model("mlp_300_100", "main"), [0.04]),
        ]
        rows = metrics(nets).replace({"metric": {"accuracy": "error"}})
        (order,) = overview(rows, [net for net, _ in nets], other, {})["orders"]
        assert order == {
            "models": ["MLP_300_100", "MLP_300"],
            "metric": "error",
            "held": 2,
            "of": 3,
        }

    def test_parts_are_not_mixed_and_one_model_has_no_order(self, report):
        nets = [
            (model(of, "main"), [value])
            for of, value in (("numpy_1hidden", 0.9), ("numpy_2hidden", 0.95), ("resnet152", 0.99))
        ]
        (order,) = orders(report, *nets)
        assert (order["models"], order["held"]) == (["NUMPY_2HIDDEN", "NUMPY_1HIDDEN"], 1)

    def test_by_one_metric_and_each_model_once(self, report):
        """The report's first figure of the test set says which."""
        first, second = (model(of, "main") for of in ("numpy_1hidden", "numpy_2hidden"))
        (figure,) = (
            figure
            for figure in report.figures_of("numpy_2hidden")
            if (figure.split, figure.metric) == ("test", "accuracy")
        )
        of_errors = replace(figure, metric="error", value=0.99)
        for figures in ((*report.figures, figure, of_errors), (of_errors, *report.figures)):
            other = replace(report, figures=figures)
            (order,) = orders(other, (first, [0.9]), (second, [0.95]))
            assert order["models"] == ["NUMPY_2HIDDEN", "NUMPY_1HIDDEN"]
            assert order["metric"] == "accuracy"

    @pytest.mark.parametrize(
        "changed",
        [
            {"protocol": "frozen"},
            {"comparable": False, "why_not": "other data"},
            {"reported": None, "comparable": False, "why_not": "not in the report"},
        ],
    )
    def test_only_the_report_s_own_are_ordered(self, report, changed):
        first = model("resnet152", "a")
        second = replace(model("convnext_large", "a"), **changed)
        assert orders(report, (first, [0.9]), (second, [0.95])) == []


class TestReference:
    def test_the_headline_is_held_against_the_reference(self, report):
        """Seed 1 of a NumPy net to the digit, of a PyTorch net within what seeds make."""
        nets = [
            (model("numpy_1hidden", "main", "main"), [0.9401, 0.5]),
            (model("torch_2hidden", "main", "main"), [0.9433, 0.5]),
        ]
        runs = pd.DataFrame({"seed": range(4), "split": "test", "metric": "accuracy", "n": 100})
        known = Reference(runs.assign(value=[0.93, 0.94, 0.95, 0.94]), "One machine.", {})
        references = {"numpy_1hidden": known, "torch_2hidden": known}
        found = overview(metrics(nets), [net for net, _ in nets], report, references)
        assert found["agreement"] == {
            "NUMPY_1HIDDEN": "This machine differs from the reference runs by "
            "+0.01 points in test accuracy.",
            "TORCH_2HIDDEN": "This machine agrees with the reference runs.",
        }
        assert found["made_on"] == ["One machine."]
        assert found["report"] == report.about.sentence
        assert found["another_protocol"] == report.about.another_protocol
        assert overview(metrics(nets), [nets[0][0]], report, {})["agreement"] == {}

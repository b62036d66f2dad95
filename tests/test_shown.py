"""Which figures a net has, and what stands beside the report's curve."""

import pytest
import yaml

from repro import shown
from repro.comparison.reported import load
from repro.plan import Plan


@pytest.fixture(scope="module")
def nets(root):
    return Plan(yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))).nets


def test_each_figure_has_a_name_a_place_and_a_caption(root):
    for figure in {*shown.FIGURES["mnist"], *shown.FIGURES["flowers"], "against"}:
        assert shown.FIGURE_NAMES[figure]
        assert shown.CATEGORIES[figure]
        assert (root / f"resources/captions/{figure}.rst").exists()


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("numpy_1hidden", "as reported"),
        ("convnext_large", "as reported (protocol notebook)"),
        ("convnext_large_notebook", "as reported"),
        ("efficientnet_lite0", "as reported"),
    ],
)
def test_the_legend_names_another_protocol(nets, report, name, label):
    assert shown.reported_label(nets[name], report) == label


def test_the_note_of_a_curve_is_the_report_s(nets, report):
    assert "first three epochs" in shown.curve_note(nets["numpy_1hidden"], report)
    assert shown.curve_note(nets["efficientnet_lite0"], report) == ""


def test_a_report_of_errors_alone_has_curves_of_the_error(root, nets, report):
    net, lecun = nets["numpy_1hidden"], load(root / "resources/lecun1998.yaml")
    assert shown.quantities(net, lecun) == {"accuracy": "error"}
    assert shown.figure_name(net, "accuracy", lecun) == "error per epoch"
    assert shown.figure_name(net, "confusion", lecun) == "confusion of classes"
    assert shown.quantities(nets["resnet152"], report) == {"accuracy": "accuracy", "loss": "loss"}
    assert shown.figure_name(net, "accuracy", report) == "accuracy per epoch"

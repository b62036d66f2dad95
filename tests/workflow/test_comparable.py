"""What the rules hold against the report, as Snakemake reads them: nothing runs."""

from __future__ import annotations

import shlex

import pytest
import yaml

from repro.comparison.verdict import NOTEBOOK_COMMAND
from support import ROOT


@pytest.fixture
def read(project, monkeypatch):
    """Reads the Snakefile with changes over config.yaml; returns its rules by name."""
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings

    def rules_of(changes=None):
        more = project.folder / "more.yaml"
        more.write_text(yaml.safe_dump(changes or {}))
        monkeypatch.chdir(project.folder)
        with SnakemakeApi(OutputSettings(dryrun=True)) as api:
            plan = api.workflow(
                resource_settings=ResourceSettings(cores=1),
                config_settings=ConfigSettings(configfiles=[more]),
                snakefile=project.folder / "Snakefile",
            )
            plan.dag()
            return {rule.name: rule for rule in plan._workflow.rules}

    return rules_of


def compared(rules):
    """Return what the rule `compare` is told of each model, by name."""
    return {model["name"]: model for model in rules["compare"].params.models}


def test_what_ships_is_the_reports_but_for_the_protocol(read):
    found = compared(read())
    reasons = {name: model["why_not"] for name, model in found.items()}
    assert reasons.pop("torch_2hidden_long") == "not in the report"
    assert set(reasons.values()) == {""}
    assert found["torch_2hidden_long"]["longer_of"] == "torch_2hidden"
    assert found["numpy_1hidden"]["recipe"] == "replayed"
    assert {found[name]["protocol"] for name in ("resnet152", "convnext_large")} == {"frozen"}


def test_a_changed_net_is_its_own(read):
    nets = {
        "numpy_1hidden": {"hidden": [100]},
        "torch_2hidden_long": {"hidden": [64]},
    }
    found = compared(read({"mnist": {"nets": nets}, "flowers": {"head": {"epochs": 2}}}))
    changed = found["numpy_1hidden"]
    assert changed["why_not"] == "changed: hidden [50] → [100]"
    assert (changed["comparable"], changed["recipe"]) == (False, "own")
    assert found["numpy_2hidden"]["comparable"]
    assert found["resnet152"]["why_not"] == "changed: head.epochs 9 → 2"
    # Another net is not the same one trained longer.
    assert found["torch_2hidden_long"]["longer_of"] is None


def curves_of(rules):
    """Return the report's curve that a model's figures are drawn with, by model."""
    drawn = {
        "plot_mnist": ("numpy_1hidden", "numpy_2hidden", "torch_2hidden"),
        "plot_flowers": ("resnet152", "convnext_large"),
    }
    inputs = {
        model: rules[rule].expand_input({"model": model})[0]
        for rule, models in drawn.items()
        for model in models
    }
    return {
        model: str(found.reported).removeprefix("resources/")
        for model, found in inputs.items()
        if found.reported
    }


def test_every_curve_of_the_report_is_drawn(read, project):
    report = yaml.safe_load((project.folder / "resources/reported.yaml").read_text())
    named = {key: entry["curve"] for key, entry in report["models"].items() if "curve" in entry}
    assert "numpy_1hidden" in named
    assert curves_of(read()) == named


def test_no_curve_is_drawn_behind_another_net(read):
    changed = {"mnist": {"nets": {"numpy_1hidden": {"hidden": [100]}}}}
    assert set(curves_of(read(changed))) == {"resnet152", "convnext_large"}


@pytest.mark.parametrize("file", ["README.md", "config.yaml"])
def test_the_line_that_runs_the_notebooks_protocol_is_told(file):
    words = (ROOT / file).read_text().replace("#", " ").replace("\\\n", " ").split()
    assert " ".join(NOTEBOOK_COMMAND.split()) in " ".join(words)


def test_the_line_that_runs_the_notebooks_protocol_does(project):
    project.config.write_text("{}")
    planned = project.planned(*shlex.split(NOTEBOOK_COMMAND)[3:])
    nets = {rule for rule in planned if rule.startswith(("train_", "features_"))}
    assert nets == {"train_resnet152_notebook", "train_convnext_large_notebook"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("metric: auc_ovr_softmax", "metric: error_rate", ["error_rate", "macro_f1"]),
        ("test: stay_close", "test: stay_near", ["stay_near", "expected one of stay_close"]),
        ("{points: 0.2}", "{}", ["claim 8", "parameters are none, expected points"]),
        ("models: [torch_2hidden]", "models: [torch_3]", ["unknown model 'torch_3'"]),
    ],
)
def test_a_wrong_report_is_refused_before_anything_runs(project, old, new, words):
    file = project.folder / "resources/reported.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    output = project.snakemake("-n", ok=False)
    assert "Traceback" not in output
    for word in [*words, "reported.yaml"]:
        assert word in output

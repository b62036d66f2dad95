"""The second report that ships: it is whole, its run is its own, and neither needs the other."""

from __future__ import annotations

import pytest
import yaml

from planning import plan
from repro.comparison import changes, reported
from repro.config import fill_in
from repro.fetch.registry import load_registry
from repro.plan import Plan
from repro.report import markdown
from support import ROOT, merged, other_words

FILE = ROOT / "config/lecun1998.yaml"
OVER = yaml.safe_load(FILE.read_text())
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.fixture(scope="module")
def report():
    return reported.load(ROOT / OVER["report"])


@pytest.fixture(scope="module")
def config():
    whole = merged(SHIPPED, OVER)
    fill_in(whole)
    return whole


def test_its_figures_are_the_paper_s(report):
    found = {
        tuple(report.models[figure.model].net["hidden"]): markdown.number(
            figure.value, figure.metric, figure.precision
        )
        for figure in report.figures
        if (figure.split, figure.metric) == ("test", "error")
    }
    assert found == {
        (): "12.0",
        (300,): "4.7",
        (1000,): "4.5",
        (300, 100): "3.05",
        (500, 150): "2.95",
    }
    assert len(report.figures) == len(report.models) == 5


def test_what_runs_is_what_it_says(report, config):
    registry = load_registry([ROOT / "resources/registry.yaml"], {})
    planned = Plan(config)
    table = changes.model_table(planned, registry, report)
    assert [(row["reported"], row["why_not"]) for row in table] == [
        (name, "") for name in report.models
    ]
    assert all(report.gives_split(name) for name in report.models)
    assert [model.title for model in planned.models] == [
        model.title for model in report.models.values()
    ]
    recipes = [{**model.recipe, "hidden": None} for model in planned.models]
    assert all(recipe == recipes[0] for recipe in recipes), "one recipe for all"


def test_the_shipped_nets_stay_as_they_are(config):
    for part in ("mnist", "flowers"):
        own = {name: config[part]["nets"][name] for name in SHIPPED[part]["nets"]}
        assert own == SHIPPED[part]["nets"]


def test_its_plan_has_nothing_of_flowers_and_folders_of_its_own(tmp_path):
    run, other = plan(tmp_path / "run", FILE.read_text()), plan(tmp_path / "other", "{}")
    assert {job.rule for job in run.jobs if job.rule.startswith("train")} == {
        f"train_{name}" for name in OVER["models"]
    }
    files, theirs = (
        {file for job in each.jobs for file in _texts([job.output, job.log, job.benchmark])}
        for each in (run, other)
    )
    assert not [file for file in files if "flower" in file or "oxford" in file]
    assert files & theirs == set()
    for rule in ("compare", "judge_claims"):
        (job,) = run.of(rule)
        assert job.input["reported"] == OVER["report"]


def _texts(value):
    """Return every text in lists and maps, however deep."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    return [value] if value else []


@pytest.mark.heavy(minutes=1)
def test_what_it_leaves_has_no_word_of_the_other_report(project):
    small = {"epochs": 2, "seeds": [1]}
    nets = {
        name: {**net, **({} if "like" in net else small)}
        for name, net in OVER["mnist"]["nets"].items()
    }
    mnist = {"split": {**OVER["mnist"]["split"], "test": 200, "validation": 50}, "nets": nets}
    changes = {**OVER, "models": ["mlp_300", "linear"], "mnist": mnist}
    project.snakemake(changes=changes)
    results = project.folder / OVER["results_dir"]
    assert other_words(results) == {}
    assert "The report: “Gradient-Based Learning" in (results / "METHODS.md").read_text()
    drawn = (results / "REPORT.md").read_text()
    assert "[error per epoch](figures/linear/accuracy.png)" in drawn
    assert "accuracy per epoch" not in drawn

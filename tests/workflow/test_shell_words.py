"""Values of the configuration that a shell would take for commands."""

from __future__ import annotations

import pytest
import yaml

pytestmark = pytest.mark.heavy

HOSTILE = ["results; touch harm1 #", "$(touch harm2)", "`touch harm3`", "it's && touch harm4"]


@pytest.mark.fault(
    "configuration",
    "folders and a title with `; touch x`, `$(touch x)` and quotes",
    "they stay names: the files are there, nothing is run",
)
def test_a_shells_words_in_a_value_stay_words(project, happened):
    results, logs, benchmarks, data = HOSTILE
    title = "$(touch harm5); touch harm6 `touch harm7`"
    changes = {
        "results_dir": results,
        "logs_dir": logs,
        "benchmarks_dir": benchmarks,
        "data_dir": data,
        "mnist": {"nets": {"numpy_1hidden": {"title": title}}},
    }
    project.snakemake("--", f"{results}/config.yaml", changes=changes)
    saved = yaml.safe_load((project.folder / results / "config.yaml").read_text())
    assert saved["mnist"]["nets"]["numpy_1hidden"]["title"] == title
    assert (project.folder / logs).is_dir()
    assert not list(project.folder.rglob("harm*"))
    happened("config.yaml is written in the folder of that name, with the title as it was given")


@pytest.mark.fault(
    "configuration",
    "the same through the rule that builds the report by a shell command",
    "they stay names: the page is there, nothing is run",
)
def test_a_shells_words_in_a_value_stay_words_in_the_report(project, happened):
    results, logs, benchmarks, data = HOSTILE
    title = "$(touch harm5); touch harm6 `touch harm7`"
    changes = {
        "models": ["numpy_1hidden"],
        "results_dir": results,
        "logs_dir": logs,
        "benchmarks_dir": benchmarks,
        "data_dir": data,
        "mnist": {"nets": {"numpy_1hidden": {"title": title}}},
    }
    project.snakemake("report", changes=changes)
    assert (project.folder / results / "report.html").exists()
    assert not list(project.folder.rglob("harm*"))
    happened("report.html is written in the folder of that name")


@pytest.mark.fault(
    "configuration", "an architecture with `; touch x` in it", "refused before anything runs"
)
@pytest.mark.parametrize("name", ["timm:x; touch harm", "timm:$(touch harm)"])
def test_an_architecture_with_a_shells_words_is_refused(project, name, happened):
    changes = {"flowers": {"nets": {"tiny": {"architecture": name}}}}
    said = project.snakemake("-n", changes=changes, ok=False)
    assert "flowers.nets.tiny.architecture" in said
    assert "Traceback" not in said
    assert not list(project.folder.rglob("harm*"))
    happened(next(line for line in said.splitlines() if "flowers.nets.tiny" in line))

"""What is told of the report's protocol, and how a wrong report is met: nothing runs."""

from __future__ import annotations

import shlex

import pytest

from repro.comparison.reported import load
from support import ROOT

NOTEBOOK_COMMAND = load(ROOT / "resources/reported.yaml").about.another_protocol.partition(
    "The notebook's way is run by: "
)[2]


@pytest.mark.parametrize("file", ["README.md", "config.yaml"])
def test_the_line_that_runs_the_notebooks_protocol_is_told(file):
    words = (ROOT / file).read_text().replace("#", " ").replace("\\\n", " ").split()
    assert " ".join(NOTEBOOK_COMMAND.split()) in " ".join(words)


def test_the_line_that_runs_the_notebooks_protocol_does(project):
    project.config.write_text("{}")
    planned = project.planned(*shlex.split(NOTEBOOK_COMMAND)[3:])
    nets = {rule for rule in planned if rule.startswith(("train_", "features_"))}
    assert nets == {"train_resnet152_notebook", "train_convnext_large_notebook"}


def test_a_wrong_report_is_refused_before_anything_runs(project):
    file = project.folder / "resources/reported.yaml"
    text = file.read_text()
    file.write_text(text.replace("metric: auc_ovr_softmax", "metric: error_rate", 1))
    output = project.snakemake("-n", ok=False)
    assert "Traceback" not in output
    for word in ("error_rate", "macro_f1", "reported.yaml"):
        assert word in output

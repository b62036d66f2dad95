"""The project as a part of another workflow: a module with names of its own, or included."""

from __future__ import annotations

import json
import subprocess
import sys

import pandas as pd
import pytest

from planning import plan
from repro.plan import MNIST_FILES
from support import ROOT

NETS = """{
    "models": ["numpy_1hidden", "wide"],
    "results_dir": "held/results",
    "mnist": {"nets": {"wide": {"like": "numpy_1hidden", "hidden": [100]}}},
}"""
MINE = """
rule mine:
    default_target: True
    input: "held/results/ro-crate-metadata.json"
    output: "mine.txt"
    benchmark: "mine.tsv"
    shell: "cp {input} {output}"
"""
MODULE = f"""
nets = {NETS}

module holds:
    snakefile: "{ROOT}/Snakefile"
    config: nets

use rule * from holds as holds_*
{MINE}
"""
INCLUDED = f"""
config.update({NETS})

include: "{ROOT}/Snakefile"
{MINE}
"""
RULES = {
    *("fetch", "prepare_mnist", "train_numpy_1hidden", "train_wide", "evaluate", "compare"),
    *("set_against", "judge_claims", "plot_mnist", "plot_against", "plot_comparison"),
    *("plot_runtime", "save_configuration", "record_run", "write_page", "report", "write_crate"),
}


@pytest.mark.parametrize(("text", "prefix"), [(MODULE, "holds_"), (INCLUDED, "")])
def test_it_runs_as_part_of_another_workflow(tmp_path, text, prefix):
    snakefile = tmp_path / "other/Snakefile"
    snakefile.parent.mkdir()
    snakefile.write_text(text)
    found = plan(tmp_path / "run", "{}", snakefile)
    assert {job.rule for job in found.jobs} == {"mine", *(f"{prefix}{rule}" for rule in RULES)}
    # The configuration given, laid over the one that ships.
    (saved,) = found.of(f"{prefix}save_configuration")
    net = saved.params["config"]["mnist"]["nets"]["wide"]
    assert net["title"] == "NumPy, one hidden layer, hidden [100]"
    assert saved.params["config"]["flowers"]["data"] == "oxford102"
    trained, *_ = found.of(f"{prefix}train_wide")
    assert trained.output["model"] == "held/results/runs/wide/seed-123/model.npz"
    assert "scripts/train_numpy.py" in trained.input["code"]
    # Times are looked up by the names that rules have here.
    (timed,) = found.of(f"{prefix}plot_runtime")
    assert timed.params["benchmarks"]["train_wide"].startswith("benchmarks/train_wide/{run")
    assert "mine" not in timed.params["benchmarks"]
    assert "train_wide" in timed.params["unfinished"]


def test_a_prefix_goes_before_the_folders_wherever_they_are_named(tmp_path):
    snakefile = tmp_path / "Snakefile"
    text = MODULE.replace("    config:", '    prefix: "sub"\n    config:')
    snakefile.write_text(text.replace('input: "held', 'input: "sub/held'))
    found = plan(tmp_path / "run", "{}", snakefile)
    assert {job.rule for job in found.jobs} == {"mine", *(f"holds_{rule}" for rule in RULES)}
    (mine,) = found.of("mine")
    assert (mine.output["*"], mine.benchmark) == (["mine.txt"], "mine.tsv")
    (prepared,) = found.of("holds_prepare_mnist")
    proofs = prepared.params["proofs"]
    assert set(proofs) == {prepared.input[part] for part in MNIST_FILES}
    assert all(path.startswith("sub/data/fetched/mnist/") for path in proofs)
    assert prepared.log == ["sub/logs/prepare_mnist.log"]
    assert "scripts/prepare_mnist.py" in prepared.input["code"], "what ships stays where it is"
    trained, *_ = found.of("holds_train_wide")
    assert trained.params["checkpoint"].startswith("sub/held/results/checkpoints/")
    (saved,) = found.of("holds_save_configuration")
    assert saved.params["config"]["results_dir"] == "sub/held/results"


def test_rules_after_an_included_project_keep_the_prefix_they_have(tmp_path):
    (tmp_path / "inner.smk").write_text(INCLUDED)
    (tmp_path / "Snakefile").write_text(
        'module outer:\n    snakefile: "inner.smk"\n    prefix: "sub"\n\nuse rule * from outer\n'
    )
    found = plan(tmp_path / "run", "{}", tmp_path / "Snakefile", targets=["mine"])
    assert found.makers("sub/mine.txt") == ["mine"]
    assert found.makers("mine.txt") == []


@pytest.mark.heavy(minutes=1)
def test_below_a_prefix_each_figure_leads_to_its_run(project):
    outer = project.folder / "outer/Snakefile"
    outer.parent.mkdir()
    module = 'snakefile: "../Snakefile"\n    prefix: "sub"\n    config: config\n'
    outer.write_text(f"module holds:\n    {module}\nuse rule * from holds\n")
    crate = "sub/results/ro-crate-metadata.json"
    changes = {"models": ["numpy_1hidden"]}
    project.snakemake("--snakefile", str(outer), "--", crate, changes=changes)
    assert {path.name for path in project.folder.glob("*")} & {"results", "data", "logs"} == set()

    results = project.folder / "sub/results"
    row = pd.read_csv(results / "comparison.csv").iloc[0]
    assert row["run"] == "seed-123"
    described = {
        entity["@id"] for entity in json.loads((project.folder / crate).read_text())["@graph"]
    }
    assert {row["configuration"], row["log"], row["predictions"]} <= described
    trained = (project.folder / "sub/logs/train_numpy_1hidden/seed-123.log").read_text()
    assert (results / row["log"]).read_text() == trained
    assert f'<a href="{row["log"]}">log</a>' in (results / "comparison.html").read_text()
    logs = "".join(file.read_text() for file in (results / "workflow/logs").rglob("*.log"))
    assert str(project.folder) not in logs
    chain = subprocess.run(
        [sys.executable, "scripts/why.py", "numpy_1hidden/test/accuracy", "--results", results],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"Log: {results}/{row['log']}" in chain.stdout
    assert project.planned("--snakefile", str(outer), "--", crate, changes=changes) == {}

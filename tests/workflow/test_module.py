"""The project as a part of another workflow: a module with names of its own, or included."""

from __future__ import annotations

import pytest
from snakemake.exceptions import WorkflowError

from planning import plan
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


def test_folders_are_set_by_the_configuration(tmp_path):
    snakefile = tmp_path / "Snakefile"
    snakefile.write_text(MODULE.replace("    config:", '    prefix: "x"\n    config:'))
    with pytest.raises(WorkflowError, match="prefix is not supported; set results_dir"):
        plan(tmp_path / "run", "{}", snakefile)

"""Real runs of the whole DAG on tiny data, and what a dry run plans afterwards."""

import json
import os
from contextlib import contextmanager

import pandas as pd
import pytest

from methods import methods

pytestmark = pytest.mark.heavy


@contextmanager
def edited(file, line="\n# edited\n"):
    original = file.read_bytes()
    file.write_bytes(original + line.encode())
    try:
        yield
    finally:
        file.write_bytes(original)


def test_the_whole_dag_leaves_everything(finished):
    results = finished.folder / "results"
    comparison = pd.read_csv(results / "comparison.csv")
    metrics = pd.read_csv(results / "metrics.csv")
    assert set(metrics["model"]) == {"numpy_1hidden", "numpy_2hidden", "torch_2hidden", "tiny"}
    assert list(metrics.columns) == ["model", "run", "seed", "split", "metric", "value", "n"]
    assert (comparison.loc[comparison["model"] == "resnet152", "verdict"] == "not run").all()
    own = comparison[comparison["model"] == "tiny"]
    assert (own["verdict"] == "not comparable here").all()
    assert (own["why_not"] == "generated data").all()
    changed = comparison[comparison["model"] == "numpy_1hidden"]
    assert (changed["verdict"] == "not comparable here").all()
    assert (changed["recipe"] == "own").all()
    assert changed["why_not"].str.startswith("other data; changed: hidden [50] → [8]; ").all()
    assert changed["difference"].isna().all()
    claims = pd.read_csv(results / "claims.csv")
    assert set(claims["verdict"]) == {"cannot be judged"}
    page = (results / "report.html").read_text()
    assert "Training curves" in page
    assert "tiny/accuracy.png" in page
    manifest = pd.read_csv(finished.folder / "data/generated/manifests/main.csv")
    folders = finished.folder / "data/generated/folders/main"
    assert all((folders / file).is_file() for file in manifest["file"])
    assert manifest["split"].value_counts().to_dict() == {"train": 18, "validation": 9, "test": 9}


def test_methods_name_each_model_and_leave_open_what_only_a_person_knows(finished):
    text = methods(finished.folder / "results")
    record = json.loads((finished.folder / "results/provenance.json").read_text())["identity"]
    for model in record["models"].values():
        assert f"- {model['title']}: " in text
    assert "hidden 8, activation sigmoid" in text
    assert record["packages"]["torch"] in text
    assert "## What was easy\n\n## What was difficult\n" in text


def test_a_second_run_has_nothing_to_do(finished):
    assert "Nothing to be done" in finished.snakemake()
    assert finished.planned() == {}


def test_touched_code_reruns_nothing(finished):
    for file in [*finished.folder.glob("scripts/*.py"), *finished.folder.glob("scripts/repro/*")]:
        os.utime(file)
    assert finished.planned() == {}


@pytest.mark.parametrize(
    ("helper", "reruns", "keeps"),
    [
        (
            "scripts/repro/mnist/net.py",
            {"train_numpy_1hidden", "train_numpy_2hidden"},
            {"features_tiny", "train_torch_2hidden"},
        ),
        ("scripts/repro/mnist/torch_trainer.py", {"train_torch_2hidden"}, {"train_numpy_1hidden"}),
        (
            "scripts/repro/heads/training.py",
            {"train_tiny"},
            {"features_tiny", "train_numpy_1hidden"},
        ),
        # A wall between modules is a wall between reruns.
        ("scripts/repro/predictions.py", {"evaluate", "train_tiny"}, {"features_tiny"}),
        ("scripts/repro/fetch/mnist_pickle.py", set(), {"features_tiny", "prepare_mnist"}),
        ("scripts/repro/mnist/images.py", {"train_numpy_1hidden"}, {"features_tiny"}),
        ("scripts/repro/comparison/compare.py", {"compare"}, {"evaluate"}),
        ("scripts/repro/comparison/claims.py", {"judge_claims"}, {"evaluate", "compare"}),
        ("scripts/repro/report/pages.py", {"write_page"}, {"evaluate", "compare", "judge_claims"}),
        (
            "scripts/repro/evaluation/metrics.py",
            {"evaluate"},
            {"train_tiny", "train_numpy_1hidden"},
        ),
        ("scripts/split_images.py", {"split_images", "train_tiny"}, {"features_tiny"}),
        (
            "scripts/repro/figures/style.py",
            {"plot_mnist", "plot_images", "plot_comparison"},
            {"evaluate", "compare"},
        ),
        ("scripts/fetch.py", set(), {"fetch"}),
        ("rules/mnist.smk", {"record_run", "write_crate"}, {"train_numpy_1hidden", "evaluate"}),
    ],
)
def test_edited_code_reruns_what_imports_it(finished, helper, reruns, keeps):
    with edited(finished.folder / helper):
        planned = finished.planned()
    assert reruns <= set(planned)
    assert not keeps & set(planned)
    assert finished.planned() == {}


def test_a_changed_setting_reruns_what_depends_on_it(finished):
    planned = finished.planned(changes={"flowers": {"head": {"epochs": 3}}})
    assert "train_tiny" in planned
    assert "features_tiny" not in planned
    assert "train_numpy_1hidden" not in planned


def test_another_source_for_the_same_file_fetches_nothing(finished):
    elsewhere = {"mnist/t10k-labels-idx1-ubyte": {"sources": [{"path": "elsewhere"}]}}
    planned = finished.planned(changes={"downloads": elsewhere})
    assert set(planned) == {
        *("save_configuration", "record_run", "write_page", "write_crate", "report", "all"),
    }


def test_one_model_can_be_rerun_alone(finished):
    planned = finished.planned("-R", "train_tiny")
    assert planned["train_tiny"] == 1
    assert planned["evaluate"] == 2
    assert not [rule for rule in planned if "hidden" in rule or rule.startswith("features")]
    alone = finished.planned("-R", "train_torch_2hidden", "--until", "train_torch_2hidden")
    assert set(alone) == {"train_torch_2hidden"}


def test_targets(finished):
    (finished.folder / "results/runs/tiny/seed-1/metrics.csv").unlink()
    assert set(finished.planned("mnist")) == set()
    assert "evaluate" in finished.planned("flowers")
    finished.snakemake("report")
    assert finished.planned() == {}


def test_a_resumed_pass_through_a_backbone_took_what_all_its_pieces_took(finished):
    results = finished.folder / "results"
    note = finished.folder / "data/generated/features/.tiny-all.partial.pieces"
    of_training = results / "checkpoints/.numpy_1hidden-seed-123.npz.pieces"
    assert json.loads(of_training.read_text())["earlier_s"] == 0
    as_it_was = note.read_bytes()
    note.write_text(json.dumps({"earlier_s": 100.5, "began": 0}))
    try:
        finished.snakemake("-R", "plot_runtime", "--until", "plot_runtime")
    finally:
        note.write_bytes(as_it_was)
    table = pd.read_csv(results / "runtime.csv").set_index("rule")
    assert table.loc["features_tiny", "earlier_s"] == 100.5
    assert table.loc["features_tiny", "wall_s"] > 100.5
    assert "resumed" in (results / "figures/runtime.svg").read_text()
    finished.snakemake("-R", "plot_runtime")


def test_no_other_code_runs_whatever_the_environment_names(finished):
    """As where another checkout's scripts stand in PYTHONPATH, or a package of the same name.

    Or where the environment was not activated, and another Snakemake is on the PATH.
    """
    other = finished.folder.parent / "other"
    (other / "repro").mkdir(parents=True)
    (other / "repro/__init__.py").write_text("raise SystemExit('another checkout has run')\n")
    program = other / "snakemake"
    program.write_text("#!/bin/sh\necho another Snakemake has run; exit 1\n")
    program.chmod(0o755)
    here = finished.folder / "repro"
    here.symlink_to(other / "repro")
    environment = {
        "PATH": f"{other}:/usr/bin:/bin",
        "PYTHONPATH": str(other),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    try:
        # A script, figures, and the page, for which a job calls Snakemake.
        finished.snakemake("-R", "save_configuration", "plot_comparison", env=environment)
        finished.snakemake(
            *("-R", "save_configuration", "--until", "save_configuration"),
            env={**environment, "PYTHONSAFEPATH": "1"},
        )
    finally:
        here.unlink()


def test_another_seed_is_another_run_of_the_same_rule(finished):
    planned = finished.planned(changes={"mnist": {"nets": {"numpy_1hidden": {"seeds": [123, 7]}}}})
    assert planned["train_numpy_1hidden"] == 1
    assert "train_numpy_2hidden" not in planned

"""Two runs of one configuration, and what another machine needs to check one."""

import json
import shutil
import subprocess
import sys

import pytest

MODELS = {"models": ["numpy_1hidden", "torch_2hidden", "tiny"], "flowers": {"split_seeds": [2]}}


# Times differ from run to run; they are kept apart for that.
MAY_DIFFER = {"runtime.csv"}


def results_of(project, suffixes):
    folder = project.folder / "results"
    files = [
        file
        for file in folder.rglob("*")
        if file.suffix in suffixes and file.name not in MAY_DIFFER
    ]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def provenance_of(project):
    text = (project.folder / "results/provenance.json").read_text()
    assert str(project.folder) not in text
    return json.loads(text)


def command(project, *arguments):
    done = subprocess.run(
        arguments, cwd=project.folder, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.heavy(minutes=3)
def test_two_runs_of_one_configuration_give_the_same(project):
    project.snakemake("provenance", changes=MODELS)
    first, told = results_of(project, {".csv", ".npz"}), provenance_of(project)
    assert len(first) > 25
    for name in ("results", "data/mnist", "data/generated", ".snakemake", "logs", "benchmarks"):
        shutil.rmtree(project.folder / name)

    project.snakemake("provenance", changes=MODELS)
    second, again = results_of(project, {".csv", ".npz"}), provenance_of(project)
    assert second.keys() == first.keys()
    assert [name for name in first if first[name] != second[name]] == []
    assert again["identity"] == told["identity"]
    assert told["identity"]["forward_passes"] == {"tiny": 36}
    assert again["circumstances"]["recorded"] != told["circumstances"]["recorded"]
    assert told["circumstances"]["jobs"]["train_tiny"]["seconds"] > 0
    assert project.planned("provenance", changes=MODELS) == {}

    cards = sorted(file.parent.name for file in project.folder.rglob("model_card.md"))
    assert cards == sorted(MODELS["models"])
    assert "drawn by a script" in (project.folder / "results/runs/tiny/model_card.md").read_text()

    git = ("git", "-C", str(project.folder))
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "Snakefile", "rules", "scripts"], check=True)
    assert command(project, sys.executable, "scripts/archive.py")[0] == 0
    archive = project.folder / "results/archive.zip"
    elsewhere = shutil.move(archive, project.folder.parent / "received.zip")
    shutil.rmtree(project.folder / "results")
    code, said = command(project, sys.executable, "scripts/verify_archive.py", str(elsewhere))
    assert code == 0, said
    assert "4 runs, computed anew from their predictions, give what is packed" in said

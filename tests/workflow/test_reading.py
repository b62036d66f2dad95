"""What only reads leaves every file as it was."""

import subprocess
import sys

import pytest
import yaml

from support import MNIST_PARTS, ROOT

TARGETS = ("data/mnist/images.npy", "data/mnist/labels.npy")
LABELS = f"mnist/{MNIST_PARTS[1]}"
ANEW = ("--forcerun", "prepare_mnist", "--", *TARGETS)
# What Snakemake keeps for itself, whatever the project.
ITS_OWN = (".snakemake", ".snakemake/log", ".snakemake/iocache")
# A module that Python compiles is no file of the project's.
NO_BYTECODE = {"PYTHONDONTWRITEBYTECODE": "1"}

DEAD_RUN = """
import sys
from pathlib import Path
sys.path.insert(0, "scripts")
from repro.system.run_lock import mark
locks = Path(".snakemake/locks")
locks.mkdir(exist_ok=True)
(locks / "0.output.lock").write_text("data/mnist/images.npy\\n")
mark(locks, cluster=False)
"""


def state(folder):
    """Return what each file, link and folder is, since when, and what it holds."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if name in ITS_OWN or name.startswith(tuple(f"{own}/" for own in ITS_OWN[1:])):
            continue
        about = path.lstat()
        holds = None
        if path.is_symlink():
            holds = path.readlink()
        elif path.is_file():
            holds = path.read_bytes()
        found[name] = (about.st_mode, about.st_mtime_ns, holds)
    return found


@pytest.fixture
def left(project):
    """A folder in which a killed run's lock lies, and a link whose file is gone."""
    project.snakemake("--", *TARGETS, env=NO_BYTECODE)
    (project.folder / "data/downloads" / LABELS).unlink()
    subprocess.run([sys.executable, "-B", "-c", DEAD_RUN], cwd=project.folder, check=True)
    return project


def read(project, *arguments):
    """Run Snakemake, hold the folder against what it was, and return what was printed."""
    before = state(project.folder)
    assert ".snakemake/locks/0.output.lock" in before
    said = project.snakemake(*arguments, env=NO_BYTECODE)
    after = state(project.folder)
    assert [name for name in before | after if before.get(name) != after.get(name)] == []
    return said


@pytest.mark.heavy
def test_reading_changes_nothing_and_the_run_after_it_mends_what_lay_there(left):
    said = read(left, "-n", *ANEW)
    assert "Another Snakemake instance is running" in said
    assert LABELS in said
    read(left, "--lint")
    read(left, "--summary", "--", *TARGETS)

    said = left.snakemake(*ANEW, ok=False)
    assert "--unlock" in said
    link = left.folder / "data/fetched" / LABELS
    assert link.is_symlink()
    assert not link.exists()
    subprocess.run([sys.executable, "-B", "scripts/unlock.py"], cwd=left.folder, check=True)
    left.snakemake(*ANEW)
    assert link.exists()


@pytest.mark.heavy
def test_nor_do_other_ways_of_reading(left):
    for arguments in (
        ("--detailed-summary", "--", *TARGETS),
        ("--list-rules",),
        ("--list-changes", "params", "--", *TARGETS),
        ("--dag", "mermaid-js", "--", *TARGETS),
        ("--rulegraph", "mermaid-js", "--", *TARGETS),
        ("-n", "--forceall"),
    ):
        read(left, *arguments)


def test_no_profile_takes_a_link_whose_file_is_gone_for_a_file():
    """But that of a bucket, which takes files and no links."""
    for file in (ROOT / "profiles").glob("*/config.yaml"):
        if file.parent.name != "kubernetes":
            assert yaml.safe_load(file.read_text())["max-inventory-time"] == 0, file

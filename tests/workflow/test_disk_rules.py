"""Rules on a disk that is full or read-only: the job fails in words, the same command goes on."""

from __future__ import annotations

import re

import pytest

from small_disk import MOUNT, in_namespace

# "$1" folder, "$2" small size, then the command. A first run on the small disk, what it left, space
# made, the same command again; what it made is kept in made/.
FULL = (
    MOUNT
    + """
folder=$1; shift 2
# Snakemake removes a folder it finds empty, which a mounted one cannot bear.
touch "$folder/.keep"
echo "--- first"; "$@" 2>&1; echo "code $?"
echo "--- left"; find "$folder" -type f -size +0 ! -name '*.lock'
mount -o remount,size=64m "$folder" || exit 77
echo "--- second"; "$@" 2>&1; echo "code $?"
cp -r "$folder" made
"""
)
RUN = "results/runs/{}/seed-123"


def files_in(folder):
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and not file.name.endswith((".lock", ".keep", ".pieces"))
    }


@pytest.mark.heavy
@pytest.mark.fault(
    "disk",
    "the disk is full when a rule writes its outputs (MNIST's arrays, both kinds of nets, "
    "features)",
    "the job fails in words and leaves nothing half-written; with space the same command ends in "
    "the same bytes",
)
@pytest.mark.parametrize(
    ("small", "size", "target"),
    [
        ("data/mnist", "300k", "data/mnist/split.csv"),
        ("results", "24k", f"{RUN.format('numpy_1hidden')}/model.npz"),
        ("results", "40k", f"{RUN.format('torch_2hidden')}/model.safetensors"),
        ("data/generated/features", "24k", "data/generated/features/tiny/all/features.npy"),
    ],
)
def test_a_full_disk(project, happened, *, small, size, target):
    before = {
        "results": ["data/mnist/split.csv"],
        "data/generated/features": ["data/generated/images.csv"],
    }
    # What comes before is made where there is space.
    if small in before:
        project.snakemake("--", *before[small])
    (project.folder / small).mkdir(parents=True, exist_ok=True)
    command = project.command("--", target)
    done = in_namespace(FULL, [small, size, *command], project.folder, **project.environment)
    first, left, second = re.split(r"--- (?:left|second)\n", done.stdout)
    assert "code 1" in first, done.stdout + done.stderr
    assert "the disk is full (or a quota is used up)" in first, first
    assert "make space and run the same command again" in first
    assert "Traceback" not in first, first
    # Only what the next run goes on from may stay: a whole checkpoint, a working folder.
    assert [
        one for one in left.split() if "/checkpoints/" not in one and ".partial" not in one
    ] == []
    assert "code 0" in second, second
    # The small disk is gone with its process; where it was, the same is made without a fault.
    project.snakemake("--", target)
    made = files_in(project.folder / "made")
    assert made
    assert made == files_in(project.folder / small)
    message = re.search(r"ERROR (.*?the disk is full.*)", first)
    assert message is not None
    happened(message[1])


READ_ONLY = """
mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 77
shift
"$@" 2>&1; echo "code $?"
"""


@pytest.mark.heavy
@pytest.mark.fault(
    "disk",
    "a read-only results folder, through the workflow",
    "the run fails in words; when it can be written again the same command completes",
)
def test_a_read_only_results_folder(project, happened):
    target = f"{RUN.format('numpy_1hidden')}/history.csv"
    project.snakemake("--", "data/mnist/split.csv")
    (project.folder / target).parent.mkdir(parents=True)
    done = in_namespace(
        READ_ONLY,
        ["results", *project.command("--", target)],
        project.folder,
        **project.environment,
    )
    assert "code 1" in done.stdout, done.stdout + done.stderr
    assert "Read-only file system" in done.stdout
    assert "Traceback" not in done.stdout, done.stdout
    assert not (project.folder / target).exists()
    project.snakemake("--", target)
    assert (project.folder / target).exists()
    said = next(line for line in done.stdout.splitlines() if "Read-only file system" in line)
    happened(said.partition("ERROR ")[2] or said)

"""What is written to a disk that is full or read-only: named, and whole or absent."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from repro.errors import UserError
from repro.system.disk import CannotWriteError, check_writable
from repro.system.files import atomic_path, new_matrix, read_json, write_text
from small_disk import python_on_disk

# Every way in which the project writes files of any size, by name.
WRITERS = """
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from repro.system import logs
from repro.mnist.checkpoint import load_checkpoint, save_checkpoint
from repro.errors import UserError
from repro.features.store import WorkingStore
from repro.errors import UserError
from repro.system.files import atomic_folder, atomic_path, link, new_matrix, write_npz, write_text
from repro.flowers.images import ImageRef
from repro.flowers.archive import extract
from repro.flowers.folders import lay_out
from repro.heads.training import write_state
from repro.system.writer_lock import lock_output

noise = np.random.default_rng(0).integers(0, 256, 400_000, dtype=np.uint8)
disk = Path("disk")


def array(path):
    with atomic_path(path) as aside, aside.open("wb") as stream:
        np.save(stream, noise, allow_pickle=False)


def table(path):
    with atomic_path(path) as aside:
        pd.DataFrame({"x": noise}).to_csv(aside, index=False)


def folders(path):
    images = pd.DataFrame({"id": [1], "file": ["big.jpg"], "sha256": ["0"]})
    lay_out(images, pd.DataFrame({"id": [1], "label": [1], "split": ["train"]}), ".", path)


def store(path):
    bound = {"width": 1000}
    return WorkingStore(path, [ImageRef(n, Path("x"), "") for n in range(100)], bound)


writers = {
    "text": lambda path: write_text(path, "x" * 400_000),
    "arrays": lambda path: write_npz(path, noise=noise),
    "an array": array,
    "a table": table,
    "weights": lambda path: write_state(path, {"w": torch.from_numpy(noise)}, {}),
    "a checkpoint": lambda path: save_checkpoint(path, {"seed": 1}, {"noise": noise}),
    "a matrix": lambda path: new_matrix(path, (400, 1000), np.uint8),
    "a feature store": store,
    "unpacked images": lambda path: extract("images.tgz", path),
    "folders of images": folders,
}
"""
FULL = """
found = {}
for name, write in writers.items():
    target = disk / "made"
    try:
        write(target)
        said = None
    except UserError as error:
        said = f"{type(error).__name__}: {error}"
    files = [file for file in disk.rglob("*") if file.is_file() and file.stat().st_size]
    found[name] = {"said": said, "left": [file.name for file in files]}
    subprocess.run("rm -rf disk/*", shell=True, check=True)
    mount("size=8m")
    write(target)
    found[name]["then"] = sum(f.stat().st_size for f in disk.rglob("*") if f.is_file())
    subprocess.run("rm -rf disk/*", shell=True, check=True)
    mount("size=200k")

save_checkpoint(disk / "kept", {"seed": 1}, {"epoch": np.array(1)})
try:
    save_checkpoint(disk / "kept", {"seed": 1}, {"noise": noise})
except UserError:
    found["old checkpoint"] = int(load_checkpoint(disk / "kept", {"seed": 1})["epoch"])
print(json.dumps(found))
"""
READ_ONLY = """
mount("ro")
found = {}
writers["a lock"] = lock_output
writers["a link"] = lambda path: link("x", path)
writers["a whole folder"] = lambda path: atomic_folder(path).__enter__()
for name, write in writers.items():
    try:
        write(disk / "made")
        found[name] = None
    except UserError as error:
        found[name] = f"{type(error).__name__}: {error}"
logs.set_up("disk/logs/x.log").info("it goes on")
print(json.dumps(found))
"""


def big_archive(folder: Path) -> None:
    """Write images.tgz with one image of 400 KB, and the image itself."""
    content = np.random.default_rng(1).integers(0, 256, 400_000, dtype=np.uint8).tobytes()
    (folder / "big.jpg").write_bytes(content)
    with tarfile.open(folder / "images.tgz", "w:gz") as tar:
        tar.add(folder / "big.jpg", "jpg/image_00001.jpg")


@pytest.mark.heavy
@pytest.mark.fault(
    "disk",
    "the disk is full when text, arrays, tables, weights, a checkpoint, a matrix, a feature store, "
    "unpacked images or folders are written",
    "named with the way out; nothing half-written stays; with space the same call works",
)
def test_a_full_disk_is_named_by_every_writer(tmp_path, happened):
    big_archive(tmp_path)
    found = json.loads(python_on_disk(WRITERS + FULL, tmp_path, "200k"))
    assert found.pop("old checkpoint") == 1
    assert len(found) == 10
    for name, one in found.items():
        assert one["said"].startswith("CannotWriteError: disk/made"), (name, one)
        assert "the disk is full" in one["said"], (name, one)
        assert "make space and run the same command again" in one["said"], (name, one)
        # What was unpacked so far is in a folder that the rule empties first.
        assert one["left"] == [] or name in ("unpacked images", "folders of images"), (name, one)
        assert one["then"] >= 100_000, (name, one)
    happened(f"each says “{found['weights']['said']}”; the old checkpoint stays whole")


@pytest.mark.heavy
@pytest.mark.fault(
    "disk",
    "a read-only folder, for each of these and for a lock",
    "named with the way out; a log that cannot be kept is no reason to stop",
)
def test_a_read_only_folder_is_named_by_every_writer(tmp_path, happened):
    big_archive(tmp_path)
    found = json.loads(python_on_disk(WRITERS + READ_ONLY, tmp_path, "200k"))
    assert len(found) == 13
    for name, said in found.items():
        assert said is not None, name
        assert said.startswith("CannotWriteError: disk/"), (name, said)
        assert "cannot write here (Read-only file system)" in said, (name, said)
    happened(f"each says “{found['text']}”")


def test_an_error_about_another_file_is_not_taken_for_it(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    with (
        pytest.raises(FileNotFoundError, match="absent"),
        atomic_path(tmp_path / "made/here") as aside,
    ):
        aside.write_bytes((tmp_path / "elsewhere/absent").read_bytes())
    assert list((tmp_path / "made").iterdir()) == []


@pytest.mark.fault("disk", "a file where the folder of a result should be", "named")
def test_a_file_in_the_folders_place_is_named(tmp_path):
    (tmp_path / "results").write_text("")
    for write in (lambda p: write_text(p, "x"), lambda p: new_matrix(p, (3,), np.uint8)):
        with pytest.raises(CannotWriteError, match=r"results/made: cannot write here \("):
            write(tmp_path / "results/made")


def test_where_nothing_can_be_written_is_found_beforehand(tmp_path):
    check_writable(tmp_path / "results/deep")
    check_writable(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWriteError, match=r"file/results: cannot write here \(Not a"):
        check_writable(tmp_path / "file/results")


def test_a_matrix_is_zeros_and_has_all_its_space(tmp_path):
    matrix = new_matrix(tmp_path / "m.npy", (300, 1000), np.float32)
    assert not matrix.any()
    status = (tmp_path / "m.npy").stat()
    assert status.st_blocks * 512 >= status.st_size > 1_200_000
    matrix[2] = 7
    matrix.flush()
    assert np.load(tmp_path / "m.npy")[2].tolist() == [7] * 1000


@pytest.mark.parametrize("text", ["", "[1, 2]", "{", "7", "[" * 100_000, '{"a": \udcff}'])
def test_what_is_no_json_object_is_named(tmp_path, text):
    file = tmp_path / "f.json"
    file.write_text(text, errors="surrogateescape")
    with pytest.raises(UserError, match=r"f\.json: .*; begin anew"):
        read_json(file, "begin anew")

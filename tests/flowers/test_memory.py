"""What an image takes in memory where all of them are in hand, traced allocation by allocation."""

import io
import tarfile
import tracemalloc

import numpy as np
import pytest

from repro.flowers import archive as flowers
from repro.flowers.images import hash_of_images, read_images

MANY = 4000


def traced(work):
    """Return what ``work`` returns, and the bytes held and at most held for each image."""
    tracemalloc.start()
    try:
        result = work()
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return result, held / MANY, peak / MANY


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    file = tmp_path_factory.mktemp("table") / "images.csv"
    rows = (f"{n},images/image_{n:05d}.jpg,1,32,32,{n:064x}\n" for n in range(1, MANY + 1))
    file.write_text("id,file,label,width,height,sha256\n" + "".join(rows))
    return file


def test_a_table_of_images_is_held_in_columns(table):
    images, held, _ = traced(lambda: read_images(table))
    assert len(images) == MANY
    # Two int64, 22 characters of the name, 64 of the hash: 102 bytes.
    assert held < 150


def test_images_are_hashed_without_an_object_for_each(table):
    images = read_images(table)
    digest, held, peak = traced(lambda: hash_of_images(images))
    assert digest == hash_of_images(list(images))
    assert held < 1
    assert peak < 500


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    file = tmp_path_factory.mktemp("archive") / "images.tgz"
    with tarfile.open(file, "w:gz", compresslevel=1) as tar:
        for number in range(1, MANY + 1):
            info = tarfile.TarInfo(f"jpg/image_{number:05d}.jpg")
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
    return file


def test_unpacking_keeps_no_note_of_members(archive, tmp_path):
    files, held, peak = traced(lambda: flowers.extract(archive, tmp_path / "images"))
    assert len(files) == MANY
    assert peak - held < 300


def test_images_are_listed_without_a_future_or_a_row_for_each(tmp_path, monkeypatch):
    names = [tmp_path / f"images/image_{number:05d}.jpg" for number in range(1, MANY + 1)]
    monkeypatch.setattr(flowers, "_describe_one", lambda file: (32, 32, f"{hash(file):064x}"))
    listed, _, peak = traced(
        lambda: flowers.describe(names, np.ones(MANY, np.int64), tmp_path, workers=2)
    )
    assert len(listed) == MANY
    assert peak < 1000

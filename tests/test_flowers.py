import io
import os
import tarfile

import numpy as np
import pandas as pd
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from repro.errors import UserError
from repro.flowers import (
    describe,
    extract,
    lay_out,
    read_labels,
    read_official_split,
    split_images,
)


def jpeg(colour=(200, 40, 90), size=(40, 30)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, "JPEG")
    return stream.getvalue()


def pack(path, members):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members:
            if isinstance(name, tarfile.TarInfo):
                tar.addfile(name)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def archive(tmp_path):
    names = [f"jpg/image_{number:05d}.jpg" for number in (2, 1, 3, 4)]
    return pack(tmp_path / "a.tgz", [(name, jpeg((int(name[-5]) * 50, 0, 0))) for name in names])


def test_images_come_out_flat_and_by_number(archive, tmp_path):
    files = extract(archive, tmp_path / "images")
    assert [file.name for file in files] == [f"image_{n:05d}.jpg" for n in (1, 2, 3, 4)]
    assert sorted(tmp_path.joinpath("images").iterdir()) == files


def test_table_lists_label_size_and_hash(archive, tmp_path):
    files = extract(archive, tmp_path / "images")
    table = describe(files, np.array([7, 8, 7, 8]), tmp_path, workers=2)
    assert table["file"].tolist()[0] == "images/image_00001.jpg"
    assert table["label"].tolist() == [7, 8, 7, 8]
    assert set(zip(table["width"], table["height"], strict=True)) == {(40, 30)}
    assert table["sha256"].nunique() == 4


@pytest.mark.parametrize("name", ["../image_00009.jpg", "/tmp/image_00009.jpg"])
def test_members_outside_the_folder_stay_out(tmp_path, name):
    bad = pack(tmp_path / "bad.tgz", [("jpg/image_00001.jpg", jpeg()), (name, b"evil")])
    folder = tmp_path / "deep/images"
    try:
        extract(bad, folder)
    except UserError as error:
        assert "bad.tgz" in str(error)
    assert not [file for file in tmp_path.rglob("image_00009.jpg") if folder not in file.parents]


def test_links_out_of_the_archive_are_refused(tmp_path):
    link = tarfile.TarInfo("jpg/image_00001.jpg")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with pytest.raises(UserError, match=r"bad\.tgz"):
        extract(pack(tmp_path / "bad.tgz", [(link, b"")]), tmp_path / "images")


@given(cut=st.floats(0.05, 0.95))
def test_a_cut_archive_is_named(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("cut")
    noise = np.random.default_rng(0).integers(0, 256, (3000,), dtype=np.uint8).tobytes()
    whole = pack(folder / "whole.tgz", [(f"jpg/image_{n:05d}.jpg", noise) for n in (1, 2, 3)])
    raw = whole.read_bytes()
    (folder / "cut.tgz").write_bytes(raw[: int(len(raw) * cut)])
    with pytest.raises(UserError, match=r"cut\.tgz"):
        extract(folder / "cut.tgz", folder / "images")


def test_an_image_twice_is_refused(tmp_path):
    twice = [("a/image_00001.jpg", jpeg()), ("b/image_00001.jpg", jpeg())]
    with pytest.raises(UserError, match="twice"):
        extract(pack(tmp_path / "a.tgz", twice), tmp_path / "images")


def test_count_must_match_the_labels(archive, tmp_path):
    files = extract(archive, tmp_path / "images")
    with pytest.raises(UserError, match=r"4 images but 5 labels.*\[5\]"):
        describe(files, np.ones(5, np.int64), tmp_path)


def test_damaged_image_stops_or_is_left_out(archive, tmp_path, caplog):
    files = extract(archive, tmp_path / "images")
    files[2].write_bytes(files[2].read_bytes()[:100])
    with pytest.raises(UserError, match=r"image_00003\.jpg"):
        describe(files, np.ones(4, np.int64), tmp_path)
    table = describe(files, np.ones(4, np.int64), tmp_path, on_damaged="skip")
    assert table["id"].tolist() == [1, 2, 4]
    assert "image_00003.jpg" in caplog.text


@pytest.mark.parametrize("raw", [b"", b"<html>not found</html>", os.urandom(300)])
def test_labels_that_are_no_matlab_file(tmp_path, raw):
    file = tmp_path / "imagelabels.mat"
    file.write_bytes(raw)
    with pytest.raises(UserError, match=r"imagelabels\.mat"):
        read_labels(file)


def test_matlab_files_of_the_official_shape(tmp_path):
    scipy.io.savemat(tmp_path / "l.mat", {"labels": np.array([[3, 1, 2]], np.uint8)})
    assert read_labels(tmp_path / "l.mat").tolist() == [3, 1, 2]
    with pytest.raises(UserError, match="trnid"):
        read_official_split(tmp_path / "l.mat")


def table_of(labels, per_label):
    ids = np.arange(1, labels * per_label + 1)
    return pd.DataFrame({"id": ids, "label": np.repeat(np.arange(1, labels + 1), per_label)})


@given(st.integers(2, 12), st.integers(8, 40), st.integers(0, 2**31), st.booleans())
def test_drawn_splits_cover_each_image_once(labels, per_label, seed, stratified):
    images = table_of(labels, per_label)
    kind = "stratified" if stratified else "random"
    split = split_images(images, kind=kind, validation=0.25, test=0.25, seed=seed)
    assert split["id"].tolist() == images["id"].tolist()
    sizes = split["split"].value_counts()
    assert sizes["test"] == -(-len(images) // 4)
    assert sizes["validation"] == -(-len(images) // 4)
    if stratified:
        share = split[split["split"] == "test"].groupby("label").size()
        assert (share - per_label / 4).abs().max() < 1


def test_official_size_of_the_reports_split():
    images = pd.DataFrame({"id": np.arange(1, 8190), "label": np.arange(8189) % 102 + 1})
    sizes = split_images(images, kind="random", validation=0.25, test=0.25, seed=1)
    counts = sizes["split"].value_counts().to_dict()
    assert counts == {"train": 4093, "test": 2048, "validation": 2048}


def test_too_few_images_of_a_label():
    images = pd.DataFrame({"id": [1, 2, 3, 4, 5], "label": [1, 1, 1, 1, 2]})
    with pytest.raises(UserError, match=r"flowers\.split: cannot be drawn from 5 images"):
        split_images(images, kind="stratified", validation=0.2, test=0.2, seed=1)


def test_official_split_must_cover_the_images():
    images = table_of(2, 3)
    sets = {"train": np.array([1, 2]), "validation": np.array([3]), "test": np.array([4, 5, 6])}
    split = split_images(images, kind="official", validation=0, test=0, seed=0, official=sets)
    assert split["split"].tolist() == ["train"] * 2 + ["validation"] + ["test"] * 3
    with pytest.raises(UserError, match="image 6"):
        split_images(
            images,
            kind="official",
            validation=0,
            test=0,
            seed=0,
            official={**sets, "test": np.array([4, 5])},
        )


@pytest.mark.parametrize("links", [True, False])
def test_folders_use_the_disk_once(archive, tmp_path, monkeypatch, links):
    if not links:

        def refuse(source, target):
            raise OSError("Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    files = extract(archive, tmp_path / "images")
    images = describe(files, np.array([1, 1, 10, 10]), tmp_path)
    split = pd.DataFrame(
        {"id": [1, 2, 3, 4], "label": [1, 1, 10, 10], "split": ["train", "test", "train", "test"]}
    )
    manifest = lay_out(images, split, tmp_path, tmp_path / "folders")
    assert manifest["file"].tolist()[2] == "train/10/image_00003.jpg"
    for file, name in zip(files, manifest["file"], strict=True):
        laid = tmp_path / "folders" / name
        assert laid.read_bytes() == file.read_bytes()
        assert (laid.stat().st_ino == file.stat().st_ino) is links
    lay_out(images, split, tmp_path, tmp_path / "folders")  # again over itself


def test_real_photographs(photographs, tmp_path):
    labels = read_labels(photographs / "imagelabels.mat")
    files = extract(photographs / "102flowers.tgz", tmp_path / "images")
    table = describe(files, labels, tmp_path, workers=2)
    assert len(table) == len(labels) == 1780
    assert table["label"].nunique() == 89

import gzip
import io
import os
import struct
import tarfile
import zlib

import numpy as np
import pandas as pd
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from repro.errors import UserError
from repro.features.backbones import Preprocess
from repro.features.pixels import DamagedImageError, read_pixels
from repro.flowers import archive as flowers
from repro.flowers.archive import (
    check_counts,
    describe,
    extract,
    lay_out,
    read_labels,
    read_official_split,
    split_images,
)
from repro.flowers.images import ImageRef
from repro.splits import SPLITS
from repro.system.files import hash_of
from support import drawn_twice


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
    # Each of a size of its own.
    images = [(name, jpeg((90, 0, 0), (40 + int(name[-5]), 30))) for name in names]
    return pack(tmp_path / "a.tgz", images)


def test_images_come_out_flat_and_by_number(archive, tmp_path):
    files = extract(archive, tmp_path / "images")
    assert [file.name for file in files] == [f"image_{n:05d}.jpg" for n in (1, 2, 3, 4)]
    assert sorted(tmp_path.joinpath("images").iterdir()) == files


def test_table_lists_label_size_and_hash(archive, tmp_path):
    files = extract(archive, tmp_path / "images")
    table = describe(files, np.array([7, 8, 7, 8]), tmp_path, workers=2)
    assert table["file"].tolist()[0] == "images/image_00001.jpg"
    assert table["label"].tolist() == [7, 8, 7, 8]
    assert table["width"].tolist() == [41, 42, 43, 44]
    assert set(table["height"]) == {30}
    assert table["sha256"].tolist() == [hash_of(file) for file in files]


@pytest.mark.fault(
    "archives and images",
    "members that lead out of the folder, or have an absolute path",
    "nothing is written outside",
)
@pytest.mark.parametrize("name", ["../image_00009.jpg", "/tmp/image_00009.jpg"])
def test_members_outside_the_folder_stay_out(tmp_path, name, happened):
    bad = pack(tmp_path / "bad.tgz", [("jpg/image_00001.jpg", jpeg()), (name, b"evil")])
    folder = tmp_path / "deep/images"
    if name.startswith("/"):  # the filter takes it as relative to the folder
        assert [file.name for file in extract(bad, folder)][-1] == "image_00009.jpg"
    else:
        with pytest.raises(UserError, match=r"bad\.tgz: cannot be unpacked .*outside"):
            extract(bad, folder)
    assert not [file for file in tmp_path.rglob("image_00009.jpg") if folder not in file.parents]
    happened("no file outside the folder")


@pytest.mark.fault("archives and images", "a link out of the archive", "refused")
def test_links_out_of_the_archive_are_refused(tmp_path):
    link = tarfile.TarInfo("jpg/image_00001.jpg")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    image = ("jpg/image_00002.jpg", jpeg())
    with pytest.raises(UserError, match=r"bad\.tgz: cannot be unpacked .*link"):
        extract(pack(tmp_path / "bad.tgz", [image, (link, b"")]), tmp_path / "images")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_within_the_archive_are_no_images(tmp_path, kind):
    link = tarfile.TarInfo("jpg/image_00002.jpg")
    link.type = kind
    link.linkname = "image_00001.jpg" if kind == tarfile.SYMTYPE else "jpg/image_00001.jpg"
    archive = pack(tmp_path / "a.tgz", [("jpg/image_00001.jpg", jpeg()), (link, b"")])
    files = extract(archive, tmp_path / "images")
    assert [file.name for file in files] == ["image_00001.jpg"]
    assert list((tmp_path / "images").iterdir()) == files


def refused(archive, folder):
    """Unpack in vain; return the message."""
    with pytest.raises(UserError, match="photographs; fetch it again") as caught:
        extract(archive, folder)
    assert str(archive) in str(caught.value)
    return str(caught.value)


@pytest.mark.fault(
    "archives and images", "an archive whose one image is larger than any photograph", "refused"
)
def test_a_huge_image_in_an_archive_is_refused(tmp_path):
    member = tarfile.TarInfo("jpg/image_00001.jpg")
    member.size = flowers.MOST_BYTES_OF_A_MEMBER + 1
    with tarfile.open(tmp_path / "bad.tgz", "w:gz", compresslevel=1) as tar:
        tar.addfile(member, _Zeros())
    message = refused(tmp_path / "bad.tgz", tmp_path / "images")
    assert "jpg/image_00001.jpg of 67,108,865 bytes" in message
    assert list((tmp_path / "images").iterdir()) == []


class _Zeros(io.RawIOBase):
    def read(self, size=-1):
        return bytes(size)


@pytest.mark.fault(
    "archives and images",
    "an archive that unpacks to many times its own size",
    "stopped on the way",
)
def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(flowers, "LEAST_BOUND", 100_000)
    zeros = [(f"jpg/image_{n:05d}.jpg", bytes(20_000)) for n in range(1, 9)]
    message = refused(pack(tmp_path / "bad.tgz", zeros), tmp_path / "images")
    assert "unpacks to more than 100,000 bytes" in message
    # Members that are no images count too: they take time.
    others = [(f"notes/{n}", bytes(20_000)) for n in range(1, 9)]
    assert "more than 100,000 bytes" in refused(pack(tmp_path / "b.tgz", others), tmp_path / "i")


@pytest.mark.fault("archives and images", "an archive of millions of members", "stopped on the way")
def test_an_archive_of_too_many_members_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(flowers, "MOST_MEMBERS", 5)
    bad = pack(tmp_path / "bad.tgz", [(f"notes/{n}", b"") for n in range(6)])
    assert "unpacks to more than 5 members" in refused(bad, tmp_path / "images")


@pytest.mark.fault(
    "archives and images",
    "an archive with a header as large as the memory",
    "refused before it is read",
)
@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_huge_header_is_refused(tmp_path, kind):
    header = tarfile.TarInfo("x")
    header.type, header.size = kind, 8 << 30
    with gzip.open(tmp_path / "bad.tgz", "wb") as stream:
        stream.write(header.tobuf(tarfile.GNU_FORMAT) + bytes(10_000))
    with pytest.raises(UserError, match=r"bad\.tgz: .*a header of 8,589,934,592 bytes"):
        extract(tmp_path / "bad.tgz", tmp_path / "images")


@pytest.mark.fault("archives and images", "an archive with a changed byte in the middle", "named")
def test_a_changed_byte_of_an_archive_is_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, 60_000, dtype=np.uint8).tobytes()
    raw = bytearray(pack(tmp_path / "a.tgz", [("jpg/image_00001.jpg", noise)]).read_bytes())
    raw[len(raw) // 2] ^= 255
    (tmp_path / "bad.tgz").write_bytes(raw)
    with pytest.raises(UserError, match=r"bad\.tgz: cannot be unpacked .*CRC.*fetch it"):
        extract(tmp_path / "bad.tgz", tmp_path / "images")


@pytest.mark.fault("archives and images", "an archive cut off at any place", "named")
@given(cut=st.floats(0.05, 0.95))
def test_a_cut_archive_is_named(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("cut")
    noise = np.random.default_rng(0).integers(0, 256, (3000,), dtype=np.uint8).tobytes()
    whole = pack(folder / "whole.tgz", [(f"jpg/image_{n:05d}.jpg", noise) for n in (1, 2, 3)])
    raw = whole.read_bytes()
    (folder / "cut.tgz").write_bytes(raw[: int(len(raw) * cut)])
    with pytest.raises(UserError, match=r"cut\.tgz"):
        extract(folder / "cut.tgz", folder / "images")


@pytest.mark.fault("archives and images", "an image twice in the archive", "refused")
def test_an_image_twice_is_refused(tmp_path):
    twice = [("a/image_00001.jpg", jpeg()), ("b/image_00001.jpg", jpeg())]
    with pytest.raises(UserError, match="twice"):
        extract(pack(tmp_path / "a.tgz", twice), tmp_path / "images")


@pytest.mark.fault("labels and splits", "more labels than images", "refused with the first of them")
def test_count_must_match_the_labels(archive, tmp_path):
    files = extract(archive, tmp_path / "images")
    with pytest.raises(UserError, match=r"4 images but 5 labels.*\[5\]"):
        describe(files, np.ones(5, np.int64), tmp_path)


@pytest.mark.fault(
    "archives and images", "an image cut off", "named, with the way to go on without it"
)
def test_damaged_image_stops_or_is_left_out(archive, tmp_path, caplog):
    files = extract(archive, tmp_path / "images")
    labels = np.array([5, 6, 7, 8])
    whole = describe(files, labels, tmp_path)
    files[2].write_bytes(files[2].read_bytes()[:100])
    with pytest.raises(UserError, match=r"image_00003\.jpg"):
        describe(files, labels, tmp_path)
    table = describe(files, labels, tmp_path, on_damaged="skip")
    # The rows of the others are what they were.
    assert table["id"].tolist() == [1, 2, 4]
    assert table.equals(whole.drop(index=2).reset_index(drop=True))
    assert "image_00003.jpg" in caplog.text


@pytest.mark.fault("labels and splits", "fewer labels than images", "refused with the first image")
def test_an_image_without_label_is_named(archive, tmp_path):
    files = extract(archive, tmp_path / "images")
    with pytest.raises(UserError, match=r"4 images but 3 labels: images without label \[4\]"):
        describe(files, np.ones(3, np.int64), tmp_path)


def huge_png(width, height) -> bytes:
    """A picture of one colour: few bytes, many pixels."""

    def chunk(kind, content):
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    rows = zlib.compress(bytes(width + 1) * height, 9)
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


SMALL = Preprocess(resize=40, crop=32)


@pytest.mark.fault(
    "archives and images",
    "a picture of few bytes and 400 million pixels",
    "refused before it is decoded, when images are listed and at their pass through the net",
)
def test_a_decompression_bomb_is_refused(tmp_path):
    file = tmp_path / "image_00001.jpg"
    # The head of 20,000 x 20,000 pixels is enough: nothing behind it is read.
    file.write_bytes(huge_png(20_000, 20)[:16] + struct.pack(">II", 20_000, 20_000))
    whole = bytearray(huge_png(20_000, 20))
    whole[16:24] = struct.pack(">II", 20_000, 20_000)
    whole[29:33] = struct.pack(">I", zlib.crc32(bytes(whole[12:29])))
    file.write_bytes(whole)
    with pytest.raises(UserError, match=r"image_00001\.jpg: Image size \(400000000 pixels\)"):
        describe([file], np.array([1]), tmp_path)
    with pytest.raises(DamagedImageError, match="decompression bomb"):
        read_pixels(ImageRef(1, file, ""), SMALL)


@pytest.mark.fault(
    "archives and images",
    "a picture of one pixel by 60,000, which scaling would blow up",
    "refused before it is scaled",
)
def test_a_picture_too_long_for_its_width_is_refused(tmp_path):
    file = tmp_path / "image_00001.jpg"
    file.write_bytes(huge_png(1, 60_000))
    assert describe([file], np.array([1]), tmp_path)["height"].tolist() == [60_000]
    with pytest.raises(DamagedImageError, match=r"1 x 60000 pixels, too long .*on_damaged: skip"):
        read_pixels(ImageRef(1, file, ""), SMALL)


@pytest.mark.fault(
    "archives and images",
    "a grey picture, one in print colours (CMYK) and one of a single pixel",
    "taken like any other: three colours, the size the net asks for",
)
def test_odd_pictures_become_pixels(tmp_path, happened):
    files = []
    for number, (mode, size) in enumerate(
        [("L", (40, 30)), ("CMYK", (40, 30)), ("RGB", (1, 1))], 1
    ):
        files.append(tmp_path / f"image_{number:05d}.jpg")
        Image.new(mode, size, 128 if mode == "L" else (9, 99, 199, 9)[: len(mode)]).save(files[-1])
    table = describe(files, np.array([1, 2, 3]), tmp_path)
    assert table["width"].tolist() == [40, 40, 1]
    for row in table.itertuples():
        pixels = read_pixels(ImageRef(row.id, tmp_path / row.file, row.sha256), SMALL)
        assert pixels.shape == (32, 32, 3)
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) == 1, "one colour stays one"
    happened("listed with size and hash, and pixels of 32 x 32 x 3")


@pytest.mark.fault("labels and splits", "labels that are no MATLAB file", "named")
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
    sets = {"trnid": [[4]], "valid": [[3, 1]], "tstid": [[2, 5, 6]]}
    scipy.io.savemat(tmp_path / "s.mat", {name: np.array(ids) for name, ids in sets.items()})
    found = {name: ids.tolist() for name, ids in read_official_split(tmp_path / "s.mat").items()}
    assert found == {"train": [4], "validation": [3, 1], "test": [2, 5, 6]}


def table_of(labels, per_label):
    ids = np.arange(1, labels * per_label + 1)
    return pd.DataFrame({"id": ids, "label": np.repeat(np.arange(1, labels + 1), per_label)})


@given(st.integers(2, 12), st.integers(8, 40), st.integers(0, 2**31), st.booleans())
@settings(deadline=None, max_examples=50)
def test_drawn_splits_cover_each_image_once(labels, per_label, seed, stratified):
    # So many that a random draw passes over no label.
    per_label *= 1 if stratified else 10
    images = table_of(labels, per_label)
    # In no order, so that neither an id nor a label is told by its place.
    images = images.assign(id=3 * images["id"]).sample(frac=1, random_state=0, ignore_index=True)
    kind = "stratified" if stratified else "random"
    split = split_images(images, kind=kind, validation=0.25, test=0.25, seed=seed)
    assert split[["id", "label"]].equals(images.sort_values("id", ignore_index=True))
    quarter = -(-len(images) // 4)
    drawn = drawn_twice(
        images["label"].to_numpy(),
        test=quarter,
        validation=quarter,
        seed=seed,
        stratified=stratified,
    )
    for name, places in zip(SPLITS, drawn, strict=True):
        assert set(split.loc[split["split"] == name, "id"]) == set(images["id"].iloc[places])
    sizes = split["split"].value_counts()
    assert sizes["test"] == quarter
    assert sizes["validation"] == quarter
    if stratified:
        share = split[split["split"] == "test"].groupby("label").size()
        assert (share - per_label / 4).abs().max() < 1


def test_official_size_of_the_reports_split():
    images = pd.DataFrame({"id": np.arange(1, 8190), "label": np.arange(8189) % 102 + 1})
    sizes = split_images(images, kind="random", validation=0.25, test=0.25, seed=1)
    counts = sizes["split"].value_counts().to_dict()
    assert counts == {"train": 4093, "test": 2048, "validation": 2048}


def labelled(*counts):
    """Return a table of so many images of label 1, 2 and so on."""
    labels = np.repeat(np.arange(1, len(counts) + 1), counts)
    return pd.DataFrame({"id": np.arange(1, len(labels) + 1), "label": labels})


@pytest.mark.fault(
    "labels and splits",
    "a label of too few images for three sets",
    "refused by name before anything is computed, with how many it needs",
)
@pytest.mark.parametrize(
    ("kind", "shares", "least"),
    [
        ("stratified", (0.25, 0.25), 4),
        ("stratified", (0.1, 0.3), 10),
        ("stratified", (0.45, 0.45), 10),
        ("random", (0.25, 0.25), 3),
        ("official", (0.25, 0.25), 3),
    ],
)
def test_a_label_of_too_few_images_is_refused_by_name(kind, shares, least):
    check_counts(labelled(40, least), kind, *shares)
    few = labelled(40, 2, 40, least - 1, 1, 1, 1, 1)
    with pytest.raises(UserError, match=f"needs {least} images of a label") as caught:
        check_counts(few, kind, *shares)
    assert (
        f"label 2 has 2, label 4 has {least - 1}, label 5 has 1, label 6 has 1, label 7 has 1, "
        "and 1 more. Add images of it, or leave the label out"
    ) in str(caught.value)
    with pytest.raises(UserError, match="label 2 has 2"):
        split_images(few, kind=kind, validation=shares[0], test=shares[1], seed=1)


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=2, max_size=20),
    st.sampled_from([(0.25, 0.25), (0.2, 0.2), (0.1, 0.1), (0.15, 0.3)]),
    st.integers(0, 2**31),
)
def test_a_stratified_split_of_so_many_images_has_every_label_in_every_set(more, shares, seed):
    least = int(np.ceil(1 / min(shares)))
    images = labelled(*(least + extra for extra in more))
    split = split_images(images, kind="stratified", validation=shares[0], test=shares[1], seed=seed)
    assert (pd.crosstab(split["label"], split["split"]) > 0).all(axis=None)


@pytest.mark.fault(
    "labels and splits",
    "a draw that looks at no labels leaves a set without images of one",
    "refused by name, with the way out",
)
def test_a_random_split_without_images_of_a_label_is_refused(happened):
    images = labelled(40, 3)
    refused = 0
    for seed in range(20):
        try:
            split = split_images(images, kind="random", validation=0.25, test=0.25, seed=seed)
        except UserError as error:
            assert "random: label 2 has none of its 3 images in" in str(error)
            assert "set flowers.split.kind: stratified" in str(error)
            refused += 1
        else:
            assert set(split.loc[split["label"] == 2, "split"]) == set(SPLITS)
    assert 0 < refused < 20
    happened(f"{refused} of 20 draws refused by name; in the others every set has one")


@pytest.mark.fault(
    "labels and splits", "an official split with a set without images of a label", "refused by name"
)
def test_an_official_split_without_images_of_a_label_is_refused():
    sets = {"train": np.array([1, 2, 4]), "validation": np.array([3]), "test": np.array([5, 6])}
    with pytest.raises(UserError, match="official: label 1 has none of its 3 images in test") as e:
        split_images(labelled(3, 3), kind="official", validation=0, test=0, seed=0, official=sets)
    assert "label 2 has none of its 3 images in validation" in str(e.value)


@pytest.mark.fault("labels and splits", "an official split that leaves an image out", "named")
def test_official_split_must_cover_the_images():
    images = table_of(1, 6).iloc[::-1].reset_index(drop=True)
    sets = {"train": np.array([1, 2]), "validation": np.array([3]), "test": np.array([4, 5, 6])}
    split = split_images(images, kind="official", validation=0, test=0, seed=0, official=sets)
    assert split["id"].tolist() == [1, 2, 3, 4, 5, 6]
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
    manifest = lay_out(images[::-1], split, tmp_path, tmp_path / "folders")
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

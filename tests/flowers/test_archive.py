"""Images out of an archive: what is taken, what is refused, and how they are listed."""

import gzip
import io
import struct
import tarfile
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from photos import pack
from repro.errors import UserError
from repro.features.backbones import Preprocess
from repro.features.pixels import DamagedImageError, read_pixels
from repro.flowers import archive as flowers
from repro.flowers.archive import describe, extract
from repro.flowers.images import ImageRef
from repro.flowers.labels import read_labels
from repro.system.files import hash_of


def jpeg(colour=(200, 40, 90), size=(40, 30)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, "JPEG")
    return stream.getvalue()


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
        with pytest.raises(UserError, match=r"bad\.tgz: cannot be unpacked, .*out of its folder"):
            extract(bad, folder)
    assert not [file for file in tmp_path.rglob("image_00009.jpg") if folder not in file.parents]
    happened("no file outside the folder")


@pytest.mark.fault("archives and images", "a link out of the archive", "refused")
def test_links_out_of_the_archive_are_refused(tmp_path):
    link = tarfile.TarInfo("jpg/image_00001.jpg")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    image = ("jpg/image_00002.jpg", jpeg())
    with pytest.raises(UserError, match=r"bad\.tgz: cannot be unpacked, it holds a link"):
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
    with pytest.raises(UserError, match="photographs; delete it and run again") as caught:
        extract(archive, folder)
    assert str(archive) in str(caught.value)
    return str(caught.value)


@pytest.mark.fault(
    "archives and images", "an archive whose one image is larger than any photograph", "refused"
)
def test_a_huge_image_in_an_archive_is_refused(tmp_path):
    member = tarfile.TarInfo("jpg/image_00001.jpg")
    member.size = flowers.MAX_BYTES_OF_A_MEMBER + 1
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
    monkeypatch.setattr(flowers, "MIN_BOUND", 100_000)
    zeros = [(f"jpg/image_{n:05d}.jpg", bytes(20_000)) for n in range(1, 9)]
    message = refused(pack(tmp_path / "bad.tgz", zeros), tmp_path / "images")
    assert "unpacks to more than 100,000 bytes" in message
    # Members that are no images count too: they take time.
    others = [(f"notes/{n}", bytes(20_000)) for n in range(1, 9)]
    assert "more than 100,000 bytes" in refused(pack(tmp_path / "b.tgz", others), tmp_path / "i")


@pytest.mark.fault("archives and images", "an archive of millions of members", "stopped on the way")
def test_an_archive_of_too_many_members_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(flowers, "MAX_MEMBERS", 5)
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
    with pytest.raises(
        UserError, match=r"bad\.tgz: cannot be unpacked, it is damaged.*fetch it.*CRC"
    ):
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
    with pytest.raises(UserError, match=r"4 images but 5 labels: no image for label 5\."):
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
    with pytest.raises(UserError, match=r"4 images but 3 labels: no label for image 4\."):
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
    with pytest.raises(
        UserError, match=r"image_00001\.jpg: more than 178,956,970 pixels, which no photograph has"
    ):
        describe([file], np.array([1]), tmp_path)
    with pytest.raises(DamagedImageError, match="more than 178,956,970 pixels"):
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


def test_real_photographs(photographs, tmp_path):
    labels = read_labels(photographs / "imagelabels.mat")
    files = extract(photographs / "102flowers.tgz", tmp_path / "images")
    table = describe(files, labels, tmp_path, workers=2)
    assert len(table) == len(labels) == 1780
    assert table["label"].nunique() == 89

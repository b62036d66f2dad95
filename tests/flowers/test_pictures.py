"""Pictures of one's own: what is found in a folder or a table, and whether anything has changed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from repro.errors import UserError
from repro.flowers import gather, pictures
from repro.flowers.decode import rgb
from scripts_support import run_rule

RED = (200, 20, 30)


def put(folder, *names, colour=RED):
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 8), colour).save(file)


@pytest.fixture
def mine(tmp_path):
    """Two classes in folders whose names no shell likes."""
    folder = tmp_path / "my {flowers}"
    put(folder, "Gänse blümchen/b.png", "Gänse blümchen/sub/a.JPG", "薔薇/x y.webp", "薔薇/z.tif")
    return folder


def found_in(folder, **options):
    found = pictures.find(str(folder), None, **options)
    return [(picture.name, picture.kind, picture.set) for picture in found.pictures]


class TestFolders:
    def test_the_folder_is_the_class(self, mine):
        assert found_in(mine) == [
            ("Gänse blümchen/b.png", "Gänse blümchen", ""),
            ("Gänse blümchen/sub/a.JPG", "Gänse blümchen", ""),
            ("薔薇/x y.webp", "薔薇", ""),
            ("薔薇/z.tif", "薔薇", ""),
        ]

    def test_a_mac_spells_umlauts_in_two(self, mine):
        (mine / "Gänse blümchen").rename(mine / "Ga\u0308nse blu\u0308mchen")
        assert {kind for _, kind, _ in found_in(mine)} == {"Gänse blümchen", "薔薇"}

    @pytest.mark.fault(
        "strange machines",
        "a pipe, and links to what is gone or to themselves, among pictures of one's own",
        "passed over and counted",
    )
    def test_what_is_no_file_is_passed_over(self, mine, happened):
        whole = found_in(mine)
        os.mkfifo(mine / "薔薇/pipe.png")
        (mine / "薔薇/gone.png").symlink_to("/nowhere/gone.png")
        (mine / "薔薇/self.png").symlink_to("self.png")
        (mine / "薔薇/all").symlink_to(mine)
        assert found_in(mine) == whole
        counts = pictures.find(str(mine), None).passed_over
        assert counts == {pictures.NO_FILE: 3}
        happened(pictures.passed_over(counts))

    def test_what_is_passed_over_is_counted(self, mine):
        put(mine, ".trash/a.png", "薔薇/.hidden.png", "loose.png")
        for name in ("Thumbs.db", "薔薇/IMG.HEIC", "薔薇/other.heic", "README"):
            (mine / name).write_text("")
        counts = pictures.find(str(mine), None).passed_over
        assert counts == {
            ".db": 1,
            ".heic": 2,
            pictures.HIDDEN: 2,
            pictures.LOOSE: 1,
            pictures.NO_SUFFIX: 1,
        }
        assert "2 .heic" in pictures.passed_over(counts)

    def test_folders_that_are_numbers_are_in_numeric_order(self, tmp_path):
        put(tmp_path, "10/a.png", "9/a.png")
        assert pictures.find(str(tmp_path), None).kinds == ["9", "10"]

    def test_a_link_to_above_is_walked_once(self, mine):
        (mine / "薔薇/again").symlink_to(mine)
        assert len(found_in(mine)) == 4

    @pytest.mark.parametrize("validation", ["validation", "val", "Valid"])
    def test_sets_that_are_there_are_the_split(self, tmp_path, validation):
        for name, own in {"train": "train", validation: "validation", "test": "test"}.items():
            put(tmp_path, *(f"{name}/{kind}/{own}.png" for kind in "ab"))
        assert found_in(tmp_path) == [
            (f"{name}/{kind}/{own}.png", kind, own)
            for kind in "ab"
            for name, own in sorted(
                {"train": "train", validation: "validation", "test": "test"}.items()
            )
        ]

    def test_a_class_called_train(self, tmp_path):
        put(tmp_path, "train/a.png", "bus/a.png")
        assert found_in(tmp_path) == [("bus/a.png", "bus", ""), ("train/a.png", "train", "")]

    def test_a_set_is_missing(self, tmp_path):
        put(tmp_path, "train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/1.png")
        with pytest.raises(UserError, match="has no validation/; make it, or put"):
            found_in(tmp_path)

    def test_no_classes(self, tmp_path):
        put(tmp_path, "a.png", "b.png")
        with pytest.raises(UserError, match=r"pictures of 0 classes.*CLASS/any picture"):
            found_in(tmp_path)

    def test_no_folder(self, tmp_path):
        with pytest.raises(UserError, match="there is no such folder"):
            found_in(tmp_path / "none")


class TestTable:
    def table(self, folder, text, encoding="utf-8"):
        file = folder / "labels.csv"
        file.write_text(text, encoding=encoding)
        return str(file)

    def test_as_a_spreadsheet_writes_it(self, mine):
        text = "class;split;file\r\nä;train;薔薇/z.tif\r\nb;val;薔薇/x y.webp\r\n"
        table = self.table(mine, text, "utf-8-sig")
        found = pictures.find(None, table).pictures
        assert [(one.name, one.kind, one.set) for one in found] == [
            ("薔薇/x y.webp", "b", "validation"),
            ("薔薇/z.tif", "ä", "train"),
        ]

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("file,kind\n", "has no column class; .* found file, kind"),
            ("file,class\n薔薇/z.tif,\n", "line 2: no class"),
            ("file,class\nnone.png,a\n", "line 2: there is no file .*none.png"),
            ("file,class\n薔薇/z.tif,a\n薔薇/z.tif,b\n", "line 3: 薔薇/z.tif stands in it twice"),
            ("file,class,split\n薔薇/z.tif,a,dev\n", "line 2: split is 'dev'"),
        ],
    )
    def test_what_is_wrong_in_it(self, mine, text, words):
        with pytest.raises(UserError, match=words):
            pictures.find(None, self.table(mine, text))


SPLIT = {"kind": "stratified", "validation": 0.25, "test": 0.25}


class TestSmallClasses:
    def test_named_before_anything_runs(self, tmp_path):
        put(tmp_path, *(f"rose/{i}.png" for i in range(4)), *(f"lily/{i}.png" for i in range(3)))
        found = pictures.find(str(tmp_path), None)
        with pytest.raises(UserError, match=r"lily \(3\); a class needs at least 4.*skip.*train"):
            pictures.check(found, SPLIT, "stop")
        pictures.check(found, SPLIT, "train")

    def test_sets_that_are_there_need_one_in_each(self, tmp_path):
        for name in ("train", "val", "test"):
            put(tmp_path, *(f"{name}/{kind}/1.png" for kind in "ab"), f"{name}/c{name[0]}/1.png")
        found = pictures.find(str(tmp_path), None)
        with pytest.raises(UserError, match=r"ct \(2\), cv \(1\); a class needs one in each set"):
            pictures.check(found, SPLIT, "stop")

    def test_further_splits_of_sets_that_are_there(self, tmp_path):
        for name in ("train", "val", "test"):
            put(tmp_path, *(f"{name}/{kind}/1.png" for kind in "ab"))
        with pytest.raises(UserError, match="2 splits are asked for"):
            pictures.check(pictures.find(str(tmp_path), None), SPLIT, "stop", splits=2)

    @pytest.mark.parametrize(
        ("on_small", "labels", "only_trained_on"),
        [("skip", [1, 3], {}), ("train", [1, 2, 3], {"lily": 2})],
    )
    def test_the_rule_leaves_them_out_or_trains_on_them_alone(
        self, tmp_path, on_small, labels, only_trained_on
    ):
        mine = tmp_path / "mine"
        put(mine, *(f"{kind}/{i}.png" for kind in ("iris", "rose") for i in range(5)))
        put(mine, *(f"lily/{i}.png" for i in range(3)), "loose.png")
        # Small only once it is opened.
        (mine / "lily/0.png").write_bytes(b"no picture")
        names = ("images.csv", "seen.csv", "names.csv", "damaged.json", "left_out.json")
        run_rule(
            "gather_pictures",
            tmp_path,
            input={},
            output={name.partition(".")[0]: tmp_path / name for name in names},
            params={
                "folders": str(mine),
                "table": None,
                "on_damaged": "skip",
                "on_small": on_small,
            },
            config={"flowers": {"split": SPLIT}},
        )
        images = pd.read_csv(tmp_path / "images.csv")
        assert sorted(set(images["label"])) == labels
        assert all((mine / name).is_file() for name in images["name"])
        # A picture keeps its number, whatever is left out before it.
        lilies = [7, 8] if 2 in labels else []
        assert images["id"].tolist() == [*range(1, 6), *lilies, *range(9, 14)]
        small = images["label"] == 2
        if on_small == "train":
            assert images["split"][small].tolist() == ["train"] * 2
            assert images["split"][~small].isna().all()
        kinds = pd.read_csv(tmp_path / "names.csv").set_index("label")["name"].to_dict()
        assert kinds == {1: "iris", 2: "lily", 3: "rose"}
        assert len(pd.read_csv(tmp_path / "seen.csv")) == 13
        assert json.loads((tmp_path / "damaged.json").read_text()) == ["lily/0.png"]
        assert json.loads((tmp_path / "left_out.json").read_text()) == {
            "passed_over": {pictures.LOOSE: 1},
            "skipped": {"lily": 2} if on_small == "skip" else {},
            "only_trained_on": only_trained_on,
        }


@pytest.mark.fault(
    "strange machines",
    "a picture of one's own that may not be read, or goes while it is looked at",
    "named before anything runs",
)
def test_a_picture_that_cannot_be_read_is_named(mine, tmp_path, happened):
    found = pictures.find(str(mine), None).pictures
    (mine / "薔薇/z.tif").unlink()
    with pytest.raises(UserError, match=r"z\.tif: there is no such file") as refused:
        pictures.fingerprint(found, tmp_path / "seen.csv")
    happened(refused)


def test_a_fingerprint_changes_with_content_alone(mine, tmp_path):
    seen = tmp_path / "seen.csv"
    first = pictures.find(str(mine), None)
    before = pictures.fingerprint(first.pictures, seen)
    gather.describe(first, on_damaged="stop").seen.to_csv(seen, index=False)
    assert pictures.fingerprint(first.pictures, seen) == before

    file = mine / "薔薇/z.tif"
    os.utime(file, (1, 1))
    assert pictures.fingerprint(first.pictures, seen) == before
    put(mine, "薔薇/z.tif", colour=(0, 0, 0))
    changed = pictures.fingerprint(first.pictures, seen)
    assert changed != before
    file.rename(mine / "Gänse blümchen/z.tif")
    moved = pictures.find(str(mine), None)
    assert pictures.fingerprint(moved.pictures, seen) not in (before, changed)


class TestDescribe:
    def test_damaged_by_the_users_own_path(self, mine):
        (mine / "薔薇/z.tif").write_bytes(b"II*\0 and no more")
        found = pictures.find(str(mine), None)
        with pytest.raises(
            UserError, match=r"my \{flowers\}/薔薇/z\.tif: damaged, or not a whole picture"
        ):
            gather.describe(found, on_damaged="stop")
        opened = gather.describe(found, on_damaged="skip")
        assert opened.damaged == ["薔薇/z.tif"]
        assert opened.table["name"].tolist() == [one.name for one in found.pictures[:3]]
        assert "split" not in opened.table

    def test_the_sets_it_lies_in_are_those_it_is_in(self, tmp_path):
        put(
            tmp_path,
            *(f"{name}/{kind}/1.png" for name in ("train", "val", "test") for kind in "ab"),
        )
        opened = gather.describe(pictures.find(str(tmp_path), None), on_damaged="stop").table
        found = {
            Path(row.name).parts[0]: row.split
            for row in opened[["name", "split"]].itertuples(index=False)
        }
        assert found == {"train": "train", "val": "validation", "test": "test"}

    def test_sizes_are_those_of_the_upright_picture(self, mine):
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.new("RGB", (12, 8)).save(mine / "薔薇/turned.jpg", exif=exif)
        opened = gather.describe(pictures.find(str(mine), None), on_damaged="stop").table
        row = opened.set_index("name").loc["薔薇/turned.jpg"]
        assert (row["width"], row["height"]) == (8, 12)


class TestDecode:
    """What is seen of pictures that are no plain RGB."""

    def test_upright(self, tmp_path):
        pixels = np.zeros((4, 6, 3), np.uint8)
        pixels[0] = 255  # the top, once it is turned to the right, is at the right
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
        seen = np.asarray(rgb(Image.open(tmp_path / "a.png")))
        assert seen.shape == (6, 4, 3)
        assert (seen[:, -1] == 255).all()
        assert (seen[:, :-1] == 0).all()

    def test_16_bits_are_scaled(self, tmp_path):
        values = np.array([[0, 257, 32768, 65535]], np.uint16)
        Image.fromarray(values).save(tmp_path / "a.png")
        assert np.asarray(rgb(Image.open(tmp_path / "a.png")))[0, :, 0].tolist() == [0, 1, 128, 255]

    def test_transparent_is_laid_on_white(self, tmp_path):
        image = Image.new("RGBA", (2, 1), (200, 0, 0, 255))
        image.putpixel((1, 0), (0, 0, 0, 0))
        image.save(tmp_path / "a.png")
        seen = np.asarray(rgb(Image.open(tmp_path / "a.png")))
        assert seen[0].tolist() == [[200, 0, 0], [255, 255, 255]]

    def test_numbers_without_a_white(self, tmp_path):
        Image.fromarray(np.array([[0.5, 1e6]], np.float32)).save(tmp_path / "a.tif")
        with pytest.raises(ValueError, match=r"its values go from 0\.5 to 1e"):
            rgb(Image.open(tmp_path / "a.tif"))

"""The synthetic flowers: their archive, their kinds, and how hard they are to tell apart."""

import io
import os
import runpy
import sys
import tarfile
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.io import loadmat
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from repro.flowers import synthetic
from repro.flowers.synthetic import KINDS, draw_flowers, kind, official_split, paint
from repro.system.files import hash_of
from scripts_support import run_rule
from support import ROOT

SMALL = {"kinds": 5, "images_per_kind": 4, "seed": 3, "sides": (64, 80)}
NAMES = ("102flowers.tgz", "imagelabels.mat", "setid.mat")
FORMS = 17


def draw(folder, **changes):
    folder.mkdir(exist_ok=True)
    files = [folder / name for name in NAMES]
    draw_flowers(*files, **(SMALL | changes))
    return files


def pictures(archive):
    with tarfile.open(archive) as tar:
        return [tar.extractfile(entry).read() for entry in tar]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("drawn"))


def test_the_rule_names_each_label_by_its_kind(tmp_path):
    names = {"archive": NAMES[0], "labels": NAMES[1], "setid": NAMES[2], "names": "names.csv"}
    files = {key: tmp_path / name for key, name in names.items()}
    run_rule(
        "draw_flowers",
        tmp_path,
        input={},
        output=files,
        params={"kinds": 2, "images_per_kind": 4, "seed": 3},
        threads=2,
    )
    labels = np.unique(loadmat(files["labels"])["labels"]).tolist()
    found = pd.read_csv(files["names"]).set_index("label")["name"].to_dict()
    assert found == {label: kind(label).name for label in labels}


def test_archive_has_the_official_layout_no_time_and_no_owner(drawn):
    assert drawn[0].read_bytes()[4:8] == b"\0\0\0\0", "gzip's time"
    with tarfile.open(drawn[0], "r:gz") as tar:
        entries = tar.getmembers()
    assert [entry.name for entry in entries] == [f"jpg/image_{n:05d}.jpg" for n in range(1, 21)]
    assert all(entry.isfile() and entry.mode == 0o644 for entry in entries)
    assert {(e.mtime, e.uid, e.gid, e.uname, e.gname) for e in entries} == {(0, 0, 0, "", "")}


def test_images_are_jpegs_of_the_asked_sides_in_both_orientations(drawn):
    sizes = []
    for content in pictures(drawn[0]):
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            assert (image.format, image.mode) == ("JPEG", "RGB")
            sizes.append(image.size)
    assert all(min(size) == 64 and max(size) <= 80 for size in sizes)
    assert {width > height for width, height in sizes} == {True, False}


def test_labels_and_sets_have_the_official_form(drawn):
    labels, sets = loadmat(drawn[1])["labels"], loadmat(drawn[2])
    assert (labels.dtype, labels.shape) == (np.uint8, (1, 20))
    assert np.bincount(labels[0]).tolist() == [0, 4, 4, 4, 4, 4]
    assert np.count_nonzero(np.diff(labels)) == 4, "a kind's images follow one another"
    assert {name for name in sets if name[0] != "_"} == {"trnid", "valid", "tstid"}
    assert (sets["tstid"].dtype, sets["tstid"].shape) == (np.uint16, (1, 10))


@pytest.mark.parametrize(("images", "share"), [(4, 1), (20, 5), (60, 10), (30_000, 10)])
def test_split_gives_each_label_its_share(images, share):
    order = np.repeat([2, 3, 1], images)
    parts = official_split(order, np.random.default_rng(0))
    ids = np.concatenate([part[0] for part in parts.values()])
    assert sorted(ids) == list(range(1, len(order) + 1)), "every image in one part, once"
    for name in ("trnid", "valid"):
        assert np.array_equal(order[parts[name][0] - 1], np.repeat([1, 2, 3], share))


@pytest.mark.parametrize("name", ["imagelabels", "setid"])
def test_mat_files_have_the_official_variables(drawn, name):
    folder = os.environ.get("FLOWERS102_OFFICIAL")
    if not folder:
        pytest.skip("set FLOWERS102_OFFICIAL to a folder with NAME-official.mat, NAME as here")
    files = Path(folder) / f"{name}-official.mat", drawn[NAMES.index(f"{name}.mat")]
    theirs, ours = (
        {k: (v.dtype, v.ndim) for k, v in loadmat(file).items() if k[0] != "_"} for file in files
    )
    assert theirs == ours


def test_same_seed_gives_the_same_bytes_whatever_the_workers(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 2e9)  # another day
    again, other = draw(tmp_path / "again", workers=2), draw(tmp_path / "other", seed=4)
    assert [hash_of(file) for file in again] == [hash_of(file) for file in drawn]
    assert not set(pictures(other[0])) & set(pictures(drawn[0]))


def test_a_picture_does_not_depend_on_how_many_are_drawn(drawn, tmp_path):
    fewer, more = (
        set(zip(loadmat(files[1])["labels"][0], pictures(files[0]), strict=True))
        for files in (draw(tmp_path, kinds=2, images_per_kind=5), drawn)
    )
    assert len(fewer & more) == 8, "four of each kind"


def test_a_failure_leaves_no_archive(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(synthetic, "paint", fail)
    with pytest.raises(OSError, match="disk full"):
        draw(tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_two_kinds_are_alike_and_forms_look_unlike_without_colours():
    kinds = [vars(kind(label)) for label in range(1, KINDS + 1)]

    def looks(*but):
        return {tuple(k[trait] for trait in k if trait not in ("name", *but)) for k in kinds}

    assert len(looks()) == len({k["name"] for k in kinds}) == KINDS
    assert len(looks("form", "colour", "heart", "second")) >= 2 * FORMS
    forms = {
        k["colour"]: {other["form"] for other in kinds if other["colour"] == k["colour"]}
        for k in kinds
    }
    assert np.median([len(some) for some in forms.values()]) >= 4, "a colour serves several forms"


def test_every_kind_is_painted_at_any_size_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for label in range(1, KINDS + 1):
            size = [(64, 64), (64, 200), (200, 65)][label % 3]
            picture = paint(kind(label), size, np.random.default_rng(label))
            assert (picture.shape, picture.dtype) == ((size[1], size[0], 3), np.uint8)
            assert picture.std() > 3, f"on the picture of kind {label} something is to be seen"


def test_mean_colour_does_not_tell_the_kinds():
    each, kinds = 12, 2 * FORMS  # two of each form, which share their colour
    labels = np.repeat(np.arange(1, kinds + 1), each)
    pixels = [
        paint(kind(int(label)), (64, 64), np.random.default_rng([0, place])).reshape(-1, 3)
        for place, label in enumerate(labels)
    ]
    train = np.arange(len(labels)) % each < each // 2

    def accuracy(features):
        x = np.array(features)
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1)
        return float(model.fit(x[train], labels[train]).score(x[~train], labels[~train]))

    mean = accuracy([some.mean(axis=0) for some in pixels])
    bins, reach = (4, 4, 4), [(0, 256)] * 3
    spread = accuracy([np.sqrt(np.histogramdd(some, bins, reach)[0]).ravel() for some in pixels])
    said = f"of {kinds} kinds mean colour tells {mean:.1%}, the colours' distribution {spread:.1%}"
    print(said)
    assert mean < 0.2, said
    assert spread > 2 * mean, f"{said}: the kinds differ in nothing"


def test_script_draws_what_the_rule_asks(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # put back what the script sets
    files = [tmp_path / name for name in NAMES]
    names = tmp_path / "names.csv"
    rule = SimpleNamespace(
        output=SimpleNamespace(archive=files[0], labels=files[1], setid=files[2], names=names),
        params=SimpleNamespace(kinds=5, images_per_kind=4, seed=3),
        threads=1,
        log=[str(tmp_path / "draw.log")],
    )
    runpy.run_path(str(ROOT / "scripts/draw_flowers.py"), {"snakemake": rule}, "__main__")
    assert [hash_of(file) for file in files[1:]] == [hash_of(file) for file in drawn[1:]]
    assert len(pictures(files[0])) == 20
    assert names.read_text().splitlines()[:2] == ["label,name", "1,white daisy 1"]
    assert "5 kinds, 4 images each, seed 3" in (tmp_path / "draw.log").read_text()

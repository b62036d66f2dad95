"""The generated flowers: their archive, their kinds, and how hard they are to tell apart."""

import gzip
import io
import os
import runpy
import sys
import tarfile
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import loadmat
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from repro import generated
from repro.drawing.heads import head
from repro.drawing.kinds import FORMS, KINDS, LEAVES, Outline, kind
from repro.drawing.petals import Plane, Scene, edge, rgb, whorl
from repro.drawing.picture import paint
from repro.errors import UserError
from repro.generated import draw_flowers
from repro.system.files import hash_of

SMALL = {"kinds": 5, "images_per_kind": 4, "seed": 3, "sides": (64, 80)}
NAMES = ("102flowers.tgz", "imagelabels.mat", "setid.mat")


def draw(folder: Path, **changes: object) -> list[Path]:
    folder.mkdir(exist_ok=True)
    files = [folder / name for name in NAMES]
    draw_flowers(*files, **(SMALL | changes))
    return files


def pictures(archive: Path) -> list[bytes]:
    with tarfile.open(archive) as tar:
        return [tar.extractfile(entry).read() for entry in tar]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return draw(tmp_path_factory.mktemp("drawn"))


def scene(seed: int = 0, contrast: float = 0.1) -> Scene:
    return Scene(0.0, contrast, rgb(1, 1, 1), np.random.default_rng(seed))


# --- the archive ---------------------------------------------------------------------------------


def test_archive_has_the_official_layout(drawn: list[Path]) -> None:
    with tarfile.open(drawn[0], "r:gz") as tar:
        entries = tar.getmembers()
    assert [entry.name for entry in entries] == [f"jpg/image_{n:05d}.jpg" for n in range(1, 21)]
    assert all(entry.isfile() and entry.mode == 0o644 for entry in entries)


def test_images_are_jpegs_of_the_asked_sides_in_both_orientations(drawn: list[Path]) -> None:
    sizes = []
    for content in pictures(drawn[0]):
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            assert (image.format, image.mode) == ("JPEG", "RGB")
            sizes.append(image.size)
    assert all(min(size) == 64 and max(size) <= 80 for size in sizes)
    assert {width > height for width, height in sizes} == {True, False}


def test_labels_have_the_official_form(drawn: list[Path]) -> None:
    labels = loadmat(drawn[1])["labels"]
    assert (labels.dtype, labels.shape) == (np.uint8, (1, 20))
    assert np.bincount(labels[0]).tolist() == [0, 4, 4, 4, 4, 4]
    assert np.count_nonzero(np.diff(labels[0])) == 4, "a kind's images follow one another"


@pytest.mark.parametrize(("images_per_kind", "share"), [(3, 1), (4, 1), (20, 5), (60, 10)])
def test_setid_gives_each_kind_its_share(images_per_kind: int, share: int) -> None:
    rng = np.random.default_rng(0)
    order = np.repeat([2, 3, 1], images_per_kind)
    parts = generated._official_split(order, images_per_kind, rng)
    ids = np.concatenate([part[0] for part in parts.values()])
    assert sorted(ids) == list(range(1, len(order) + 1)), "every image in one part, once"
    for name in ("trnid", "valid"):
        assert np.array_equal(order[parts[name][0] - 1], np.repeat([1, 2, 3], share))
        assert parts[name].dtype == np.uint16


def test_setid_is_read_back_as_written(drawn: list[Path]) -> None:
    parts = loadmat(drawn[2])
    assert {name for name in parts if not name.startswith("__")} == {"trnid", "valid", "tstid"}
    assert parts["tstid"].shape == (1, 10) and parts["tstid"].dtype == np.uint16


@pytest.mark.parametrize("name", ["imagelabels", "setid"])
def test_mat_files_have_the_official_variables(drawn: list[Path], name: str) -> None:
    folder = os.environ.get("FLOWERS102_OFFICIAL")
    if not folder:
        pytest.skip("set FLOWERS102_OFFICIAL to a folder with NAME-official.mat, NAME as here")
    theirs, ours = (
        loadmat(Path(folder) / f"{name}-official.mat"),
        loadmat(drawn[NAMES.index(f"{name}.mat")]),
    )
    assert {k: (v.dtype, v.ndim) for k, v in theirs.items() if k[0] != "_"} == {
        k: (v.dtype, v.ndim) for k, v in ours.items() if k[0] != "_"
    }


# --- chance --------------------------------------------------------------------------------------


def test_same_seed_gives_the_same_bytes_whatever_the_workers(
    drawn: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 2e9)  # another day
    again = draw(tmp_path, workers=2)
    assert [hash_of(file) for file in again] == [hash_of(file) for file in drawn]


def test_archive_holds_no_time_and_no_owner(drawn: list[Path]) -> None:
    assert drawn[0].read_bytes()[4:8] == b"\0\0\0\0", "gzip's time"
    with gzip.open(drawn[0]) as packed, tarfile.open(fileobj=packed) as tar:
        assert {(e.mtime, e.uid, e.gid, e.uname, e.gname) for e in tar} == {(0, 0, 0, "", "")}


def test_another_seed_gives_other_pictures(drawn: list[Path], tmp_path: Path) -> None:
    other = draw(tmp_path, seed=4)
    assert not set(pictures(other[0])) & set(pictures(drawn[0]))


def test_a_picture_does_not_depend_on_how_many_are_drawn(drawn: list[Path], tmp_path: Path) -> None:
    def by_kind(files: list[Path]) -> dict[int, list[bytes]]:
        labels, images = loadmat(files[1])["labels"][0], pictures(files[0])
        return {k: [i for i, own in zip(images, labels, strict=True) if own == k] for k in (1, 2)}

    fewer = by_kind(draw(tmp_path, kinds=2, images_per_kind=3))
    more = by_kind(drawn)
    assert fewer == {label: images[:3] for label, images in more.items()}


# --- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kinds": 103}, "kinds is 103, expected 1 to 102"),
        ({"images_per_kind": 2}, "images_per_kind is 2, expected 3 or more"),
        ({"images_per_kind": 20000}, "uint16"),
        ({"seed": -1}, "seed is -1"),
        ({"sides": (400, 320)}, "the short side first"),
        ({"workers": 0}, "workers is 0"),
    ],
)
def test_impossible_numbers_are_refused(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        draw(tmp_path, **changes)
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_no_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(generated, "paint", fail)
    with pytest.raises(OSError, match="disk full"):
        draw(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("label", [0, 103, -1])
def test_there_are_102_kinds(label: int) -> None:
    with pytest.raises(UserError, match="from 1 to 102"):
        kind(label)


# --- the kinds -----------------------------------------------------------------------------------


def test_kinds_differ_in_what_is_drawn() -> None:
    kinds = [kind(label) for label in range(1, KINDS + 1)]
    assert [k.label for k in kinds] == list(range(1, KINDS + 1))
    drawn = {(k.habit, k.petals, k.petal, k.whorls, k.colour, k.pattern, k.centre) for k in kinds}
    assert len(drawn) == KINDS
    assert len({k.form for k in kinds[: len(FORMS)]}) == len(FORMS), "the first are all unlike"
    assert {k.leaf for k in kinds} == set(LEAVES)


def test_every_colour_serves_several_forms_and_every_pair_shares_one() -> None:
    forms: dict[object, set[str]] = {}
    for label in range(1, KINDS + 1):
        forms.setdefault(kind(label).colour, set()).add(kind(label).form)
    assert np.median([len(some) for some in forms.values()]) >= 4
    size = len(FORMS)
    for label in range(1, size + 1):
        for pair in (0, 2, 4):
            one, other = kind(label + pair * size), kind(label + (pair + 1) * size)
            assert one.colour == other.colour and one != other


def test_every_kind_is_drawn_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for label in range(1, KINDS + 1):
            stamp = head(kind(label), 30.0, scene(label))
            assert np.isfinite(stamp.rgb).all()
            assert 0.04 < stamp.alpha.mean() < 0.9, f"kind {label} covers its box by this"


# --- petals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("petals", [2, 3, 5, 8, 13, 34])
def test_a_whorl_has_as_many_petals_as_asked(petals: int) -> None:
    layer = whorl(ring(0.6), Outline(0.04, 0.6, 0.6), petals, scene(), mess=0)
    inside = layer.cover[0] > 0.5
    assert np.count_nonzero(inside & ~np.roll(inside, 1)) == petals


def ring(radius: float) -> Plane:
    angle = np.linspace(-np.pi, np.pi, 4000, endpoint=False, dtype=np.float32)[None]
    return Plane(np.full_like(angle, radius), angle, 0.001)


def test_each_petal_lies_over_the_next() -> None:
    layer = whorl(ring(0.6), Outline(0.62, 0.66, 0.42), 5, scene(contrast=0), mess=0)
    assert (layer.cover == 1).all()
    assert layer.across.max() > 0.95
    assert layer.across.min() > -0.8, "the other side lies under the neighbour"


@pytest.mark.parametrize("blunt", [0.35, 0.5, 0.9])
def test_edge_measures_the_distance_to_the_outline(blunt: float) -> None:
    outline = Outline(0.3, 0.5, blunt)
    middle = np.float32([0.5, 0.5, 0.5])
    side = np.float32([0.28, 0.30, 0.32])
    distance, across = edge(middle, side, outline, 0.0)
    assert distance == pytest.approx([0.02, 0.0, -0.02], abs=2e-3)
    assert across == pytest.approx([0.28 / 0.3, 1.0, 1.0], abs=1e-3)
    beyond, _ = edge(np.float32([-0.2, 1.2]), np.float32([0.0, 0.0]), outline, 0.0)
    assert (beyond < -0.1).all()


# --- the pictures --------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    label=st.integers(1, KINDS),
    width=st.integers(64, 200),
    height=st.integers(64, 200),
    seed=st.integers(0, 2**32),
)
def test_any_kind_can_be_painted_at_any_size(
    label: int, width: int, height: int, seed: int
) -> None:
    picture = paint(kind(label), (width, height), np.random.default_rng(seed))
    assert (picture.shape, picture.dtype) == ((height, width, 3), np.uint8)
    assert picture.std() > 3, "something is to be seen"


def test_mean_colour_does_not_tell_the_kinds() -> None:
    each, kinds = 12, 2 * len(FORMS)  # two of each form, which share their colour
    labels = np.repeat(np.arange(1, kinds + 1), each)
    pixels = [
        paint(kind(int(label)), (64, 64), np.random.default_rng([0, place])).reshape(-1, 3)
        for place, label in enumerate(labels)
    ]
    train = np.arange(len(labels)) % each < each // 2

    def accuracy(features: list[np.ndarray]) -> float:
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


# --- the script ----------------------------------------------------------------------------------


def test_script_draws_what_the_rule_asks(
    drawn: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # put back what the script sets
    files = [tmp_path / name for name in NAMES]
    names = tmp_path / "names.csv"
    rule = SimpleNamespace(
        output=SimpleNamespace(archive=files[0], labels=files[1], setid=files[2], names=names),
        params=SimpleNamespace(kinds=5, images_per_kind=4, seed=3),
        threads=1,
        log=[str(tmp_path / "draw.log")],
    )
    script = Path(__file__).parents[1] / "scripts" / "draw_flowers.py"
    runpy.run_path(str(script), {"snakemake": rule}, "__main__")
    assert [hash_of(file) for file in files[1:]] == [hash_of(file) for file in drawn[1:]]
    assert len(pictures(files[0])) == 20
    assert names.read_text().splitlines()[1] == "1,white daisy 1"
    assert "5 kinds, 4 images each, seed 3" in (tmp_path / "draw.log").read_text()

"""Readers of bytes that were not made here: they read them or say what is wrong, nothing else."""

from __future__ import annotations

import io
import json
import pickle
import resource
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save

from photos import make_photos
from repro.errors import UserError
from repro.features.backbones import Preprocess, build
from repro.features.extraction import extract
from repro.features.pixels import read_pixels
from repro.features.store import WorkingStore, read_features
from repro.features.weights import read_state
from repro.fetch.registry import load_registry
from repro.flowers.archive import describe
from repro.flowers.archive import extract as unpack
from repro.flowers.images import ImageRef, hash_of_images
from repro.flowers.labels import read_labels, read_official_split
from repro.mnist.checkpoint import load_checkpoint, save_checkpoint
from repro.mnist.images import read_idx
from repro.predictions import Predictions

GIB = 1 << 30
FUZZED = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

# Some bytes changed, cut off behind a place: (places and values, length as a share).
damages = st.tuples(
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=5),
    st.one_of(st.just(1.0), st.floats(0, 1)),
)


def damaged(whole: bytes, damage: tuple[list[tuple[float, int]], float]) -> bytes:
    changes, share = damage
    content = bytearray(whole)
    for place, value in changes:
        content[int(place * len(content))] = value
    return bytes(content[: round(share * len(content))])


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Let bytes that ask for gigabytes fail instead of taking the machine down."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + GIB, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="memory is bounded by what Linux's /proc tells"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bytes")


def read_or_refused(read: Callable[[], object], name: str) -> bool:
    """Return whether it was read; a refusal must name the file."""
    with bounded_memory():
        try:
            read()
        except UserError as error:
            assert name in str(error), error
            return False
    return True


# --- MNIST ---------------------------------------------------------------------------------------


@st.composite
def idx_files(draw: st.DrawFn) -> bytes:
    sizes = draw(st.lists(st.sampled_from([0, 1, 1, 2, 3, 2**31, 2**32 - 1]), max_size=80))
    header = bytes([0, 0, draw(st.sampled_from([8, 8, 8, 9]))]) + bytes([len(sizes)])
    return header + b"".join(n.to_bytes(4, "big") for n in sizes) + draw(st.binary(max_size=30))


@pytest.mark.fault(
    "MNIST files",
    "any bytes in place of an IDX file (fuzzed)",
    "read as their header says or named",
)
@FUZZED
@given(raw=st.one_of(st.binary(max_size=100), idx_files()))
def test_idx(folder, raw, happened):
    (folder / "f.idx").write_bytes(raw)
    read_or_refused(lambda: read_idx(folder / "f.idx"), "f.idx")
    happened("arrays or a refusal that names the file")


def test_idx_with_more_dimensions_than_numpy_has(folder):
    (folder / "f.idx").write_bytes(bytes([0, 0, 8, 200]) + (1).to_bytes(4, "big") * 200 + b"x")
    with pytest.raises(UserError, match=r"f\.idx: .*run again to fetch it"):
        read_idx(folder / "f.idx")


# --- labels and splits ---------------------------------------------------------------------------


def mat(compressed: bool, **variables: Any) -> bytes:
    stream = io.BytesIO()
    scipy.io.savemat(stream, variables, do_compression=compressed)
    return stream.getvalue()


SETS = {"trnid": [[1, 4]], "valid": [[2, 5]], "tstid": [[3, 6]], "labels": [[1, 2, 3, 1, 2, 3]]}


@pytest.mark.fault(
    "labels and splits", "a label that is 0, negative, a fraction, NaN or huge", "named"
)
@pytest.mark.parametrize("label", [0, -1, 2.5, np.nan, np.inf, 100_001, 2**63])
def test_a_label_out_of_range_is_named(folder, label):
    dtype = np.uint64 if label == 2**63 else None
    (folder / "l.mat").write_bytes(mat(True, labels=np.array([[1, 2, label]], dtype)))
    with pytest.raises(UserError, match=r"l\.mat: 'labels' is .* at place 3, expected whole"):
        read_labels(folder / "l.mat")


@pytest.mark.fault("labels and splits", "an image in two sets of the official split", "named")
def test_an_image_in_two_sets_is_named(folder):
    (folder / "setid.mat").write_bytes(mat(True, **{**SETS, "tstid": [[3, 4]]}))
    with pytest.raises(UserError, match=r"setid\.mat: image 4 stands in it more than once"):
        read_official_split(folder / "setid.mat")


# --- archives and images -------------------------------------------------------------------------


def jpegs() -> dict[str, bytes]:
    found = {}
    noise = np.random.default_rng(0).integers(0, 256, (24, 31, 4), dtype=np.uint8)
    for name, kind, mode in (
        ("rgb", "JPEG", "RGB"),
        ("grey", "JPEG", "L"),
        ("cmyk", "JPEG", "CMYK"),
        ("png", "PNG", "RGB"),
        ("gif", "GIF", "P"),
        ("webp", "WEBP", "RGB"),
        ("tiff", "TIFF", "RGB"),
    ):
        stream = io.BytesIO()
        Image.fromarray(noise[:, :, :3]).convert(mode).save(stream, kind)
        found[name] = stream.getvalue()
    return found


JPEGS = jpegs()


def packed(kind: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=f"w:{kind}") as tar:
        for number, content in enumerate((JPEGS["rgb"], JPEGS["grey"]), start=1):
            info = tarfile.TarInfo(f"jpg/image_{number:05d}.jpg")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


ARCHIVES = [packed(kind) for kind in ("gz", "bz2", "xz", "")]


@pytest.mark.fault(
    "archives and images",
    "any bytes of an archive changed, or its end cut off (fuzzed)",
    "unpacked or named; no file outside the folder",
)
@FUZZED
@given(whole=st.sampled_from(ARCHIVES), damage=damages)
def test_archives(folder, whole, damage, happened):
    place = folder / "unpacking"
    place.mkdir(exist_ok=True)
    (place / "a.tgz").write_bytes(damaged(whole, damage))
    read_or_refused(lambda: unpack(place / "a.tgz", place / "images"), "a.tgz")
    assert {file.name for file in place.iterdir()} <= {"a.tgz", "images"}
    shutil.rmtree(place)
    happened("images or a refusal that names the archive")


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.fault(
    "archives and images",
    "any bytes of an image changed, or its end cut off (fuzzed; JPEG, PNG, GIF, WebP, TIFF)",
    "decoded or named",
)
@FUZZED
@given(kind=st.sampled_from(sorted(JPEGS)), damage=damages)
def test_images(folder, kind, damage, happened):
    file = folder / "image_00001.jpg"
    file.write_bytes(damaged(JPEGS[kind], damage))
    small = Preprocess(resize=40, crop=32)
    read_or_refused(lambda: read_pixels(ImageRef(1, file, ""), small), file.name)
    read_or_refused(lambda: describe([file], np.array([1]), folder), file.name)
    happened("pixels or a refusal that names the image")


# --- the registry --------------------------------------------------------------------------------

REGISTRY = """files:
  a/b:
    sha256: "{hash}"
    size: 3
    description: &d [x]
    sources:
      - url: https://example.org/f
        md5: "00000000000000000000000000000000"
      - {{package: p==1, member: m/f, unpack: gzip}}
      - path: file:///data/f
""".format(hash="a" * 64).encode()

values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.sampled_from(
            ["a" * 64, "https://[", "file://[", "http://x", "p==1", "gzip", "../x", "\0"]
        ),
        st.text(max_size=5),
        st.dates(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["files", "sha256", "size", "sources", "url", "path", "package", "member", "unpack"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)


@pytest.mark.fault(
    "configuration",
    "any bytes or values in a registry of downloads (fuzzed)",
    "read or named",
)
@FUZZED
@given(
    raw=st.one_of(damages.map(lambda d: damaged(REGISTRY, d)), st.binary(max_size=60)), value=values
)
def test_registries(folder, raw, value, happened):
    file = folder / "registry.yaml"
    file.write_bytes(raw)
    read_or_refused(lambda: load_registry([file]), "registry.yaml")
    read_or_refused(lambda: load_registry([], {"x/y": value}), "the configuration: downloads: x/y")
    happened("entries or a refusal that names the file and the entry")


@pytest.mark.fault(
    "configuration", "a registry that unfolds without end (YAML aliases)", "named in few words"
)
def test_a_registry_that_unfolds_without_end(folder):
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for name, below in zip("bcdefghijklmnop", "abcdefghijklmno", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{below}'] * 9)}]")
    laughs = yaml.safe_load("\n".join(lines))
    with pytest.raises(UserError, match="must be a map of keys") as caught:
        load_registry([], {"x/y": laughs["p"]})
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("text", ["files: 2001-99-99", "files: !!int x", "[" * 5000, "a: !!bool x"])
def test_odd_values_of_yaml_are_named(folder, text):
    (folder / "registry.yaml").write_text(text)
    with pytest.raises(UserError, match=r"registry\.yaml"):
        load_registry([folder / "registry.yaml"])


# --- features ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A finished extraction, and one under way."""
    place = tmp_path_factory.mktemp("store")
    images = make_photos(place / "photos", 6)
    net = build("timm:test_resnet", None)
    files = extract(
        images, net, Preprocess(40, 32), place / "done", device=torch.device("cpu"), workers=1
    )
    begun = WorkingStore(place / "begun", images, {"width": 4, "images": 6})
    names = ("binding.json", "progress.json", "rows.npy")
    return SimpleNamespace(
        place=place,
        images=images,
        files=files,
        whole={file: file.read_bytes() for file in (files.features, files.ids, files.manifest)},
        begun={begun.folder / name: (begun.folder / name).read_bytes() for name in names},
    )


def changed_json(whole: bytes, key: str, value: Any) -> bytes:
    content = json.loads(whole)
    content[key] = value
    return json.dumps(content).encode()


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)


@pytest.mark.fault(
    "features",
    "any bytes of a finished store changed, or any value of its manifest (fuzzed)",
    "refused, or the same features",
)
@FUZZED
@given(
    which=st.integers(0, 2),
    damage=damages,
    key=st.sampled_from(["rows", "width", "images", "damaged", "features_sha256", "shard", "x"]),
    value=json_values,
    by_value=st.booleans(),
)
def test_finished_features(store, *, which, damage, key, value, by_value, happened):
    file = store.files.manifest if by_value else list(store.whole)[which]
    plain = store.whole[file]
    file.write_bytes(changed_json(plain, key, value) if by_value else damaged(plain, damage))
    digest = hash_of_images(store.images)

    def read() -> None:
        found = read_features(store.files.features, store.files.ids, store.files.manifest, digest)
        found.rows_of([1, 2])
        assert np.array_equal(
            found.features, np.load(io.BytesIO(store.whole[store.files.features]))
        )

    try:
        read_or_refused(read, "done")
    finally:
        file.write_bytes(plain)
    happened("the same features, or a refusal that names the store")


@pytest.mark.fault(
    "features",
    "any bytes or values of an unfinished store changed (fuzzed)",
    "gone on with, or refused with the way out",
)
@FUZZED
@given(
    which=st.integers(0, 2),
    damage=damages,
    key=st.sampled_from(["rows", "damaged", "x"]),
    value=json_values,
    by_value=st.booleans(),
)
def test_unfinished_features(store, *, which, damage, key, value, by_value, happened):
    file = list(store.begun)[1 if by_value else which]
    plain = store.begun[file]
    file.write_bytes(changed_json(plain, key, value) if by_value else damaged(plain, damage))
    bound = {"width": 4, "images": 6}

    def read() -> None:
        found = WorkingStore(store.place / "begun", store.images, bound)
        assert 0 <= found.rows_done <= 6

    try:
        read_or_refused(read, "begun")
    finally:
        for one, content in store.begun.items():
            one.write_bytes(content)
    happened("it goes on, or a refusal that says which folder to delete")


@pytest.mark.fault("features", "a manifest that is JSON but no list of facts", "named")
@pytest.mark.parametrize("text", ["[]", "7", "null", '"x"', "{}", "[" * 100_000])
def test_a_manifest_that_is_none_is_named(store, text):
    store.files.manifest.write_text(text)
    try:
        with pytest.raises(UserError, match=r"manifest\.json.*delete .*done and run again"):
            read_features(
                store.files.features,
                store.files.ids,
                store.files.manifest,
                hash_of_images(store.images),
            )
    finally:
        store.files.manifest.write_bytes(store.whole[store.files.manifest])


@pytest.mark.fault(
    "kills",
    "the notes of an unfinished extraction are damaged",
    "named, with the folder to delete",
)
@pytest.mark.parametrize("name", ["binding.json", "progress.json", "rows.npy"])
@pytest.mark.parametrize("content", [b"", b"[]", b'{"rows": 99, "damaged": {}}', b"\x93NUMPY"])
def test_damaged_notes_of_an_extraction_are_named(store, name, content):
    file = store.place / "begun" / name
    file.write_bytes(content)
    try:
        with pytest.raises(UserError, match=r"begun.*[dD]elete the folder .*begun"):
            WorkingStore(store.place / "begun", store.images, {"width": 4, "images": 6})
    finally:
        file.write_bytes(store.begun[file])


# --- weights, checkpoints, predictions -----------------------------------------------------------

STATE = {"conv.weight": torch.arange(6.0).reshape(2, 3), "conv.bias": torch.zeros(2)}


def pth(state: object, zipped: bool = True) -> bytes:
    stream = io.BytesIO()
    torch.save(state, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


WEIGHTS = {
    "zip.pth": pth(STATE),
    "old.pth": pth({"state_dict": STATE}, zipped=False),
    "plain.pth": pickle.dumps({"a": [1, 2.5, ("b", None)]}, protocol=2),
    "w.safetensors": save(STATE),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.fault(
    "weights",
    "any bytes of a weights file changed, or its end cut off (fuzzed; .pth, .safetensors)",
    "tensors by name or named",
)
@FUZZED
@given(name=st.sampled_from(sorted(WEIGHTS)), damage=damages)
def test_weights(folder, name, damage, happened):
    (folder / name).write_bytes(damaged(WEIGHTS[name], damage))
    read_or_refused(lambda: read_state(folder / name), name)
    happened("tensors or a refusal that names the file")


@pytest.mark.fault(
    "checkpoints",
    "any bytes of a checkpoint changed, or its end cut off (fuzzed)",
    "the same state, or refused",
)
@FUZZED
@given(damage=damages)
def test_checkpoints(folder, damage, happened):
    path, state = folder / "c.npz", {"a": np.arange(6.0), "key": np.array(3)}
    save_checkpoint(path, {"seed": 1}, state)
    path.write_bytes(damaged(path.read_bytes(), damage))

    def read() -> None:
        found = load_checkpoint(path, {"seed": 1})
        assert found is not None
        assert all(np.array_equal(found[name], state[name]) for name in state)

    read_or_refused(read, "c.npz")
    happened("the same state, or a refusal that names the file")


@pytest.mark.parametrize("header", ["[]", "7", "{}", '{"configuration": [], "names": []}', "nul"])
def test_a_checkpoint_with_another_header_is_refused(folder, header):
    np.savez(folder / "c.npz", header=np.array(header))
    with pytest.raises(UserError, match=r"c\.npz: damaged, or not a whole checkpoint"):
        load_checkpoint(folder / "c.npz", {"seed": 1})


@pytest.mark.fault(
    "checkpoints",
    "any bytes of predictions changed, or their end cut off (fuzzed)",
    "the same predictions, or refused",
)
@FUZZED
@given(damage=damages)
def test_predictions(folder, damage, happened):
    path = folder / "p.npz"
    n = np.arange(4)
    made = Predictions(n, n % 2, np.repeat("test", 4), np.ones((4, 2)), "linear", np.array([1, 2]))
    made.save(path)
    path.write_bytes(damaged(path.read_bytes(), damage))
    read_or_refused(lambda: Predictions.load(path), "p.npz")
    happened("the same predictions, or a refusal that names the file")

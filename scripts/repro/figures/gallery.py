"""Images by their ids, as they are shown."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from repro.errors import UserError
from repro.flowers.decode import rgb, why_damaged
from repro.system.tables import read_csv

_DIGIT = (28, 28)
_SHOWN = 256  # pixels a side of a photograph


def digits(ids: Sequence[int], images: str | os.PathLike[str]) -> list[NDArray[np.uint8]]:
    """Return MNIST images by their row in ``images`` (.npy, uint8, shape (n, 784)), as 28 by 28."""
    pixels = np.load(images, mmap_mode="r", allow_pickle=False)
    return [np.array(pixels[row]).reshape(_DIGIT) for row in ids]


def photographs(ids: Sequence[int], images: str | os.PathLike[str]) -> list[NDArray[np.uint8]]:
    """Return photographs by id: their central squares, of which a net sees the inner part.

    Args:
        ids: image numbers.
        images: CSV with columns id and file, a path relative to the CSV's folder.

    Returns:
        Arrays uint8, shape (256, 256, 3).

    Raises:
        UserError: for an id that the CSV does not hold, or a file that cannot be read.
    """
    files = read_csv(images).set_index("id")["file"]
    if missing := [number for number in ids if number not in files.index]:
        raise UserError(f"{images}: has no image {missing[0]}; delete it and run again")
    return [photograph(Path(images).parent / str(files[number])) for number in ids]


def photograph(path: Path) -> NDArray[np.uint8]:
    """Return a photograph's central square, uint8, shape (256, 256, 3)."""
    try:
        with Image.open(path) as image:
            square = ImageOps.fit(rgb(image), (_SHOWN, _SHOWN), Image.Resampling.BICUBIC)
    except Exception as error:  # Pillow's readers raise errors of many kinds on damaged bytes
        raise UserError(f"{path}: {why_damaged(error)}; put it back as it was") from error
    return np.asarray(square)

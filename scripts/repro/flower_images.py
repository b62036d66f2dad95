"""The tables of the prepared flowers: which images there are, and which set each is in."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repro.errors import UserError
from repro.predictions import SPLITS


@dataclass(frozen=True)
class ImageRef:
    """One photograph: its id, its file, the sha256 of the file's bytes ("" to trust it), its label.

    Labels are numbers of the data set, such as 1..102.
    """

    id: int
    file: Path
    sha256: str
    label: int = 0


def read_images(table: Path) -> list[ImageRef]:
    """Read ``images.csv`` (id, file, label, sha256, ...); files are relative to its folder.

    Raises:
        UserError: the table is missing or damaged, lacks a column, or holds an id twice.
    """
    rows = _read(table, ("id", "file", "label", "sha256"))
    with _whole(table):
        images = [
            ImageRef(int(row["id"]), table.parent / row["file"], row["sha256"], int(row["label"]))
            for row in rows
        ]
    if len({image.id for image in images}) != len(images):
        raise UserError(f"{table}: some id stands in it twice; prepare the images again")
    return images


def read_split(table: Path) -> dict[str, list[int]]:
    """Read a split's table (id, label, split): the ids of each set, in the order of its rows.

    Raises:
        UserError: the table is missing or damaged, lacks a column, or names an unknown set.
    """
    sets: dict[str, list[int]] = {split: [] for split in SPLITS}
    for row in _read(table, ("id", "split")):
        if row["split"] not in sets:
            raise UserError(f"{table}: split {row['split']!r}; expected one of {', '.join(SPLITS)}")
        with _whole(table):
            sets[row["split"]].append(int(row["id"]))
    return sets


@contextmanager
def _whole(table: Path) -> Iterator[None]:
    """Name the table where a row of it is cut off or holds something else than numbers."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise UserError(f"{table}: a damaged row ({error}); prepare it again") from error


def _read(table: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    try:
        with table.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{table}: cannot be read ({error}); prepare the images again") from error
    missing = [column for column in columns if not rows or column not in rows[0]]
    if missing:
        raise UserError(f"{table}: no rows, or no column {', '.join(missing)}; prepare it again")
    return rows


def class_indices(labels: Iterable[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each label's class index, and the label of each index, in numeric order."""
    classes, indices = np.unique(np.array(list(labels), dtype=np.int64), return_inverse=True)
    return indices.astype(np.int64), classes


def hash_of_images(images: Iterable[ImageRef]) -> str:
    """Return one hash over ids and file hashes, in their order."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(f"{image.id} {image.sha256}\n".encode())
    return digest.hexdigest()

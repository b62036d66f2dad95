"""The tables of the prepared flowers: which images there are, and which set each is in."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from repro.errors import UserError, unreadable
from repro.splits import SPLITS

_ROWS_AT_ONCE = 1 << 14
_KIND = "a whole table of images"
_ANEW = "delete it and run again"


@dataclass(frozen=True)
class ImageRef:
    """One photograph: its id, its file, the sha256 of the file's bytes ("" to trust it), its label.

    Labels are numbers of the data set, such as 1..102.
    """

    id: int
    file: Path
    sha256: str
    label: int = 0


@dataclass(frozen=True, eq=False)
class ImageTable(Sequence[ImageRef]):
    """Photographs in columns: an object for each of millions would take many times the memory.

    Attributes:
        folder: what file names are relative to.
        ids: int64, shape (n,).
        files: names as bytes, shape (n,).
        hashes: sha256 in hexadecimal as bytes, shape (n,).
        labels: int64, shape (n,).
    """

    folder: Path
    ids: NDArray[np.int64]
    files: NDArray[np.bytes_]
    hashes: NDArray[np.bytes_]
    labels: NDArray[np.int64]

    @classmethod
    def of(cls, images: Sequence[ImageRef]) -> ImageTable:
        """Return ``images`` as a table; a table is returned as it is."""
        if isinstance(images, ImageTable):
            return images
        return cls(
            Path(),
            np.array([image.id for image in images], np.int64),
            np.array([os.fsencode(image.file) for image in images], np.bytes_),
            np.array([image.sha256.encode() for image in images], np.bytes_),
            np.array([image.label for image in images], np.int64),
        )

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.ids)

    @overload
    def __getitem__(self, which: int) -> ImageRef: ...

    @overload
    def __getitem__(self, which: slice | NDArray[np.int64]) -> ImageTable: ...

    def __getitem__(self, which: int | slice | NDArray[np.int64]) -> ImageRef | ImageTable:
        """Return one image, or the table of several positions."""
        if isinstance(which, slice | np.ndarray):
            return ImageTable(
                self.folder,
                self.ids[which],
                self.files[which],
                self.hashes[which],
                self.labels[which],
            )
        return ImageRef(
            int(self.ids[which]),
            self.folder / os.fsdecode(self.files[which]),
            self.hashes[which].decode(),
            int(self.labels[which]),
        )

    def among(self, ids: Sequence[int]) -> ImageTable:
        """Return the images whose id is one of ``ids``, in the order of this table."""
        return self[np.flatnonzero(np.isin(self.ids, np.array(ids, np.int64)))]


def positions(ids: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where in ``ids`` each wanted one stands; all of them must be there."""
    order = np.argsort(ids, kind="stable")
    return order[np.searchsorted(ids, wanted, sorter=order)].astype(np.int64)


def read_images(table: Path) -> ImageTable:
    """Read ``images.csv`` (id, file, label, sha256, ...); files are relative to its folder.

    Raises:
        UserError: the table is missing or damaged, lacks a column, or holds an id twice.
    """
    rows = _read(table, ("id", "file", "sha256", "label"))
    parts = []
    with _whole(table):
        while some := list(islice(rows, _ROWS_AT_ONCE)):
            ids, files, hashes, labels = zip(*some, strict=True)
            parts.append(
                (
                    np.array([int(number) for number in ids], np.int64),
                    np.array([os.fsencode(file) for file in files], np.bytes_),
                    np.array([digest.encode() for digest in hashes], np.bytes_),
                    np.array([int(label) for label in labels], np.int64),
                )
            )
    images = ImageTable(table.parent, *(np.concatenate(part) for part in zip(*parts, strict=True)))
    if len(np.unique(images.ids)) != len(images):
        raise UserError(f"{table}: some id stands in it twice; {_ANEW}")
    return images


def read_split(table: Path) -> dict[str, list[int]]:
    """Read a split's table (id, label, split): the ids of each set, in the order of its rows.

    Raises:
        UserError: the table is missing or damaged, lacks a column, or names an unknown set.
    """
    sets: dict[str, list[int]] = {split: [] for split in SPLITS}
    with _whole(table):
        for number, split in _read(table, ("id", "split")):
            if split not in sets:
                known = ", ".join(SPLITS)
                raise UserError(f"{table}: a set is called {split!r}, not one of {known}; {_ANEW}")
            sets[split].append(int(number))
    return sets


@contextmanager
def _whole(table: Path) -> Iterator[None]:
    """Name the table where it is damaged: a number cut off, bytes that are no text."""
    try:
        yield
    except (ValueError, OverflowError, csv.Error) as error:
        raise unreadable(table, _KIND, _ANEW, error) from error


def _read(table: Path, columns: Sequence[str]) -> Iterator[list[str]]:
    """Yield the values of ``columns``, row by row."""
    try:
        with table.open(newline="", encoding="utf-8") as stream:
            reader = csv.reader(stream)
            rows = filter(None, reader)
            header = next(rows, [])
            first = next(rows, None)
            missing = [column for column in columns if first is None or column not in header]
            if first is None or missing:
                raise UserError(f"{table}: has no rows, or no column {', '.join(missing)}; {_ANEW}")
            places = [header.index(column) for column in columns]
            for row in chain([first], rows):
                if len(row) != len(header):
                    raise UserError(
                        f"{table}: line {reader.line_num} has {len(row)} values, the header has "
                        f"{len(header)}; {_ANEW}"
                    )
                yield [row[place] for place in places]
    except OSError as error:
        raise unreadable(table, _KIND, _ANEW, error) from error


def class_indices(labels: Iterable[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each label's class index, and the label of each index, in numeric order."""
    numbers = np.fromiter(labels, np.int64)
    classes, indices = np.unique(numbers, return_inverse=True)
    return indices.astype(np.int64), classes


def hash_of_images(images: Sequence[ImageRef]) -> str:
    """Return one hash over ids and file hashes, in their order."""
    table = ImageTable.of(images)
    digest = hashlib.sha256()
    for start in range(0, len(table), _ROWS_AT_ONCE):
        some = table[start : start + _ROWS_AT_ONCE]
        lines = zip(some.ids.tolist(), some.hashes.tolist(), strict=True)
        digest.update(b"".join(b"%d %b\n" % line for line in lines))
    return digest.hexdigest()

"""Feature vectors on disk: filled block by block, bound to what they were made of, read back."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from repro.differences import in_words
from repro.errors import UserError, unreadable
from repro.flowers.images import ImageRef, ImageTable, positions
from repro.system.disk import writing
from repro.system.files import atomic_path, hash_of, read_json, write_json

logger = logging.getLogger("repro")

_SHARD_NAME = re.compile(r"([0-9]+)-of-([0-9]+)")
_ROWS_AT_ONCE = 1024
_LONGEST_NUMBER = 20  # digits; Python refuses to read numbers of thousands


@dataclass(frozen=True)
class Shard:
    """One of ``of`` parts of a list of images, a job of its own; the first has the number 1."""

    number: int
    of: int

    @classmethod
    def named(cls, name: str) -> Shard:
        """Return the shard that Snakemake names so: "2-of-4".

        Raises:
            UserError: the name is of another form, or beyond the last shard.
        """
        match = _SHARD_NAME.fullmatch(name)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise UserError(f"shard {name!r}: expected NUMBER-of-COUNT, for example 2-of-4")
        return cls(int(match[1]), int(match[2]))

    def span(self, images: int, batch_size: int) -> tuple[int, int]:
        """Return the positions of the first image and after the last one.

        Shards end where batches do, so that each batch holds the same images as without shards:
        what a network makes of an image may differ in its last bits with the images beside it.
        Where there are more shards than batches, some are empty.
        """
        batches = -(-images // batch_size)
        first, end = (batches * k // self.of for k in (self.number - 1, self.number))
        return first * batch_size, min(end * batch_size, images)


@dataclass(frozen=True)
class FeatureFiles:
    """The three files of a finished extraction."""

    features: Path
    ids: Path
    manifest: Path


@dataclass(frozen=True)
class Block:
    """Features of consecutive images.

    Attributes:
        rows: positions in the list of images, damaged ones left out.
        features: float32, shape (len(rows), width).
        damaged: what is wrong with each damaged image, by position.
        end: position after the last image.
    """

    rows: list[int]
    features: NDArray[np.float32]
    damaged: dict[int, str]
    end: int


class WorkingStore:
    """The folder an extraction works in: a matrix that fills up, and how far it has come."""

    def __init__(self, folder: Path, images: Sequence[ImageRef], bound: Mapping[str, Any]) -> None:
        """Begin in ``folder``, or go on with what is there.

        Raises:
            UserError: what is there belongs to other images, weights, settings, versions or code.
        """
        self.folder, self.images = folder, ImageTable.of(images)
        self.bound = json.loads(json.dumps(bound))
        self.rows_done = 0
        self.damaged: dict[int, str] = {}
        if self._binding.is_file() and self._matrix.is_file():
            self._resume()
        else:
            self._begin()

    @property
    def _binding(self) -> Path:
        return self.folder / "binding.json"

    @property
    def _matrix(self) -> Path:
        return self.folder / "rows.npy"

    @property
    def _progress(self) -> Path:
        return self.folder / "progress.json"

    @property
    def _shape(self) -> tuple[int, int]:
        return len(self.images), int(self.bound["width"])

    def _begin(self) -> None:
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._binding.unlink(missing_ok=True)
        rows, width = self._shape
        sizes = (min(_ROWS_AT_ONCE, rows - start) for start in range(0, rows, _ROWS_AT_ONCE))
        empty = (np.full((size, width), np.nan, np.float32) for size in sizes)
        write_matrix(self._matrix, self._shape, empty)
        self._write_progress()
        # Last, because it says that all the rest is there.
        write_json(self._binding, self.bound)

    def _resume(self) -> None:
        anew = f"delete the folder {self.folder} and run again"
        found = read_json(self._binding, anew)
        if found != self.bound:
            raise UserError(
                f"{self.folder}: holds unfinished features of another run "
                f"({in_words(found, self.bound)}). Delete the folder {self.folder} and run "
                "again to begin anew, or set that back to finish them"
            )
        try:
            matrix = np.lib.format.open_memmap(self._matrix, mode="r")
        except Exception as error:  # a damaged header makes NumPy raise errors of many kinds
            raise unreadable(self._matrix, "the unfinished features", anew, error) from error
        if matrix.shape != self._shape or matrix.dtype != np.float32:
            raise UserError(
                f"{self._matrix}: damaged, or not the unfinished features: {matrix.dtype} of shape "
                f"{matrix.shape}, expected float32 of shape {self._shape}; {anew}"
            )
        progress = read_json(self._progress, anew)
        if problem := _wrong(progress, len(self.images)):
            raise UserError(f"{self._progress}: damaged: {problem}; {anew}")
        self.rows_done = progress["rows"]
        self.damaged = {int(row): reason for row, reason in progress["damaged"].items()}
        logger.info("going on at image %d of %d", self.rows_done, len(self.images))

    def _write_progress(self) -> None:
        write_json(self._progress, {"rows": self.rows_done, "damaged": self.damaged})

    def write(self, blocks: Sequence[Block]) -> None:
        """Store consecutive blocks, and only then say that they are done.

        Raises:
            UserError: a feature is not finite.
        """
        # Opened anew each time, so that its pages leave this process's memory again.
        matrix = np.lib.format.open_memmap(self._matrix, mode="r+")
        for block in blocks:
            self._check_finite(block)
            matrix[block.rows] = block.features
            self.damaged.update(block.damaged)
        matrix.flush()
        del matrix
        self.rows_done = blocks[-1].end
        self._write_progress()

    def _check_finite(self, block: Block) -> None:
        bad = np.flatnonzero(~np.isfinite(block.features).all(axis=1))
        if len(bad):
            image = self.images[block.rows[int(bad[0])]]
            raise UserError(
                f"{image.file}: what the network gives for image {image.id} is no number (NaN or "
                "infinity), so the file of its weights is probably damaged: delete that and run "
                "again to fetch it"
            )

    def finish(self) -> FeatureFiles:
        """Check that no row is left, and write features, ids and manifest."""
        keep = np.ones(len(self.images), bool)
        keep[list(self.damaged)] = False
        files = FeatureFiles(
            *(self.folder / name for name in ("features.npy", "ids.npy", "manifest.json"))
        )
        _check_filled(self._matrix, keep, self.images)
        save_array(files.ids, self.images.ids[keep])
        made = self._matrix
        if self.damaged:
            made = files.features
            shape = (int(keep.sum()), self._shape[1])
            kept = (block[keep[start:][: len(block)]] for start, block in blocks_of(self._matrix))
            write_matrix(made, shape, kept)
        write_json(
            files.manifest,
            {
                **self.bound,
                "rows": int(keep.sum()),
                "damaged": {str(self.images.ids[row]): why for row, why in self.damaged.items()},
                "features_sha256": hash_of(made),
                "ids_sha256": hash_of(files.ids),
            },
        )
        if made != files.features:
            # Last: without the matrix of this name the next start begins anew.
            made.replace(files.features)
        return files


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array as ``.npy``, whole or not at all."""
    with atomic_path(path) as aside, aside.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)


def _wrong(found: Mapping[str, Any], most: int | None = None) -> str | None:
    """Say what is wrong with the rows and damaged images that a file lists; None where nothing."""
    rows, damaged = found.get("rows"), found.get("damaged")
    if not is_count(rows) or (most is not None and rows > most):
        return f"rows is {rows!r}, expected a number{'' if most is None else f' up to {most}'}"
    if not isinstance(damaged, dict) or not all(
        key.isdecimal() and len(key) < _LONGEST_NUMBER and isinstance(reason, str)
        for key, reason in damaged.items()
    ):
        return "damaged is no list of images by number"
    if most is not None and any(int(row) >= most for row in damaged):
        return f"damaged names an image beyond {most}"
    return None


def is_count(value: Any) -> TypeGuard[int]:
    """Whether a value is a whole number from 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def read_manifest(file: Path, hint: str) -> dict[str, Any]:
    """Read the manifest of a finished extraction."""
    manifest = read_json(file, hint)
    problem = _wrong(manifest)
    counts, hashes = ("width", "images"), ("features_sha256", "ids_sha256", "images_sha256")
    for key in counts:
        if not is_count(manifest.get(key)):
            problem = f"{key} is {manifest.get(key)!r}, expected a number"
    for key in hashes:
        if not isinstance(manifest.get(key), str):
            problem = f"{key} is {manifest.get(key)!r}, expected a hash"
    if problem:
        raise UserError(f"{file}: {problem}; {hint}")
    return manifest


def write_matrix(file: Path, shape: tuple[int, int], blocks: Iterable[NDArray[np.float32]]) -> None:
    """Write a matrix as ``.npy`` block by block: all of a memory map would count as memory."""
    with writing(file):
        try:
            with file.open("wb") as stream:
                header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(stream, header)
                for block in blocks:
                    stream.write(block.astype("<f4", order="C", copy=False).data)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError:
            file.unlink(missing_ok=True)
            raise


def blocks_of(file: Path) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield a matrix block by block with each one's first row; opened anew, to leave memory."""
    rows = len(np.load(file, mmap_mode="r", allow_pickle=False))
    for start in range(0, rows, _ROWS_AT_ONCE):
        matrix = np.load(file, mmap_mode="r", allow_pickle=False)
        yield start, np.array(matrix[start : start + _ROWS_AT_ONCE])


def _check_filled(file: Path, keep: NDArray[np.bool_], images: ImageTable) -> None:
    empty = np.zeros(len(images), bool)
    for start, block in blocks_of(file):
        empty[start : start + len(block)] = np.isnan(block[:, 0])
    missing = np.flatnonzero(empty & keep)
    if len(missing):
        raise UserError(
            f"{file.parent}: {len(missing)} images have no features, the first of them "
            f"{images[int(missing[0])].file}, so something else has changed this folder: delete it "
            "and run again"
        )


def changed(file: Path, anew: str) -> str:
    """Return the message of a file whose hash is not the one its manifest names."""
    return (
        f"{file}: was changed or damaged since it was made (its sha256 is not the one that the "
        f"manifest beside it names); {anew}"
    )


@dataclass(frozen=True)
class FeatureSet:
    """Features read back: ``features`` float32 (n, width), ``ids`` int64 (n,), the manifest."""

    features: NDArray[np.float32]
    ids: NDArray[np.int64]
    manifest: Mapping[str, Any]

    def rows_of(self, ids: Iterable[int]) -> list[int]:
        """Return the rows of images, in their order; those left out as damaged are passed over.

        Raises:
            UserError: an image was never part of the extraction.
        """
        wanted = np.fromiter(ids, np.int64)
        found = np.isin(wanted, self.ids)
        damaged = np.array([int(image) for image in self.manifest["damaged"]], np.int64)
        strange = wanted[~found & ~np.isin(wanted, damaged)]
        if len(strange):
            raise UserError(
                f"image {strange[0]} is in the split but has no features, so these are of another "
                "set of images; delete the features of this data set and run again"
            )
        rows: list[int] = positions(self.ids, wanted[found]).tolist()
        return rows


def read_features(features: Path, ids: Path, manifest: Path, images_sha256: str) -> FeatureSet:
    """Read a finished extraction, refusing one that does not belong together or to the images.

    Args:
        features: ``features.npy``.
        ids: ``ids.npy``.
        manifest: ``manifest.json``.
        images_sha256: :func:`hash_of_images` of the data set in use.

    Raises:
        UserError: a file is missing or unreadable, or does not match the manifest.
    """
    anew = f"delete the folder {manifest.parent} and run again"
    bound = read_manifest(manifest, anew)
    expected = (bound["rows"], bound["width"])
    try:
        pairs = {
            features: (hash_of(features), bound["features_sha256"]),
            ids: (hash_of(ids), bound["ids_sha256"]),
            manifest: (images_sha256, bound["images_sha256"]),
        }
    except OSError as error:
        raise unreadable(manifest.parent, "a whole set of features", anew, error) from error
    # Before they are read: no changed byte gets to NumPy, or to a head.
    for file, (found, wanted) in pairs.items():
        if found != wanted:
            raise UserError(
                f"{file}: its features were made of other images than there are now; {anew}"
                if file == manifest
                else changed(file, anew)
            )
    values = np.load(features, mmap_mode="r", allow_pickle=False)
    numbers = np.load(ids, allow_pickle=False)
    if values.shape != expected or numbers.shape != expected[:1]:
        raise UserError(
            f"{features}: shape {values.shape} with {len(numbers)} ids, expected {expected}; {anew}"
        )
    return FeatureSet(values, numbers, bound)

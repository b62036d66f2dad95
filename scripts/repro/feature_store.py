"""Feature vectors on disk: filled block by block, bound to what they were made of, read back."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.errors import UserError
from repro.files import hash_of, write_json
from repro.flower_images import ImageRef

logger = logging.getLogger("repro")


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
            UserError: what is there belongs to other images, weights, settings or versions.
        """
        self.folder, self.images = folder, images
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

    def _begin(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._binding.unlink(missing_ok=True)
        shape = (len(self.images), int(self.bound["width"]))
        matrix = np.lib.format.open_memmap(self._matrix, mode="w+", dtype=np.float32, shape=shape)
        matrix[:] = np.nan
        matrix.flush()
        self._write_progress()
        # Last, because it says that all the rest is there.
        write_json(self._binding, self.bound)

    def _resume(self) -> None:
        found = json.loads(self._binding.read_text(encoding="utf-8"))
        if found != self.bound:
            keys = [k for k in {**self.bound, **found} if found.get(k) != self.bound.get(k)]
            raise UserError(
                f"{self.folder}: an unfinished extraction of something else lies here; "
                + "; ".join(f"{k} is {found.get(k)}, now {self.bound.get(k)}" for k in keys)
                + f". Delete the folder {self.folder} to begin anew, or go back to the settings it "
                "was made with to finish it"
            )
        progress = json.loads(self._progress.read_text(encoding="utf-8"))
        self.rows_done = int(progress["rows"])
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
                f"{image.file}: the network gives NaN or infinity for image {image.id}; its "
                "weights file is probably damaged: fetch it again"
            )

    def finish(self) -> FeatureFiles:
        """Check that no row is left, and write features, ids and manifest."""
        matrix = np.lib.format.open_memmap(self._matrix, mode="r")
        keep = [row for row in range(len(self.images)) if row not in self.damaged]
        files = FeatureFiles(
            *(self.folder / name for name in ("features.npy", "ids.npy", "manifest.json"))
        )
        _check_filled(matrix, keep, self.images)
        ids = np.array([self.images[row].id for row in keep], dtype=np.int64)
        np.save(files.ids, ids, allow_pickle=False)
        if self.damaged:
            np.save(files.features, matrix[keep], allow_pickle=False)
        del matrix
        if not self.damaged:
            self._matrix.replace(files.features)
        write_json(
            files.manifest,
            {
                **self.bound,
                "rows": len(keep),
                "damaged": {str(self.images[row].id): why for row, why in self.damaged.items()},
                "features_sha256": hash_of(files.features),
                "ids_sha256": hash_of(files.ids),
            },
        )
        return files


def _check_filled(
    matrix: NDArray[np.float32], keep: Sequence[int], images: Sequence[ImageRef]
) -> None:
    empty = [row for row in keep if np.isnan(matrix[row, 0])]
    if empty:
        raise UserError(
            f"{len(empty)} images have no features, the first of them {images[empty[0]].file}; "
            "the working folder was changed by something else: delete it and run again"
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
        row_of = {int(image): row for row, image in enumerate(self.ids)}
        damaged = {int(image) for image in self.manifest["damaged"]}
        rows = []
        for image in map(int, ids):
            if image in row_of:
                rows.append(row_of[image])
            elif image not in damaged:
                raise UserError(
                    f"image {image} of the split has no features, and is not among the damaged "
                    "images left out; extract the features of this data set again"
                )
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
    try:
        bound = json.loads(manifest.read_text(encoding="utf-8"))
        values = np.load(features, mmap_mode="r", allow_pickle=False)
        numbers = np.load(ids, allow_pickle=False)
        expected = (bound["rows"], bound["width"])
        pairs = {
            features: (hash_of(features), bound["features_sha256"]),
            ids: (hash_of(ids), bound["ids_sha256"]),
            manifest: (images_sha256, bound["images_sha256"]),
        }
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{manifest.parent}: not a whole set of features ({error}); delete it and run again"
        ) from error
    for file, (found, wanted) in pairs.items():
        if found != wanted:
            what = "made of other images" if file == manifest else "not the file its manifest names"
            raise UserError(
                f"{file}: {what} (hash {found}, the manifest says {wanted}); delete the features "
                "and run again"
            )
    if values.shape != expected or numbers.shape != expected[:1]:
        raise UserError(
            f"{features}: shape {values.shape} with {len(numbers)} ids, expected {expected}; "
            "delete the features and run again"
        )
    return FeatureSet(values, numbers, bound)

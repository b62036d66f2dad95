"""The flower images: out of the archive, proved readable, split, and laid out by label."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import re
import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.io
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from sklearn.model_selection import train_test_split

from repro.ahead import ahead
from repro.errors import UserError
from repro.predictions import SPLITS

log = logging.getLogger("repro")

IMAGE_NAME = re.compile(r"image_(\d{5,})\.jpg")
SPLIT_KINDS = ("stratified", "random", "official")
_AHEAD = 64  # images that are opened before their turn


def read_labels(path: str | os.PathLike[str]) -> NDArray[np.int64]:
    """Read ``imagelabels.mat``: the label of image i stands at index i − 1.

    Returns:
        Labels, 1-based, int64, shape (n,).

    Raises:
        UserError: not a MATLAB file, or it holds no variable ``labels``.
    """
    return _read_mat(path, "labels")


def read_official_split(path: str | os.PathLike[str]) -> dict[str, NDArray[np.int64]]:
    """Read ``setid.mat``: the image ids of the data set's own three sets."""
    names = dict(zip(SPLITS, ("trnid", "valid", "tstid"), strict=True))
    return {split: _read_mat(path, variable) for split, variable in names.items()}


def _read_mat(path: str | os.PathLike[str], variable: str) -> NDArray[np.int64]:
    try:
        found = scipy.io.loadmat(path, variable_names=[variable])[variable]
    except KeyError:
        raise UserError(f"{path}: holds no variable {variable!r}; is it the right file?") from None
    except Exception as error:  # loadmat raises many kinds on bytes that are no MATLAB file
        raise UserError(f"{path}: not a readable MATLAB file ({error}); fetch it again") from error
    values = np.asarray(found)
    if not np.issubdtype(values.dtype, np.number) or not values.size:
        raise UserError(f"{path}: {variable!r} is not a list of numbers; fetch it again")
    return values.ravel().astype(np.int64)


def extract(archive: str | os.PathLike[str], folder: str | os.PathLike[str]) -> list[Path]:
    """Unpack the images of the archive into ``folder``, flat, and return them by image number.

    Only regular files named ``image_NNNNN.jpg`` are taken. The archive is read with Python's
    ``data`` filter, which refuses absolute paths, links out of the folder and devices.

    Raises:
        UserError: the archive is damaged, holds a member the filter refuses, holds the same image
            twice, or the disk is full.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    images: dict[int, Path] = {}
    try:
        with tarfile.open(archive, "r:*") as tar:
            for member in tar:
                # Or tarfile keeps a note of every member to the end.
                tar.members.clear()  # type: ignore[attr-defined]
                checked = tarfile.data_filter(member, str(target))
                match = IMAGE_NAME.fullmatch(Path(checked.name).name)
                if not match or not checked.isreg():
                    continue
                number = int(match[1])
                if number in images:
                    raise UserError(f"{archive}: holds {match[0]} twice; fetch it again")
                images[number] = target / match[0]
                flat = checked.replace(name=match[0], deep=False)
                tar.extract(flat, target, set_attrs=False, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(
            f"{archive}: cannot be unpacked into {target} ({error}). A damaged archive: delete it "
            "and run again. A full disk: free some space and run again."
        ) from error
    if not images:
        raise UserError(f"{archive}: holds no image_NNNNN.jpg; is it the flowers archive?")
    return [images[number] for number in sorted(images)]


def describe(
    images: list[Path],
    labels: NDArray[np.int64],
    root: str | os.PathLike[str],
    *,
    on_damaged: str = "stop",
    workers: int = 1,
) -> pd.DataFrame:
    """Open every image and list it.

    Args:
        images: files named by image number.
        labels: the label of image i at index i − 1, shape (n,).
        root: the folder that file names in the table are relative to.
        on_damaged: "stop" raises at a damaged image; "skip" leaves it out and says so.
        workers: threads that decode.

    Returns:
        Columns id, file, label, width, height, sha256; by id.

    Raises:
        UserError: images and labels do not belong together, or an image is damaged.
    """
    numbers = np.array([int(file.stem.removeprefix("image_")) for file in images], np.int64)
    labelled = np.arange(1, len(labels) + 1)
    if not np.array_equal(numbers, labelled):
        missing = np.setdiff1d(labelled, numbers)[:5].tolist()
        beyond = np.setdiff1d(numbers, labelled)[:5].tolist()
        raise UserError(
            f"{len(images)} images but {len(labels)} labels: images without label "
            f"{beyond}, labels without image {missing}. The archive and imagelabels.mat "
            "do not belong together; fetch both again."
        )
    widths, heights = np.zeros((2, len(images)), np.int64)
    hashes = np.zeros(len(images), "S64")
    good = np.ones(len(images), bool)
    damaged: list[tuple[Path, str]] = []
    with ThreadPoolExecutor(workers) as pool:
        found = ahead(pool, _describe_one, images, workers + _AHEAD)
        for row, (file, one) in enumerate(zip(images, found, strict=True)):
            if isinstance(one, str):
                good[row] = False
                damaged.append((file, one))
            else:
                widths[row], heights[row], hashes[row] = one
    if damaged and on_damaged == "stop":
        listed = "; ".join(f"{file}: {why}" for file, why in damaged[:5])
        raise UserError(
            f"{len(damaged)} damaged image(s): {listed}. Fetch the archive again, or set "
            "flowers.on_damaged: skip to go on without them."
        )
    for file, why in damaged:
        log.warning("left out %s: %s", file, why)
    return pd.DataFrame(
        {
            "id": numbers[good],
            "file": [str(images[row].relative_to(root)) for row in np.flatnonzero(good)],
            "label": labels[good],
            "width": widths[good],
            "height": heights[good],
            "sha256": [digest.decode() for digest in hashes[good]],
        }
    )


def _describe_one(file: Path) -> tuple[int, int, str] | str:
    """Return width, height and hash of an image, or why it cannot be decoded."""
    try:
        with Image.open(file) as image:
            image.load()
            width, height = image.size
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError) as error:
        return str(error)
    return width, height, hashlib.sha256(file.read_bytes()).hexdigest()


def split_images(
    images: pd.DataFrame,
    *,
    kind: str,
    validation: float,
    test: float,
    seed: int,
    official: dict[str, NDArray[np.int64]] | None = None,
) -> pd.DataFrame:
    """Assign every image to train, validation or test.

    Args:
        images: columns id and label.
        kind: "stratified" keeps each label's share in every set; "random" does not look at labels
            (what the report's notebook did in effect); "official" is the data set's own split.
        validation: share of all images for validation (not used by "official").
        test: share of all images for test (not used by "official").
        seed: of the two draws (not used by "official").
        official: the ids of :func:`read_official_split`.

    Returns:
        Columns id, label, split; by id.

    Raises:
        UserError: a label has too few images for the shares asked for, or ``setid.mat`` does not
            cover the images.
    """
    if kind == "official":
        where = _official(images, official or {})
    else:
        where = _drawn(images, kind == "stratified", validation, test, seed)
    table = pd.DataFrame({"id": images["id"], "label": images["label"], "split": where})
    if empty := set(SPLITS) - set(table["split"]):
        raise UserError(
            f"flowers.split: {sorted(empty)} would be empty with {len(table)} images; "
            "raise its share"
        )
    return table.sort_values("id", ignore_index=True)


def _official(images: pd.DataFrame, official: dict[str, NDArray[np.int64]]) -> pd.Series:
    split_of = {number: split for split, ids in official.items() for number in ids}
    where = images["id"].map(split_of)
    if where.isna().any():
        raise UserError(
            f"setid.mat: {int(where.isna().sum())} of {len(images)} images stand in no set, the "
            f"first is image {images.loc[where.isna(), 'id'].iloc[0]}; it belongs to other images"
        )
    return where


def _drawn(
    images: pd.DataFrame, stratified: bool, validation: float, test: float, seed: int
) -> pd.Series:
    rows = np.arange(len(images))
    labels = images["label"].to_numpy()
    # As the report: 75/25 first, then the larger part again, so the test set comes from the first
    # draw and validation from the second.
    try:
        rest, test_rows = train_test_split(
            rows, test_size=test, random_state=seed, stratify=labels if stratified else None
        )
        _, validation_rows = train_test_split(
            rest,
            test_size=math.ceil(validation * len(rows)),
            random_state=seed,
            stratify=labels[rest] if stratified else None,
        )
    except ValueError as error:
        raise UserError(
            f"flowers.split: cannot be drawn from {len(images)} images of "
            f"{images['label'].nunique()} labels ({error})"
        ) from error
    where = pd.Series("train", index=images.index, dtype=object)
    where.iloc[validation_rows] = "validation"
    where.iloc[test_rows] = "test"
    return where


def lay_out(
    images: pd.DataFrame,
    split: pd.DataFrame,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
) -> pd.DataFrame:
    """Build ``{split}/{label}/image_NNNNN.jpg`` under ``target``.

    Images are hard links to those under ``source``, the folder that ``images["file"]`` is relative
    to; where the file system refuses links, copies.

    Returns:
        The manifest: columns id, label, split, file (relative to ``target``), sha256.
    """
    source, target = Path(source), Path(target)
    if target.exists():
        shutil.rmtree(target)
    manifest = split.merge(images[["id", "file", "sha256"]], on="id", validate="one_to_one")
    originals = manifest["file"]
    names = originals.map(lambda file: Path(file).name)
    manifest["file"] = manifest["split"] + "/" + manifest["label"].astype(str) + "/" + names
    for folder in sorted({str(Path(file).parent) for file in manifest["file"]}):
        (target / folder).mkdir(parents=True)
    copied = 0
    for original, file in zip(originals, manifest["file"], strict=True):
        copied += _link_or_copy(source / original, target / file)
    if copied:
        log.warning("%d images copied: the file system refuses hard links", copied)
    return manifest[["id", "label", "split", "file", "sha256"]]


def _link_or_copy(source: Path, target: Path) -> bool:
    """Link ``target`` to ``source``; return whether it had to be copied."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        return True
    return False

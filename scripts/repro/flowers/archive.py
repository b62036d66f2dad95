"""The flower images: out of the archive, proved readable, split, and laid out by label."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from sklearn.model_selection import train_test_split

from repro.errors import UserError
from repro.flowers.matlab import read_numbers
from repro.splits import SPLITS
from repro.system.disk import writing
from repro.system.pool import ahead

log = logging.getLogger("repro")

IMAGE_NAME = re.compile(r"image_([0-9]{5,9})\.jpg")
_NAMED = 5  # labels in a message
_AHEAD = 64  # images that are opened before their turn

# What an archive may unpack to. Oxford-102 is 8,189 photographs of some 40 KB, each at most 300 KB;
# these leave room for any set of photographs, and none for an archive made to fill the disk.
MOST_MEMBERS = 2_000_000
MOST_BYTES_OF_A_MEMBER = 64 << 20
MOST_BYTES_OF_A_HEADER = 1 << 20  # read into memory whole
LEAST_BOUND = 1 << 30
MOST_TIMES = 20  # the archive's own size: JPEG hardly compresses

_LONG_HEADERS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)

# 102 in Oxford-102, 21,841 in all of ImageNet; a head has an output for each.
MOST_LABEL = 100_000


def read_labels(path: str | os.PathLike[str]) -> NDArray[np.int64]:
    """Read ``imagelabels.mat``: the label of image i stands at index i − 1.

    Returns:
        Labels, 1-based, int64, shape (n,).

    Raises:
        UserError: not a MATLAB file, it holds no variable ``labels``, or a label is none of
            1..MOST_LABEL.
    """
    return _read_mat(path, "labels", MOST_LABEL)


def read_official_split(path: str | os.PathLike[str]) -> dict[str, NDArray[np.int64]]:
    """Read ``setid.mat``: the image ids of the data set's own three sets.

    Raises:
        UserError: not a MATLAB file, it lacks a set, or an image is in it twice.
    """
    names = dict(zip(SPLITS, ("trnid", "valid", "tstid"), strict=True))
    sets = {split: _read_mat(path, name, MOST_MEMBERS) for split, name in names.items()}
    ids, counts = np.unique(np.concatenate(list(sets.values())), return_counts=True)
    if twice := ids[counts > 1].tolist():
        raise UserError(
            f"{path}: image {twice[0]} stands in it more than once; each belongs to one set: "
            "fetch it again"
        )
    return sets


def _read_mat(path: str | os.PathLike[str], variable: str, most: int) -> NDArray[np.int64]:
    """Return a variable that holds whole numbers from 1 to ``most``."""
    values = read_numbers(path, variable)
    if not len(values):
        raise UserError(f"{path}: {variable!r} is empty; fetch it again")
    # Written so that NaN is strange too.
    strange = np.flatnonzero(~((values >= 1) & (values <= most) & (values == np.floor(values))))
    if len(strange):
        raise UserError(
            f"{path}: {variable!r} is {values[strange[0]]} for image {strange[0] + 1}, expected "
            f"whole numbers from 1 to {most}; fetch it again, or mend it"
            if variable == "labels"
            else f"{path}: {variable!r} holds {values[strange[0]]}, expected whole numbers from 1 "
            f"to {most}; fetch it again"
        )
    return values.astype(np.int64)


def extract(archive: str | os.PathLike[str], folder: str | os.PathLike[str]) -> list[Path]:
    """Unpack the images of the archive into ``folder``, flat, and return them by image number.

    Only regular files named ``image_NNNNN.jpg`` are taken. The archive is read with Python's
    ``data`` filter, which refuses absolute paths, links out of the folder and devices.

    Raises:
        UserError: the archive is damaged, holds a member the filter refuses, holds the same image
            twice, or more than an archive of photographs can hold (see MOST_TIMES and the like).
        CannotWriteError: the disk is full, or the folder cannot be written.
    """
    target = Path(folder)
    with writing(target):
        target.mkdir(parents=True, exist_ok=True)
    images: dict[int, Path] = {}
    try:
        with tarfile.open(archive, "r:*", tarinfo=_Member) as tar:
            for member in _bounded(tar, archive):
                checked = tarfile.data_filter(member, str(target))
                match = IMAGE_NAME.fullmatch(Path(checked.name).name)
                if not match or not checked.isreg():
                    continue
                number = int(match[1])
                if number in images:
                    raise UserError(f"{archive}: holds {match[0]} twice; fetch it again")
                images[number] = target / match[0]
                flat = checked.replace(name=match[0], deep=False)
                with writing(target):
                    tar.extract(flat, target, set_attrs=False, filter="data")
            _read_to_the_end(tar)
    except UserError:
        raise
    except Exception as error:  # damaged bytes make the decompressors raise errors of many kinds
        raise UserError(
            f"{archive}: cannot be unpacked into {target} ({error}); delete it and run again to "
            "fetch it, or pack your own anew"
        ) from error
    if not images:
        raise UserError(f"{archive}: holds no image_NNNNN.jpg; is it the flowers archive?")
    return [images[number] for number in sorted(images)]


class _Member(tarfile.TarInfo):
    """A member whose header does not fill the memory: Python reads long names whole."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        """Be called for each header, as :mod:`tarfile` provides for subclasses."""
        if self.type in _LONG_HEADERS and self.size > MOST_BYTES_OF_A_HEADER:
            raise tarfile.HeaderError(f"a header of {self.size:,} bytes")
        member: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc]
        return member


def _bounded(tar: tarfile.TarFile, archive: str | os.PathLike[str]) -> Iterator[tarfile.TarInfo]:
    """Yield the members, as long as they are what an archive of photographs can hold."""
    most = max(LEAST_BOUND, MOST_TIMES * Path(archive).stat().st_size)
    total = 0
    for number, member in enumerate(tar, start=1):
        tar.members = []  # type: ignore[attr-defined]  # it keeps a list of all it has met
        total += member.size
        what = None
        if number > MOST_MEMBERS:
            what = f"more than {MOST_MEMBERS:,} members"
        elif member.size > MOST_BYTES_OF_A_MEMBER:
            what = f"{member.name} of {member.size:,} bytes, more than {MOST_BYTES_OF_A_MEMBER:,}"
        elif total > most:
            what = f"more than {most:,} bytes"
        if what:
            raise UserError(
                f"{archive}: unpacks to {what}, so it is no archive of photographs; fetch it "
                "again, or pack smaller images"
            )
        yield member


def _read_to_the_end(tar: tarfile.TarFile) -> None:
    """Read what stands behind the last member: only there do gzip and its like keep their sum."""
    rest = 0
    while tar.fileobj and (block := tar.fileobj.read(1 << 16)):
        rest += len(block)
        if rest > LEAST_BOUND:
            raise tarfile.ReadError(f"more than {LEAST_BOUND:,} bytes behind the last member")


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
    except Exception as error:  # Pillow's readers raise errors of many kinds on damaged bytes
        return str(error) or type(error).__name__
    return width, height, hashlib.sha256(file.read_bytes()).hexdigest()


def check_counts(images: pd.DataFrame, kind: str, validation: float, test: float) -> None:
    """Refuse labels of too few images for three sets.

    Args:
        images: column label.
        kind: as for :func:`split_images`, like ``validation`` and ``test``.
        validation: share of all images for validation.
        test: share of all images for test.

    Raises:
        UserError: naming such labels, how many images each has and how many it needs.
    """
    least = len(SPLITS)
    if kind == "stratified":
        # Rounded, because what is left of 1 may be a hair less than it should be.
        least = max(least, math.ceil(round(1 / min(validation, test, 1 - validation - test), 6)))
    counts = images["label"].value_counts().sort_index()
    few = counts[counts < least]
    if few.empty:
        return
    named = ", ".join(f"label {label} has {count}" for label, count in few.head(_NAMED).items())
    raise UserError(
        f"flowers.split: {kind} at these shares needs {least} images of a label for one in each "
        f"set; {named}{_and_more(len(few))}. Add images of it, or leave the label out"
    )


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
        UserError: a label has too few images for the shares asked for, or none in some set; or
            ``setid.mat`` does not cover the images.
    """
    check_counts(images, kind, validation, test)
    if kind == "official":
        where = _official(images, official or {})
    else:
        where = _drawn(images, kind == "stratified", validation, test, seed)
    table = pd.DataFrame({"id": images["id"], "label": images["label"], "split": where})
    _check_sets(table, kind)
    return table.sort_values("id", ignore_index=True)


def _check_sets(table: pd.DataFrame, kind: str) -> None:
    """Refuse a split in which a set holds no image of a label: no figure of it would be one."""
    counts = pd.crosstab(table["label"], table["split"]).reindex(columns=SPLITS, fill_value=0)
    empty = counts.stack()
    empty = empty[empty == 0]
    if empty.empty:
        return
    named = ", ".join(
        f"label {label} has none of its {counts.loc[label].sum()} images in {split}"
        for label, split in empty.index[:_NAMED]
    )
    raise UserError(
        f"flowers.split: {kind}: {named}{_and_more(len(empty))}. Add images of it, or set "
        "flowers.split.kind: stratified"
    )


def _and_more(count: int) -> str:
    return f", and {count - _NAMED} more" if count > _NAMED else ""


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
            f"flowers.split: cannot be drawn from {len(images)} images ({error}); add images"
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
    manifest = split.merge(images[["id", "file", "sha256"]], on="id", validate="one_to_one")
    originals = manifest["file"]
    names = originals.map(lambda file: Path(file).name)
    manifest["file"] = manifest["split"] + "/" + manifest["label"].astype(str) + "/" + names
    copied = 0
    with writing(target):
        if target.exists():
            shutil.rmtree(target)
        for folder in sorted({str(Path(file).parent) for file in manifest["file"]}):
            (target / folder).mkdir(parents=True)
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

"""The flower images out of their archive, proved readable and listed."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from repro.compute.pool import map_bounded
from repro.errors import UserError, own_words
from repro.flowers.decode import why_damaged
from repro.system.disk import writing

log = logging.getLogger("repro")

IMAGE_NAME = re.compile(r"image_([0-9]{5,9})\.jpg")
_AHEAD = 64  # images that are opened before their turn
_ANEW = "delete it and run again to fetch it"

# What an archive may unpack to. Oxford-102 is 8,189 photographs of some 40 KB, each at most 300 KB;
# these leave room for any set of photographs, and none for an archive made to fill the disk.
MAX_MEMBERS = 2_000_000
MAX_BYTES_OF_A_MEMBER = 64 << 20
MAX_BYTES_OF_A_HEADER = 1 << 20  # read into memory whole
MIN_BOUND = 1 << 30
MAX_TIMES = 20  # the archive's own size: JPEG hardly compresses

_LONG_HEADERS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)


def extract(archive: str | os.PathLike[str], folder: str | os.PathLike[str]) -> list[Path]:
    """Unpack the images of the archive into ``folder``, flat, and return them by image number.

    Only regular files named ``image_NNNNN.jpg`` are taken. The archive is read with Python's
    ``data`` filter, which refuses absolute paths, links out of the folder and devices.

    Raises:
        UserError: the archive is damaged, holds a member the filter refuses, holds the same image
            twice, or more than an archive of photographs can hold (see MAX_TIMES and the like).
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
                    raise UserError(f"{archive}: holds {match[0]} twice; {_ANEW}")
                images[number] = target / match[0]
                flat = checked.replace(name=match[0], deep=False)
                with writing(target):
                    tar.extract(flat, target, set_attrs=False, filter="data")
            _read_to_the_end(tar)
    except UserError:
        raise
    except Exception as error:  # damaged bytes make the decompressors raise errors of many kinds
        refused = isinstance(error, tarfile.FilterError)
        why = (
            "it holds a link, a device or a path out of its folder" if refused else "it is damaged"
        )
        raise UserError(
            f"{archive}: cannot be unpacked, {why}; {_ANEW}, or pack your own anew "
            f"({own_words(error)})"
        ) from error
    if not images:
        raise UserError(
            f"{archive}: holds no image_NNNNN.jpg; is it the flowers archive? Of your own pictures "
            "none needs another name: unpack them, a folder a class, and set flowers.folders"
        )
    return [images[number] for number in sorted(images)]


class _Member(tarfile.TarInfo):
    """A member whose header does not fill the memory: Python reads long names whole."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        """Be called for each header, as :mod:`tarfile` provides for subclasses."""
        if self.type in _LONG_HEADERS and self.size > MAX_BYTES_OF_A_HEADER:
            raise tarfile.HeaderError(f"a header of {self.size:,} bytes")
        member: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc]
        return member


def _bounded(tar: tarfile.TarFile, archive: str | os.PathLike[str]) -> Iterator[tarfile.TarInfo]:
    """Yield the members, as long as they are what an archive of photographs can hold."""
    most = max(MIN_BOUND, MAX_TIMES * Path(archive).stat().st_size)
    total = 0
    for number, member in enumerate(tar, start=1):
        tar.members = []  # type: ignore[attr-defined]  # it keeps a list of all it has met
        total += member.size
        what = None
        if number > MAX_MEMBERS:
            what = f"more than {MAX_MEMBERS:,} members"
        elif member.size > MAX_BYTES_OF_A_MEMBER:
            what = f"{member.name} of {member.size:,} bytes, more than {MAX_BYTES_OF_A_MEMBER:,}"
        elif total > most:
            what = f"more than {most:,} bytes"
        if what:
            raise UserError(
                f"{archive}: unpacks to {what}, so it is no archive of photographs; {_ANEW}, or "
                "pack smaller images"
            )
        yield member


def _read_to_the_end(tar: tarfile.TarFile) -> None:
    """Read what stands behind the last member: only there do gzip and its like keep their sum."""
    rest = 0
    while tar.fileobj and (block := tar.fileobj.read(1 << 16)):
        rest += len(block)
        if rest > MIN_BOUND:
            raise tarfile.ReadError(f"more than {MIN_BOUND:,} bytes behind the last member")


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
        lacking = {
            "no label for image": np.setdiff1d(numbers, labelled),
            "no image for label": np.setdiff1d(labelled, numbers),
        }
        named = [f"{what} {_some(which)}" for what, which in lacking.items() if len(which)]
        raise UserError(
            f"{len(images)} images but {len(labels)} labels: {', '.join(named)}. The archive and "
            "the file of labels do not belong together: take both from the same place"
        )
    widths, heights = np.zeros((2, len(images)), np.int64)
    hashes = np.zeros(len(images), "S64")
    good = np.ones(len(images), bool)
    damaged: list[tuple[Path, str]] = []
    with ThreadPoolExecutor(workers) as pool:
        found = map_bounded(pool, _describe_one, images, workers + _AHEAD)
        for row, (file, one) in enumerate(zip(images, found, strict=True)):
            if isinstance(one, str):
                good[row] = False
                damaged.append((file, one))
            else:
                widths[row], heights[row], hashes[row] = one
    if damaged and on_damaged == "stop":
        listed = "; ".join(f"{file}: {why}" for file, why in damaged[:5])
        raise UserError(
            f"{len(damaged)} damaged image(s): {listed}. Delete the archive and run again to fetch "
            "it, or set flowers.on_damaged: skip in the configuration to go on without them"
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


def _some(numbers: NDArray[np.int64], most: int = 5) -> str:
    """Return the first of some numbers, and how many more there are."""
    more = f" and {len(numbers) - most} more" if len(numbers) > most else ""
    return ", ".join(map(str, numbers[:most])) + more


def _describe_one(file: Path) -> tuple[int, int, str] | str:
    """Return width, height and hash of an image, or why it cannot be decoded."""
    try:
        with Image.open(file) as image:
            image.load()
            width, height = image.size
    except Exception as error:  # Pillow's readers raise errors of many kinds on damaged bytes
        return why_damaged(error)
    return width, height, hashlib.sha256(file.read_bytes()).hexdigest()

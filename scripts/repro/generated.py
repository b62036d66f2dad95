"""Draw an archive of flowers that has the layout of Oxford-102, for runs without the photographs.

The same seed gives the same bytes on the same machine, whatever the number of workers. The kinds
do not depend on the seed: label 7 is the same flower in every archive, and another seed takes
other pictures of it. Nor does a picture depend on how many are drawn beside it.
"""

from __future__ import annotations

import gzip
import io
import multiprocessing
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

from repro.drawing.kinds import KINDS, kind
from repro.drawing.picture import paint
from repro.errors import UserError
from repro.system.files import atomic_path

_OFFICIAL_SHARE = 10  # images a kind in each of the official train and validation sets
_MAT_HEADER = b"MATLAB 5.0 MAT-file, flowers drawn by a program, not photographs"


def draw_flowers(
    archive: Path,
    labels: Path,
    setid: Path,
    *,
    kinds: int = KINDS,
    images_per_kind: int,
    seed: int,
    sides: tuple[int, int] = (320, 400),
    workers: int = 1,
) -> None:
    """Draw ``kinds * images_per_kind`` images and write them as Oxford-102 is published.

    Args:
        archive: gets the images, ``jpg/image_00001.jpg`` and so on, as ``.tgz``. As in the
            original the images of a kind follow one another, the kinds in no order.
        labels: gets ``labels``, uint8 of shape (1, n), values 1..kinds, in the images' order.
        setid: gets ``trnid``, ``valid`` and ``tstid``, uint16 of shape (1, m), image numbers from
            1, ordered by kind. Up to ten images a kind, but at most a quarter, train; as many
            validate; the rest test.
        kinds: how many of the 102 kinds, from the first.
        images_per_kind: at least 3, one for each part of ``setid``.
        seed: not negative.
        sides: length of the short side and the most that the long side has, in pixels.
        workers: processes that draw.

    Raises:
        UserError: a number is out of its range.
    """
    _check(kinds, images_per_kind, seed, sides, workers)
    rng = np.random.default_rng(seed)
    order = np.repeat(rng.permutation(np.arange(1, kinds + 1)), images_per_kind)
    orders = [(int(label), place % images_per_kind) for place, label in enumerate(order)]
    with in_processes(workers) as run:
        write_archive(archive, run(partial(_picture, seed=seed, sides=sides), orders))
    write_mat(labels, {"labels": order.astype(np.uint8)[None]})
    write_mat(setid, _official_split(order, images_per_kind, rng))


def _check(
    kinds: int, images_per_kind: int, seed: int, sides: tuple[int, int], workers: int
) -> None:
    for name, value, good, wanted in (
        ("kinds", kinds, 1 <= kinds <= KINDS, f"1 to {KINDS}"),
        ("images_per_kind", images_per_kind, images_per_kind >= 3, "3 or more"),
        (
            "kinds * images_per_kind",
            kinds * images_per_kind,
            kinds * images_per_kind < 2**16,
            "fewer than 65536, for setid.mat holds uint16",
        ),
        ("seed", seed, seed >= 0, "0 or more"),
        ("sides", sides, 64 <= sides[0] <= sides[1] <= 512, "64 to 512, the short side first"),
        ("workers", workers, workers >= 1, "1 or more"),
    ):
        if not good:
            raise UserError(f"generated flowers: {name} is {value}, expected {wanted}")


def _picture(which: tuple[int, int], *, seed: int, sides: tuple[int, int]) -> bytes:
    """Return the JPEG file of one picture; ``which`` is its label and its number in the kind."""
    rng = np.random.default_rng([seed, *which])
    width, height = sides[0], int(rng.integers(sides[0], sides[1] + 1))
    if rng.random() < 0.5:
        width, height = height, width
    pixels = paint(kind(which[0]), (width, height), rng)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=int(rng.integers(85, 91)))
    return file.getvalue()


@contextmanager
def in_processes(workers: int) -> Iterator[Any]:
    """Yield a ``map`` that keeps the order and uses this many processes."""
    if workers == 1:
        yield map
        return
    # Not forked: the caller may run threads, and a forked lock stays locked.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield partial(pool.map, chunksize=8)


def write_archive(path: Path, files: Iterable[bytes], numbers: Sequence[int] | None = None) -> None:
    """Write JPEG files as ``jpg/image_00001.jpg`` and so on, gzipped: no time, no owner.

    Where ``numbers`` gives each file's number, an entry for the folder comes first; the official
    archive has that, and its images in no order.
    """
    with (
        atomic_path(path) as aside,
        aside.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.USTAR_FORMAT) as tar,
    ):
        if numbers is not None:
            folder = tarfile.TarInfo("jpg")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        for number, content in zip(numbers or count(1), files, strict=False):
            entry = tarfile.TarInfo(f"jpg/image_{number:05d}.jpg")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def _official_split(
    order: NDArray[np.int64], images_per_kind: int, rng: np.random.Generator
) -> dict[str, NDArray[np.uint16]]:
    share = max(1, min(_OFFICIAL_SHARE, images_per_kind // 4))
    ids = np.argsort(order, kind="stable").reshape(-1, images_per_kind) + 1
    ids = rng.permuted(ids, axis=1)
    parts = {
        "trnid": ids[:, :share],
        "valid": ids[:, share : 2 * share],
        "tstid": ids[:, 2 * share :],
    }
    return {name: part.reshape(1, -1).astype(np.uint16) for name, part in parts.items()}


def write_mat(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write a MATLAB file without the time of writing that SciPy puts into its header."""
    file = io.BytesIO()
    savemat(file, arrays, do_compression=True)
    content = _MAT_HEADER.ljust(116) + file.getvalue()[116:]  # 116 bytes of text, then fields
    with atomic_path(path) as aside:
        aside.write_bytes(content)

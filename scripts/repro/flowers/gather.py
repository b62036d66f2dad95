"""Pictures of one's own, each of them opened and listed."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from PIL import Image

from repro.compute.pool import map_bounded
from repro.errors import UserError
from repro.flowers.decode import rgb, why_damaged
from repro.flowers.pictures import SEEN_COLUMNS, Found
from repro.system.files import hash_of

log = logging.getLogger("repro")

_AHEAD = 64  # pictures that are opened before their turn
_NAMED = 5  # in a message


@dataclass(frozen=True)
class Described:
    """Pictures, opened.

    Attributes:
        table: columns id, file, label, width, height, sha256, name and, where sets are given,
            split; by id. Files are absolute.
        seen: columns file, size, time and sha256 of every picture, damaged ones too.
        damaged: names of those that cannot be decoded.
    """

    table: pd.DataFrame
    seen: pd.DataFrame
    damaged: list[str]


def describe(found: Found, *, on_damaged: str, workers: int = 1) -> Described:
    """Open every picture and list it.

    Args:
        found: what to open.
        on_damaged: "stop" raises at a damaged picture; "skip" leaves it out and says so.
        workers: threads that decode.

    Raises:
        UserError: a picture is damaged, by the path the user knows it by.
    """
    label_of = {kind: label for label, kind in enumerate(found.kinds, start=1)}
    rows, seen, damaged = [], [], []
    with ThreadPoolExecutor(workers) as pool:
        opened = map_bounded(pool, _open, [p.file for p in found.pictures], workers + _AHEAD)
        for number, (picture, one) in enumerate(zip(found.pictures, opened, strict=True), start=1):
            seen.append((picture.name, *one[:3]))
            if isinstance(one[3], str):
                damaged.append((picture, one[3]))
                continue
            label, sha256 = label_of[picture.kind], one[2]
            rows.append((number, picture.file, label, *one[3], sha256, picture.name, picture.set))
    if damaged and on_damaged == "stop":
        listed = "; ".join(f"{picture.file}: {why}" for picture, why in damaged[:_NAMED])
        raise UserError(
            f"{len(damaged)} damaged picture(s): {listed}. Mend or remove them, or set "
            "flowers.on_damaged: skip in the configuration to go on without them"
        )
    for picture, why in damaged:
        log.warning("left out %s: %s", picture.file, why)
    columns = ["id", "file", "label", "width", "height", "sha256", "name", "split"]
    table = pd.DataFrame(rows, columns=columns)
    if not table["split"].any():
        table = table.drop(columns="split")
    return Described(
        table, pd.DataFrame(seen, columns=SEEN_COLUMNS), [picture.name for picture, _ in damaged]
    )


def _open(file: Path) -> tuple[int, int, str, tuple[int, int] | str]:
    """Return size, time and hash of a file, and width and height or why it cannot be decoded."""
    state = file.stat()
    sha256 = hash_of(file)
    size: tuple[int, int] | str
    try:
        with Image.open(file) as image:
            size = rgb(image).size
    except Exception as error:  # Pillow's readers raise errors of many kinds
        size = why_damaged(error)
    return state.st_size, state.st_mtime_ns, sha256, size

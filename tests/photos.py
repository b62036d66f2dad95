"""Small made-up photographs, for tests that only need something to decode."""

import csv
import hashlib
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from repro.flowers.images import ImageRef, read_images

SIZES = ((90, 70), (70, 90), (80, 80), (123, 77), (64, 200))


def make_photos(folder: Path, count: int, kinds: int = 3, seed: int = 0) -> list[ImageRef]:
    """Write ``count`` JPEGs of ``kinds`` colours and the table images.csv, and read it back."""
    draw = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    colours = draw.integers(0, 256, (kinds, 3))
    rows = []
    for number in range(1, count + 1):
        width, height = SIZES[number % len(SIZES)]
        label = (number * 7) % kinds + 1
        coarse = draw.normal(colours[label - 1], 40, (8, 8, 3)).clip(0, 255).astype(np.uint8)
        file = folder / f"image_{number:05d}.jpg"
        Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        rows.append([number, file.name, label, width, height, digest])
    with (folder / "images.csv").open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["id", "file", "label", "width", "height", "sha256"])
        writer.writerows(rows)
    return read_images(folder / "images.csv")


def pack(path: Path, members: Iterable[tuple[str | tarfile.TarInfo, bytes]]) -> Path:
    """Pack members of such names and contents; one that is given whole has no content."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members:
            if isinstance(name, tarfile.TarInfo):
                tar.addfile(name)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path

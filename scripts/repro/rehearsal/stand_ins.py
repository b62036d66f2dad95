"""Stand-ins for the files the default run fetches: the flowers, their labels, the weights.

They have the form of the official files and nothing of their content: pictures are drawn, weights
are random. With them the run can be rehearsed where the sources cannot be reached.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torchvision.models.resnet import Bottleneck
from tqdm import tqdm

from repro.errors import UserError
from repro.features.backbones import create
from repro.flowers.synthetic import (
    MIN_IMAGES,
    in_processes,
    kind,
    official_split,
    paint,
    write_archive,
    write_mat,
)
from repro.rehearsal.official_form import official_state, write
from repro.system.files import hash_of

FLOWER_FILES = ("102flowers.tgz", "imagelabels.mat", "setid.mat")

_SEED = 1
# In Oxford-102 the shorter side has 500 pixels, and a picture 42 kB on average.
_SHORT, _LONGEST = 500, 750
_ENLARGED, _QUALITY = 1.5, 88
# Each of ResNet-152's fifty blocks adds to what it is given; untrained and unscaled, it would
# double it.
_BLOCK_SCALE = 0.2


def scaled_counts(images: int, official: Sequence[int]) -> list[int]:
    """Return how many of ``images`` each label gets, as the official counts share them out.

    All labels if each can have MIN_IMAGES images, else the first ones only.

    Raises:
        UserError: fewer images than two labels need, or more than there are.
    """
    if not 2 * MIN_IMAGES <= images <= sum(official):
        raise UserError(
            f"rehearsal: {images} images; expected {2 * MIN_IMAGES} to {sum(official)}, as many as "
            "there are"
        )
    labels = min(len(official), images // MIN_IMAGES)
    above = np.cumsum(np.array(official[:labels]) - MIN_IMAGES)
    ends = np.round((images - MIN_IMAGES * labels) * above / above[-1]).astype(int)
    return [MIN_IMAGES + int(more) for more in np.diff(ends, prepend=0)]


def make_flowers(folder: Path, counts: Sequence[int], workers: int) -> dict[str, Path]:
    """Draw as many pictures of each label as ``counts`` says, or find them there.

    The pictures of a label follow one another in the numbers, the labels in no order; the members
    of the archive are in no order at all, after an entry for their folder.

    Returns:
        The files by their official names.
    """
    files = {name: folder / name for name in FLOWER_FILES}
    archive = files["102flowers.tgz"]
    if archive.exists():
        return files
    rng = np.random.default_rng(_SEED)
    mixed = rng.permutation(len(counts)) + 1
    labels = np.repeat(mixed, [counts[label - 1] for label in mixed])
    numbers = rng.permutation(len(labels)) + 1
    write_mat(files["imagelabels.mat"], {"labels": labels.astype(np.uint8)[None]})
    write_mat(files["setid.mat"], official_split(labels, rng))
    with in_processes(workers) as run:
        pictures = run(partial(_picture, labels), numbers.tolist())
        bar = tqdm(pictures, "pictures", len(numbers), unit="image", disable=None)
        # Last: it says that the others are there.
        write_archive(archive, bar, numbers.tolist())
    return files


def _picture(labels: NDArray[np.int64], number: int) -> bytes:
    """Return the JPEG file of the image of this number, of the size of a photograph."""
    rng = np.random.default_rng([_SEED, number])
    size = (int(rng.integers(_SHORT, _LONGEST + 1)), _SHORT)
    if rng.random() < 0.5:
        size = size[::-1]
    small = (round(size[0] / _ENLARGED), round(size[1] / _ENLARGED))
    pixels = paint(kind(int(labels[number - 1])), small, rng)
    file = io.BytesIO()
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(
        file, "JPEG", quality=_QUALITY
    )
    return file.getvalue()


def make_weights(path: Path, architecture: str, *, legacy: bool) -> None:
    """Write random weights in the form of the official file, or find them there.

    Activations stay finite through all layers, and features differ between images.

    Args:
        path: the file.
        architecture: "torchvision:NAME" or "timm:NAME".
        legacy: in the serialisation from before PyTorch 1.6.
    """
    if path.exists():
        return
    network = create(architecture, _SEED)
    for block in network.modules():
        if isinstance(block, Bottleneck):
            nn.init.constant_(block.bn3.weight, _BLOCK_SCALE)
    write(official_state(architecture, network), path, legacy=legacy)


def as_downloads(files: Mapping[str, Path]) -> dict[str, Any]:
    """Return files as entries of ``downloads``, by the names of the files they stand in for."""
    return {
        name: {
            "description": f"a stand-in for {file.name}, made for a rehearsal",
            "licence": "",
            "size": file.stat().st_size,
            "sha256": hash_of(file),
            "sources": [{"path": str(file.resolve())}],
        }
        for name, file in files.items()
    }

"""Photographs to pixels: decoded, scaled, cropped, in batches."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as transforms

from repro.errors import UserError
from repro.features.backbones import Preprocess
from repro.flowers.decode import UnfitError, rgb, why_damaged
from repro.flowers.images import ImageRef


class DamagedImageError(UserError):
    """A photograph that cannot be read, or is not the file its hash was taken of."""


@dataclass(frozen=True)
class Batch:
    """Consecutive images, decoded.

    Attributes:
        rows: positions in the list of images, damaged ones left out.
        pixels: uint8, shape (len(rows), crop, crop, 3).
        damaged: what is wrong with each damaged image, by position.
        end: position after the batch's last image.
    """

    rows: list[int]
    pixels: Tensor
    damaged: dict[int, DamagedImageError]
    end: int


def read_pixels(image: ImageRef, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Decode, scale and crop one photograph: uint8, shape (crop, crop, 3).

    These are the pixels of torchvision's ``Resize`` and ``CenterCrop`` on a PIL image, made upright
    and RGB by :func:`repro.flowers.decode.rgb`.

    Raises:
        DamagedImageError: the file is missing, cut off, no image, not the one that was hashed, or
            so long and narrow that scaling it would fill the memory.
    """
    try:
        content = image.file.read_bytes()
        if image.sha256 and hashlib.sha256(content).hexdigest() != image.sha256:
            raise DamagedImageError(
                f"{image.file}: image {image.id}: exchanged since the images were listed "
                "(its sha256 is another). Put the file back as it was, or delete images.csv of "
                "this data set and run again"
            )
        with Image.open(io.BytesIO(content)) as opened:
            _check_size(opened.size, preprocess)
            picture = rgb(opened)
    except DamagedImageError:
        raise
    except Exception as error:  # Pillow's readers raise errors of many kinds on damaged bytes
        raise DamagedImageError(
            f"{image.file}: image {image.id}: {why_damaged(error)}. Mend the file or put it back, "
            "or set flowers.on_damaged: skip in the configuration to leave such images out"
        ) from error
    mode = InterpolationMode(preprocess.interpolation)
    picture = transforms.resize(picture, [preprocess.resize], interpolation=mode)
    picture = transforms.center_crop(picture, [preprocess.crop, preprocess.crop])
    return np.asarray(picture, dtype=np.uint8)


def _check_size(size: tuple[int, int], preprocess: Preprocess) -> None:
    """Refuse an image of more pixels than Pillow admits, once its shorter side is scaled."""
    short, long = sorted(size)
    scaled = preprocess.resize**2 * long // max(short, 1)
    if Image.MAX_IMAGE_PIXELS and scaled > Image.MAX_IMAGE_PIXELS:
        raise UnfitError(
            f"{size[0]} x {size[1]} pixels, too long for its width: scaled to {preprocess.resize} "
            f"it would have {scaled:,} pixels"
        )


def read_batch(
    images: Sequence[ImageRef],
    preprocess: Preprocess,
    start: int,
    batch_size: int,
    pin: bool = False,
) -> Batch:
    """Decode ``images[start : start + batch_size]``.

    With ``pin`` the pixels lie in page-locked memory, from where a graphics card fetches them by
    itself.
    """
    chosen = images[start : start + batch_size]
    side = preprocess.crop
    pixels = torch.empty((len(chosen), side, side, 3), dtype=torch.uint8, pin_memory=pin)
    slots = pixels.numpy()
    damaged = {}
    for i, image in enumerate(chosen):
        try:
            slots[i] = read_pixels(image, preprocess)
        except DamagedImageError as error:
            damaged[start + i] = error
    good = [i for i in range(len(chosen)) if start + i not in damaged]
    return Batch(
        rows=[start + i for i in good],
        pixels=pixels[good] if damaged else pixels,
        damaged=damaged,
        end=start + len(chosen),
    )


def normalised(pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Map uint8 (n, h, w, 3) to float32 (n, 3, h, w), channels last in memory.

    The steps are those of torchvision's ``ToTensor`` and ``Normalize``, so the numbers are too.
    """
    return pixels.permute(0, 3, 1, 2).float().div_(255).sub_(mean).div_(std)

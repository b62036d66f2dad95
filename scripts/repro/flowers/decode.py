"""A picture of any form as upright RGB of 8 bits, as networks and figures take it."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from repro.errors import own_words, what_is_wrong

_WHITE = (255, 255, 255, 255)
_OF_16_BITS = 65535
_TO_8_BITS = 257


class UnfitError(ValueError):
    """A picture is whole, but not as it is needed: in what, and what to do."""


def rgb(image: Image.Image) -> Image.Image:
    """Return an opened picture upright (EXIF), 16 bits scaled to 8, what is transparent on white.

    Of a plain RGB picture that lies upright these are the pixels as they are decoded.

    Raises:
        UnfitError: its numbers are of more than 16 bits, so that no white is known.
        Exception: Pillow's readers raise errors of many kinds on damaged bytes.
    """
    image.load()
    try:
        image = ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF says nothing of the pixels: taken as it lies
        image = image.copy()
    if image.mode[0] in "IF":
        image = _of_8_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), image)
    return image.convert("RGB")


def _of_8_bits(image: Image.Image) -> Image.Image:
    """Return a grey picture of 16 bits in 8."""
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if image.mode == "F" or low < 0 or high > _OF_16_BITS:
        raise UnfitError(
            f"its values go from {low:g} to {high:g}, and neither 8 nor 16 bits hold them; "
            "save it with 8 or 16 bits"
        )
    scaled = (values.astype(np.uint32) + _TO_8_BITS // 2) // _TO_8_BITS
    return Image.fromarray(scaled.astype(np.uint8))


def why_damaged(error: Exception) -> str:
    """Say in words why a picture could not be read; Pillow's own come last."""
    if isinstance(error, UnfitError):
        return str(error)
    if isinstance(error, Image.DecompressionBombError):
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)  # Pillow only warns of the first half
        return f"more than {most:,} pixels, which no photograph has; save it smaller"
    said = what_is_wrong(error, "a whole picture")
    if isinstance(error, FileNotFoundError | UnidentifiedImageError):  # of which there is no more
        return said
    return f"{said} ({own_words(error)})"

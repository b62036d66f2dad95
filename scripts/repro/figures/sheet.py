"""A contact sheet: pictures with what a net says of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from repro.figures.errors import shorten
from repro.figures.style import GREY

MOST = 60  # pictures on a sheet
_COLUMNS = 5
_WIDE = 28  # characters above and below a picture
# In inches: the sheet, its title, a line of pictures with their text, between two pictures.
_WIDTH, _HEAD, _LINE, _GAP = 8.0, 0.5, 2.15, 0.12


def contact_sheet(
    images: Sequence[NDArray[np.uint8]], answers: Sequence[Mapping[str, Any]], title: str
) -> Figure:
    """Draw pictures with the class a net gives each, and the one it holds for the next likely.

    Args:
        images: the first pictures, uint8, (height, width) or (height, width, 3), at most MOST.
        answers: of all pictures: file, class, probability, second, second_probability.
        title: the net's.
    """
    shown = list(images[:MOST])
    lines = max(1, -(-len(shown) // _COLUMNS))
    height = _HEAD + lines * _LINE
    # Laid out by hand: a long name must not make the pictures smaller.
    figure = Figure(figsize=(_WIDTH, height))
    figure.set_layout_engine("none")
    more = f", the first {len(shown)} of {len(answers):,} pictures" if len(answers) > MOST else ""
    figure.text(0.01, 1 - 0.1 / height, f"{title}{more}", va="top", weight="bold", size=11)
    side = _WIDTH / _COLUMNS
    for place, (image, answer) in enumerate(zip(shown, answers, strict=False)):
        row, column = divmod(place, _COLUMNS)
        top = height - _HEAD - row * _LINE
        axes = figure.add_axes(
            (
                (column * side + _GAP / 2) / _WIDTH,
                (top - side + _GAP) / height,
                (side - _GAP) / _WIDTH,
                (side - _GAP) / height,
            )
        )
        axes.set_axis_off()
        axes.imshow(image, cmap="gray_r", vmin=0, vmax=255)
        name = shorten(PurePosixPath(answer["file"]).name, _WIDE)
        axes.set_title(name, loc="center", size=7, color=GREY, weight="normal", pad=2)
        below: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "va": "top"}
        axes.text(0.5, -0.03, shorten(str(answer["class"]), _WIDE), size=8.5, **below)
        axes.text(0.5, -0.15, _shares(answer), size=7, color=GREY, **below)
    return figure


def _shares(answer: Mapping[str, Any]) -> str:
    second = shorten(str(answer["second"]), _WIDE - 8)
    return (
        f"{100 * answer['probability']:.0f}\u00a0%; "
        f"{second} {100 * answer['second_probability']:.0f}\u00a0%"
    )

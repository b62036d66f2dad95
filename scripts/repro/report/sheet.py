"""A contact sheet: pictures with what a net says of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from repro.report.errors import shorten
from repro.report.style import GREY

MOST = 60  # pictures on a sheet
_COLUMNS = 5
_WIDE = 24  # characters below a picture


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
    figure = Figure(figsize=(8, 0.4 + lines * 2.15))
    more = f", the first {len(shown)} of {len(answers):,} pictures" if len(answers) > MOST else ""
    figure.suptitle(f"{title}{more}", x=0.01, ha="left", weight="bold", size=11)
    grid = figure.subplots(lines, _COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, image, answer in zip(grid.flat, shown, answers, strict=False):
        axes.imshow(image, cmap="gray_r", vmin=0, vmax=255)
        name = shorten(PurePosixPath(answer["file"]).name, _WIDE)
        axes.set_title(name, loc="center", size=7, color=GREY, weight="normal", pad=3)
        first, second = (_said(answer, place) for place in ("class", "second"))
        axes.text(0.5, -0.02, first, transform=axes.transAxes, size=9, ha="center", va="top")
        axes.text(
            *(0.5, -0.14, second),
            transform=axes.transAxes,
            size=7,
            color=GREY,
            ha="center",
            va="top",
        )
    return figure


def _said(answer: Mapping[str, Any], place: str) -> str:
    share = answer["probability" if place == "class" else f"{place}_probability"]
    return f"{shorten(str(answer[place]), _WIDE)} {100 * share:.0f}\u00a0%"

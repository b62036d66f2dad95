"""What all figures share: their look, their colours, how they are saved.

Figures are drawn from tables that are already files; nothing that is a result is computed in them.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from repro.system.files import atomic_path

# Okabe and Ito (2008): told apart with any colour vision. One colour a set, in every figure.
COLOURS = {"train": "#0072B2", "validation": "#E69F00", "test": "#009E73"}
REPRODUCED = "#0072B2"
REPORTED = "#D55E00"
GREY = "#777777"


def styled(style: str | os.PathLike[str]) -> AbstractContextManager[None]:
    """Return a context in which figures have the look of the style file."""
    return mpl.rc_context(fname=style)


def save(figure: Figure, png: str | os.PathLike[str], *, svg: bool = True) -> None:
    """Write the figure as PNG, and beside it as SVG; the same figure gives the same bytes."""
    FigureCanvasAgg(figure)
    with atomic_path(png) as aside:
        figure.savefig(aside, format="png", metadata={"Software": None})
    if not svg:
        return
    with atomic_path(Path(png).with_suffix(".svg")) as aside:
        figure.savefig(aside, format="svg", metadata={"Date": None, "Creator": None})

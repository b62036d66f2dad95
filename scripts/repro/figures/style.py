"""What all figures share: their look, their colours, how they are saved.

Figures are drawn from tables that are already files; nothing that is a result is computed in them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import wrap

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from repro.system.files import atomic_path

# Okabe and Ito (2008): told apart with any colour vision. One colour a set, in every figure.
COLOURS = {"train": "#0072B2", "validation": "#E69F00", "test": "#009E73"}
REPRODUCED = "#0072B2"
REPORTED = "#D55E00"
GREY = "#777777"
_TITLE = 76  # characters of a line

# For what the style's own font has no letters of: one's own classes may be called anything.
_OF_OTHER_SCRIPTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "WenQuanYi Zen Hei", "PingFang SC"),
    *("Hiragino Sans", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Apple SD Gothic Neo"),
    *("Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Thai", "Nirmala UI", "Leelawadee UI"),
    *("Arial Unicode MS", "Unifont"),
)


def heading(title: str) -> str:
    """Return a title in lines that fit a figure's width, for one made from what differs is long."""
    return "\n".join(wrap(title, _TITLE))


@contextmanager
def styled(style: str | os.PathLike[str]) -> Iterator[None]:
    """Give figures the look of the style file, and names in other scripts the fonts there are."""
    with mpl.rc_context(fname=style):
        installed = {font.name for font in font_manager.fontManager.ttflist}
        others = [font for font in _OF_OTHER_SCRIPTS if font in installed]
        mpl.rcParams["font.family"] = [*mpl.rcParams["font.family"], *others]
        yield


def save(figure: Figure, png: str | os.PathLike[str], *, svg: bool = True) -> None:
    """Write the figure as PNG, and beside it as SVG; the same figure gives the same bytes."""
    FigureCanvasAgg(figure)
    with atomic_path(png) as aside:
        figure.savefig(aside, format="png", metadata={"Software": None})
    if not svg:
        return
    with atomic_path(Path(png).with_suffix(".svg")) as aside:
        figure.savefig(aside, format="svg", metadata={"Date": None, "Creator": None})

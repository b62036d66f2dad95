"""Does it hold, at one look: every figure's difference, against what chance and what matters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from repro.comparison.verdict import Verdict
from repro.figures.style import GREY, REPORTED, REPRODUCED
from repro.report import markdown

_ARROW = "\u2192"
_ZERO: dict[str, Any] = {"color": REPORTED, "linewidth": 1.4}
_BAND: dict[str, Any] = {"color": REPORTED, "alpha": 0.12, "linewidth": 0}
_CHANCE: dict[str, Any] = {"color": REPRODUCED, "linewidth": 1.6}
_MEAN: dict[str, Any] = {"linestyle": "none", "marker": "D", "markersize": 6, "color": REPRODUCED}
_HOLLOW: dict[str, Any] = {**_MEAN, "markerfacecolor": "white"}
_RUN: dict[str, Any] = {
    "linestyle": "none",
    "marker": "o",
    "markersize": 4,
    "color": GREY,
    "alpha": 0.6,
    "markeredgewidth": 0,
}
# In margins; what lies further out is drawn at the edge, as an arrow.
_REACH = 2.5
_ROW = 0.26  # inches
_GAP = 1.4  # rows from one model to the next


def comparison(rows: pd.DataFrame, metrics: pd.DataFrame) -> Figure:
    """Draw how far each reproduced figure is from the reported one, as a share of what matters.

    Every figure has a row, whatever its unit: 1 is the difference from which on it matters. A
    diamond is the mean of the runs, its line what chance explains, each dot a run. Only figures
    that may be compared are drawn; those by another protocol than the report's are hollow.

    Args:
        rows: comparison.csv.
        metrics: metrics.csv, all runs.
    """
    compared = rows[rows["difference"].notna()]
    if compared.empty:
        return _said("No figure of the report can be compared with what was run here.")
    height = len(compared) + _GAP * compared["model"].nunique()
    figure = Figure(figsize=(7.6, 1.2 + _ROW * height))
    axes = figure.subplots()
    axes.axvspan(-1, 1, **_BAND)
    axes.axvline(0, **_ZERO)
    _place(axes, compared, metrics)
    axes.set_xlim(-_REACH - 0.1, _REACH + 0.1)
    axes.set_xlabel("Reproduced minus reported, 1 = the difference from which on it matters")
    handles = [
        Line2D([], [], label="reported", **_ZERO),
        Patch(label="too little to matter", **_BAND),
        Line2D([], [], label="mean of the runs", **_MEAN),
        Line2D([], [], label="what chance explains", **_CHANCE),
        Line2D([], [], label="a run", **_RUN),
    ]
    if not compared["protocol"].map(markdown.missing).all():
        handles.append(Line2D([], [], label="by another protocol", **_HOLLOW))
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def _said(text: str) -> Figure:
    """Return a figure that says in words why there is nothing to draw."""
    figure = Figure(figsize=(7, 1.2))
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure


def _place(axes: Axes, rows: pd.DataFrame, metrics: pd.DataFrame) -> None:
    """Draw a heading for each model and below it its figures, one a row."""
    ticks, labels, y = [], [], 0.0
    for (_, title), group in rows.groupby(["model", "title"], sort=False):
        _beside(axes, y, title, left=True, weight="bold", size=9)
        for row in group.to_dict("records"):
            y += 1
            _draw(axes, row, _values(metrics, row), y)
            reported = markdown.number(row["reported"], row["metric"], row["reported_precision"])
            reproduced = markdown.number(markdown.reproduced(row), row["metric"])
            text = f"{reported} {_ARROW} {reproduced}  {markdown.verdict(row)}"
            _beside(axes, y, text, left=False, size=8.5, color=_colour(row["verdict"]))
            ticks.append(y)
            labels.append(markdown.figure_name(row))
        y += _GAP
    axes.set_yticks(ticks, labels)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(y - _GAP + 0.7, -0.8)
    axes.grid(axis="y", visible=False)


def _colour(verdict: str) -> str:
    return REPORTED if Verdict(verdict).kind == "differs" else GREY


def _beside(axes: Axes, y: float, text: str, *, left: bool, **look: Any) -> None:
    axes.annotate(
        text,
        (0 if left else 1, y),
        xycoords=axes.get_yaxis_transform(),
        xytext=(-4 if left else 6, 0),
        textcoords="offset points",
        ha="right" if left else "left",
        va="center",
        **look,
    )


def _values(metrics: pd.DataFrame, row: Mapping[str, Any]) -> pd.Series:
    same = pd.Series(True, index=metrics.index)
    for key in ("model", "split", "metric"):
        same &= metrics[key] == row[key]
    return metrics.loc[same, "value"]


def _draw(axes: Axes, row: Mapping[str, Any], values: pd.Series, y: float) -> None:
    """Draw one row, in margins."""
    margin = row["margin"]
    places = ((values - row["reported"]) / margin).clip(-_REACH, _REACH)
    centre = row["difference"] / margin
    if not markdown.missing(row["half_width"]):
        half = row["half_width"] / margin
        ends = np.clip([centre - half, centre + half], -_REACH, _REACH)
        axes.plot(ends, [y, y], **_CHANCE)
    axes.plot(places, [y] * len(places), **_RUN)
    look = _MEAN if markdown.missing(row["protocol"]) else _HOLLOW
    if abs(centre) > _REACH:
        look = {**look, "marker": ">" if centre > 0 else "<"}
    axes.plot(np.clip(centre, -_REACH, _REACH), y, zorder=5, **look)

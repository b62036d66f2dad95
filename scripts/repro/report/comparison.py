"""Reproduced minus reported, and the spread over runs, as dot plots."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from repro.report import markdown
from repro.report.style import COLOURS, GREY, REPORTED, REPRODUCED

_ARROW = "\u2192"

_DIAMOND: dict[str, Any] = {
    "linestyle": "none",
    "marker": "D",
    "markersize": 6,
    "markerfacecolor": "none",
    "markeredgecolor": REPORTED,
    "markeredgewidth": 1.4,
    "zorder": 4,
}
_ZERO: dict[str, Any] = {"color": REPORTED, "linewidth": 1.4}
_RANGE: dict[str, Any] = {
    "color": REPRODUCED,
    "linewidth": 7,
    "alpha": 0.3,
    "solid_capstyle": "butt",
}
_INTERVAL: dict[str, Any] = {"color": REPRODUCED, "linewidth": 1.2}
_DOT: dict[str, Any] = {"linestyle": "none", "marker": "o", "color": REPRODUCED, "zorder": 5}
_HOLLOW: dict[str, Any] = {**_DOT, "markerfacecolor": "white"}
_HEADLINE: dict[str, Any] = {"linestyle": "none", "marker": "o"}
_FURTHER: dict[str, Any] = {**_HEADLINE, "alpha": 0.4, "markeredgewidth": 0}

_ROW = 0.25  # inches
_GAP = 1.4  # rows from one model to the next


def comparison(rows: pd.DataFrame) -> Figure:
    """Draw how far each reproduced figure is from the reported one.

    Only figures that may be compared are drawn, accuracies in one panel and AUCs in another. Those
    by another protocol than the report's are hollow, and have no interval to hold the report in.

    Args:
        rows: comparison.csv.
    """
    compared = rows[rows["difference_pp"].notna()]
    is_accuracy = compared["metric"].str.endswith("accuracy")
    panels = [
        (part, label)
        for part, label in (
            (compared[is_accuracy], "Reproduced minus reported accuracy (percentage points)"),
            (compared[~is_accuracy], "Reproduced minus reported AUC (percentage points)"),
        )
        if not part.empty
    ]
    if not panels:
        return _said("No figure of the report can be compared with what was run here.")
    heights = [_height(part) for part, _ in panels]
    figure = Figure(figsize=(7, 0.9 + 0.4 * len(panels) + _ROW * sum(heights)))
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
    for axes, (part, label) in zip(grid[:, 0], panels, strict=True):
        axes.axvline(0, **_ZERO)
        _place(axes, part, _difference)
        axes.set_xlabel(label)
        axes.margins(x=0.08)
    handles = [
        Line2D([], [], label="reported", **_ZERO),
        Line2D([], [], label="reproduced", **_DOT),
        Line2D([], [], label="its 95 % interval", **_INTERVAL),
    ]
    same = compared["protocol"].map(markdown.missing)
    if not same.all():
        handles.append(Line2D([], [], label="by another protocol", **_HOLLOW))
    if (compared.loc[same, "n_seeds"] > 1).any():
        handles.append(Line2D([], [], label="range of runs", **_RANGE))
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
    return figure


def _said(text: str) -> Figure:
    """Return a figure that says in words why there is nothing to draw."""
    figure = Figure(figsize=(7, 1.2))
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure


def _height(rows: pd.DataFrame) -> float:
    return float(len(rows) + _GAP * rows["model"].nunique())


def _place(axes: Axes, rows: pd.DataFrame, draw: Any) -> None:
    """Draw a heading for each model and below it its figures, one a row."""
    ticks, labels, y = [], [], 0.0
    for (_, title), group in rows.groupby(["model", "title"], sort=False):
        _beside(axes, y, title, left=True, weight="bold", size=9)
        _beside(axes, y, _protocol(group), left=False, size=8.5, color=GREY)
        for row in group.to_dict("records"):
            y += 1
            text = draw(axes, row, y)
            _beside(axes, y, text, left=False, size=8.5, color=GREY)
            ticks.append(y)
            labels.append(row["split"])
        y += _GAP
    axes.set_yticks(ticks, labels)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(y - _GAP + 0.7, -0.8)
    axes.grid(axis="y", visible=False)


def _protocol(rows: pd.DataFrame) -> str:
    """Return in words that a model ran by another protocol than the report's, where it did."""
    found = [protocol for protocol in rows["protocol"] if not markdown.missing(protocol)]
    return f"by another protocol: {found[0]}" if found else ""


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


def _difference(axes: Axes, row: dict[str, Any], y: float) -> str:
    """Draw one row; return the two values in words."""

    def distance(*keys: str) -> list[float]:
        return [100 * (row[key] - row["reported"]) for key in keys]

    same = markdown.missing(row["protocol"])
    if same and not markdown.missing(row["wilson_low"]):
        axes.plot(distance("wilson_low", "wilson_high"), [y, y], **_INTERVAL)
    if same and row["n_seeds"] > 1:
        axes.plot(distance("min", "max"), [y, y], **_RANGE)
    axes.plot(distance("reproduced"), [y], **(_DOT if same else _HOLLOW))
    reported = markdown.number(row["reported"], row["metric"], row["reported_precision"])
    return f"{reported} {_ARROW} {markdown.number(row['reproduced'], row['metric'])}"


def spread(metrics: pd.DataFrame, rows: pd.DataFrame) -> Figure:
    """Draw the accuracy of every run as its distance from the mean of a model's runs.

    Each model has an axis of its own, because a split of few images spreads much wider.

    Args:
        metrics: metrics.csv, all runs.
        rows: comparison.csv; its accuracies of models that ran more than once are drawn.
    """
    many = rows[(rows["n_seeds"] > 1) & rows["metric"].str.endswith("accuracy")]
    if many.empty:
        return _said("Every model ran once. More seeds or splits in the configuration show it.")
    groups = [group for _, group in many.groupby("model", sort=False)]
    heights = [_height(group) for group in groups]
    figure = Figure(figsize=(7, 0.8 + 0.3 * len(groups) + _ROW * sum(heights)))
    grid = figure.subplots(len(groups), 1, squeeze=False, height_ratios=heights)

    for axes, group in zip(grid[:, 0], groups, strict=True):

        def draw(axes: Axes, row: dict[str, Any], y: float) -> str:
            return _runs(axes, _values(metrics, row), row, y)

        axes.axvline(0, color=GREY, linewidth=0.8)
        _place(axes, group, draw)
        # Nothing is to look wide only because its axis is narrow.
        reach = max(0.5, *(abs(limit) for limit in axes.get_xlim()))
        axes.set_xlim(-reach, reach)
    grid[-1, 0].set_xlabel("Accuracy minus the mean of the runs (percentage points)")
    handles = [
        Line2D([], [], label="reported", **_DIAMOND),
        Line2D([], [], label="headline run", color=GREY, **_HEADLINE),
        Line2D([], [], label="further runs", color=GREY, **_FURTHER),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def _values(metrics: pd.DataFrame, row: dict[str, Any]) -> pd.Series:
    same = pd.Series(True, index=metrics.index)
    for key in ("model", "split", "metric"):
        same &= metrics[key] == row[key]
    return metrics.loc[same, "value"]


def _runs(axes: Axes, values: pd.Series, row: dict[str, Any], y: float) -> str:
    """Draw one row; return mean, standard deviation and number of runs in words."""
    colour = COLOURS[row["split"]]
    axes.plot(100 * (values - row["mean"]), [y] * len(values), color=colour, **_FURTHER)
    axes.plot(100 * (row["reproduced"] - row["mean"]), y, color=colour, **_HEADLINE)
    if all(markdown.missing(row[key]) for key in ("why_not", "protocol")) and not markdown.missing(
        row["reported"]
    ):
        axes.plot(100 * (row["reported"] - row["mean"]), y, **_DIAMOND)
    return f"{markdown.mean_and_sd(row)}, n = {row['n_seeds']}"

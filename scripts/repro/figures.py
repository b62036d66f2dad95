"""Figures, each from tables that are already files. Nothing is computed here that is a result.

Each function returns a :class:`matplotlib.figure.Figure`; :func:`save` writes it. The look comes
from a style file that the caller applies with :func:`styled`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from repro import tables
from repro.files import atomic_path

# Okabe and Ito (2008); one colour a set in every figure.
COLOURS = {"train": "#0072B2", "validation": "#E69F00", "test": "#009E73"}
REPORTED = "#D55E00"
GREY = "#777777"

_SCALE = {"accuracy": 100.0, "loss": 1.0}
_LABEL = {"accuracy": "Accuracy (%)", "loss": "Loss"}


def styled(style: str | os.PathLike[str]) -> AbstractContextManager[None]:
    """Return a context in which figures have the look of the style file."""
    return mpl.rc_context(fname=style)


def save(figure: Figure, png: str | os.PathLike[str], svg: str | os.PathLike[str]) -> None:
    """Write the figure as PNG and SVG; the same figure gives the same bytes."""
    FigureCanvasAgg(figure)
    with atomic_path(png) as aside:
        figure.savefig(aside, format="png", metadata={"Software": None})
    with atomic_path(svg) as aside:
        figure.savefig(aside, format="svg", metadata={"Date": None, "Creator": None})


def curves(
    histories: Sequence[pd.DataFrame],
    quantity: str,
    splits: Sequence[str],
    title: str,
    reported: pd.DataFrame | None = None,
) -> Figure:
    """Draw accuracy or loss per epoch: the first history bold, further runs thin.

    Args:
        histories: columns epoch, split, accuracy, loss; the headline run first.
        quantity: "accuracy" or "loss".
        splits: which sets to draw.
        title: the model's.
        reported: the report's own curve in the same columns, or None.
    """
    figure = Figure()
    axes = figure.subplots()
    scale = _SCALE[quantity]
    for number, history in enumerate(histories):
        for split in splits:
            rows = history[history["split"] == split].dropna(subset=[quantity])
            axes.plot(
                rows["epoch"],
                scale * rows[quantity],
                color=COLOURS[split],
                linewidth=0.7 if number else 1.8,
                alpha=0.35 if number else 1.0,
                zorder=2 if number else 3,
            )
    if reported is not None:
        for split in splits:
            rows = reported[reported["split"] == split].dropna(subset=[quantity])
            axes.plot(
                rows["epoch"],
                scale * rows[quantity],
                color=COLOURS[split],
                linestyle="none",
                marker="o",
                markerfacecolor="white",
                zorder=4,
            )
    axes.set_title(title)
    axes.set_xlabel("Epoch")
    axes.set_ylabel(_LABEL[quantity])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _curve_legend(axes, histories, quantity, splits, reported is not None)
    return figure


def _curve_legend(
    axes: Axes,
    histories: Sequence[pd.DataFrame],
    quantity: str,
    splits: Sequence[str],
    reported: bool,
) -> None:
    handles = []
    for split in splits:
        last = histories[0].loc[histories[0]["split"] == split, quantity].iloc[-1]
        value = f"{100 * last:.2f} %" if quantity == "accuracy" else f"{last:.3f}"
        handles.append(Line2D([], [], color=COLOURS[split], label=f"{split}, at the end {value}"))
    if len(histories) > 1:
        label = f"{len(histories) - 1} further runs"
        handles.append(Line2D([], [], color=GREY, linewidth=0.7, label=label))
    if reported:
        handles.append(
            Line2D(
                [],
                [],
                color=GREY,
                linestyle="none",
                marker="o",
                markerfacecolor="white",
                label="as reported",
            )
        )
    axes.legend(handles=handles, loc="lower right" if quantity == "accuracy" else "upper right")


def comparison(rows: pd.DataFrame) -> Figure:
    """Draw every figure of the comparison: reported, reproduced, intervals and range of runs."""
    accuracies = rows[rows["metric"].str.endswith("accuracy")]
    areas = rows[~rows["metric"].str.endswith("accuracy")]
    panels = [panel for panel in (accuracies, areas) if not panel.empty]
    heights = [len(panel) + panel["model"].nunique() for panel in panels]
    figure = Figure(figsize=(7, 1.2 + 0.24 * sum(heights)))
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
    for axes, panel in zip(grid[:, 0], panels, strict=True):
        is_accuracy = panel is accuracies
        _dots(axes, panel, 100.0 if is_accuracy else 1.0)
        axes.set_xlabel("Accuracy (%)" if is_accuracy else "Macro AUC, one-vs-rest on softmax")
    _dots_legend(figure)
    return figure


def _dots(axes: Axes, rows: pd.DataFrame, scale: float) -> None:
    ticks, labels, y = [], [], 0.0
    for (_, title), group in rows.groupby(["model", "title"], sort=False):
        axes.text(
            -0.01,
            y,
            title,
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="center",
            weight="bold",
            size=9,
        )
        y += 1
        for row in group.to_dict("records"):
            _dot(axes, row, y, scale)
            ticks.append(y)
            labels.append(row["split"])
            y += 1
    axes.set_yticks(ticks, labels)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(y - 0.4, -0.6)
    axes.grid(axis="y", visible=False)


def _dot(axes: Axes, row: dict[str, Any], y: float, scale: float) -> None:
    if not tables.missing(row["wilson_low"]):
        axes.plot(
            [scale * row["wilson_low"], scale * row["wilson_high"]],
            [y, y],
            color=COLOURS["train"],
            linewidth=1,
        )
    if not tables.missing(row["reproduced"]):
        if row["n_seeds"] > 1:
            axes.plot(
                [scale * row["min"], scale * row["max"]],
                [y, y],
                color=COLOURS["train"],
                linewidth=5,
                alpha=0.3,
                solid_capstyle="butt",
            )
        axes.plot(scale * row["reproduced"], y, "o", color=COLOURS["train"])
    if not tables.missing(row["reported"]):
        axes.plot(
            scale * row["reported"],
            y,
            "D",
            markerfacecolor="none",
            markeredgecolor=REPORTED,
            markersize=6,
            markeredgewidth=1.4,
            zorder=4,
        )


def _dots_legend(figure: Figure) -> None:
    blue = COLOURS["train"]
    handles = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker="D",
            markerfacecolor="none",
            markeredgecolor=REPORTED,
            markersize=6,
            markeredgewidth=1.4,
            label="reported",
        ),
        Line2D([], [], linestyle="none", marker="o", color=blue, label="reproduced"),
        Line2D([], [], color=blue, linewidth=1, label="95 % interval"),
        Line2D([], [], color=blue, linewidth=5, alpha=0.3, label="range of runs"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=4)

"""The benchmarks of this project as ratios of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.errors import UserError
from repro.figures.style import GREY, REPRODUCED

# What counts as one, and what is this project's: names as the benchmarks write them.
MNIST_REFERENCE = "this project, float32"
FLOWERS_REFERENCE = "this project"

_OTHER = "#9FB3C4"
_ROW = 0.3  # inches
_TIMES = "\u00d7"


@dataclass(frozen=True)
class _Panel:
    """The times of each contender, round by round, in one unit."""

    title: str
    times: Mapping[str, pd.Series]


def mnist(times: pd.DataFrame) -> Figure:
    """Draw how long each contender takes for an epoch, as a multiple of this project in float32.

    Args:
        times: columns round, contender, training, evaluation, epoch (seconds). Who is timed in
            training only has an evaluation of zero.

    Raises:
        UserError: where the columns are others, or the reference is missing.
    """
    _check(times, ("contender", "training", "evaluation", "epoch"), "bench_mnist.csv")
    own = dict(list(times.groupby("contender", sort=False)))
    panels = [
        _Panel("Training alone", {name: rows["training"] for name, rows in own.items()}),
        _Panel(
            "Whole epoch, evaluations included",
            {name: rows["epoch"] for name, rows in own.items() if rows["evaluation"].any()},
        ),
    ]
    return _draw(panels, MNIST_REFERENCE, "bench_mnist.csv")


def flowers(times: pd.DataFrame) -> Figure:
    """Draw how long a pass over the images takes, as a multiple of this project's.

    Args:
        times: columns network, contender, round, seconds.

    Raises:
        UserError: where the columns are others, or the reference is missing.
    """
    _check(times, ("network", "contender", "seconds"), "bench_flowers.csv")
    panels = [
        _Panel(
            network,
            {name: own["seconds"] for name, own in rows.groupby("contender", sort=False)},
        )
        for network, rows in times.groupby("network", sort=False)
    ]
    return _draw(panels, FLOWERS_REFERENCE, "bench_flowers.csv")


def _check(times: pd.DataFrame, columns: Sequence[str], file: str) -> None:
    if missing := [name for name in columns if name not in times.columns]:
        raise UserError(
            f"{file}: column {missing[0]!r} is missing, expected {', '.join(columns)}; "
            "run the benchmark again"
        )


def _draw(panels: Sequence[_Panel], reference: str, file: str) -> Figure:
    heights = [len(panel.times) for panel in panels]
    figure = Figure(figsize=(7, 0.7 + 0.5 * len(panels) + _ROW * sum(heights)))
    grid = figure.subplots(
        len(panels),
        1,
        sharex=True,
        squeeze=False,
        height_ratios=[height + 0.6 for height in heights],
    )
    for axes, panel in zip(grid[:, 0], panels, strict=True):
        if reference not in panel.times:
            raise UserError(
                f"{file}: {reference!r} is not among {', '.join(panel.times)}; run it again"
            )
        _ratios(axes, panel, reference)
    grid[-1, 0].set_xlabel(f"Time as a multiple of {reference} ({_TIMES}), shorter is faster")
    return figure


def _ratios(axes: Axes, panel: _Panel, reference: str) -> None:
    """Draw medians as bars, and the middle half of the rounds as lines.

    Ratios are taken within a round: what slows the machine slows all contenders in it.
    """
    unit = panel.times[reference].to_numpy()
    names = list(panel.times)
    ratios = [pd.Series(times.to_numpy() / unit) for times in panel.times.values()]
    quartiles = [own.quantile([0.25, 0.5, 0.75]) for own in ratios]
    colours = [REPRODUCED if name.startswith("this project") else _OTHER for name in names]
    axes.barh(range(len(names)), [own[0.5] for own in quartiles], height=0.7, color=colours)
    for y, own in enumerate(quartiles):
        axes.plot([own[0.25], own[0.75]], [y, y], color="#222222", linewidth=0.9)
        axes.annotate(
            f"{own[0.5]:.2f}{_TIMES}",
            (own[0.75], y),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            size=8.5,
            color=GREY,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    axes.axvline(1, color=REPRODUCED, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_title(panel.title)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)

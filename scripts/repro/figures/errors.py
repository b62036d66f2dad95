"""Where a model errs: confusion, the images it was most sure of and wrong, reliability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from repro.figures.style import GREY, REPORTED, REPRODUCED, heading

_MOST_PAIRS = 15
_LONGEST = 28  # characters of a class's name
_UPRIGHT = 3  # characters that stand side by side below a matrix
_BELOW: dict[str, Any] = {"ha": "center", "va": "top"}
_ARROW = "\u2192"
_NO_BREAK = "\u00a0"

FEW = 10  # images of a bin; its accuracy says little


def confusion_matrix(counts: pd.DataFrame, title: str) -> Figure:
    """Draw all classes against all, for a few classes.

    Args:
        counts: columns true, taken_for, count and, where classes have names, true_name and
            taken_for_name; every class on its own diagonal at least.
        title: the model's.
    """
    labels = sorted(set(counts["true"]) | set(counts["taken_for"]))
    matrix = (
        counts.pivot(index="true", columns="taken_for", values="count")
        .reindex(index=labels, columns=labels)
        .fillna(0)
        .to_numpy(np.int64)
    )
    errors = matrix - np.diag(np.diag(matrix))
    figure = Figure(figsize=(7, 5.6))
    axes = figure.subplots()
    shown = axes.imshow(np.ma.masked_equal(errors, 0), cmap="Oranges", vmin=0)
    for i, j in np.ndindex(matrix.shape):
        if matrix[i, j]:
            dark = i != j and errors[i, j] > 0.6 * errors.max()
            axes.text(
                j,
                i,
                str(matrix[i, j]),
                ha="center",
                va="center",
                size=8.5,
                color="white" if dark else GREY if i == j else "#222222",
            )
    axes.set_title(title)
    axes.set_xlabel("Taken for")
    axes.set_ylabel("True class")
    names = [shorten(str(name), _LONGEST) for name in _names(counts, labels)]
    axes.set_xticks(range(len(labels)), names)
    if max(map(len, names)) > _UPRIGHT:
        for tick in axes.get_xticklabels():
            tick.set(rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), names)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    figure.colorbar(shown, ax=axes, label="Images taken for another class", shrink=0.8)
    return figure


def _names(counts: pd.DataFrame, labels: Sequence[int]) -> list[str]:
    """Return the names of classes, or their labels where they have none."""
    found: dict[int, str] = {}
    for side in ("true", "taken_for"):
        if f"{side}_name" in counts:
            found |= dict(zip(counts[side], counts[f"{side}_name"], strict=True))
    return [str(found.get(label, label)) for label in labels]


def shorten(text: str, most: int) -> str:
    """Return a text of at most ``most`` characters, the middle of a longer one left out."""
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}\u2026{text[-half:]}"


def confused_pairs(counts: pd.DataFrame, title: str) -> Figure:
    """Draw the most frequent confusions, for many classes.

    Args:
        counts: columns true, taken_for, count, n; with names true_name and taken_for_name.
        title: the model's.
    """
    wrong = counts[counts["true"] != counts["taken_for"]]
    # A pair mixed up once is chance; it is shown only where nothing happened twice.
    often = wrong[wrong["count"] > 1]
    worst = (wrong if often.empty else often).sort_values(
        ["count", "n", "true"], ascending=[False, True, True]
    )
    worst = worst.head(_MOST_PAIRS)
    true, taken = (
        worst.get(f"{side}_name", worst[side]).astype(str) for side in ("true", "taken_for")
    )
    figure = Figure(figsize=(7, 1.2 + 0.27 * max(len(worst), 3)))
    axes = figure.subplots()
    places = range(len(worst))
    axes.barh(places, worst["count"], color=REPRODUCED, height=0.7)
    for place, count, n in zip(places, worst["count"], worst["n"], strict=True):
        axes.text(count, place, f" of {n}", va="center", size=8.5, color=GREY)
    pairs = [
        f"{shorten(a, _LONGEST)} {_ARROW} {shorten(b, _LONGEST)}"
        for a, b in zip(true, taken, strict=True)
    ]
    axes.set_yticks(places, pairs)
    # A single pair gets a bar of the same height as any.
    axes.set_ylim(max(len(worst), 3) - 0.5, -0.5)
    axes.set_title(title)
    axes.set_xlabel("Test images of the first class taken for the second")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    return figure


def gallery(
    images: Sequence[NDArray[np.uint8]], mistakes: Sequence[dict[str, Any]], title: str
) -> Figure:
    """Draw images that were taken for another class, with true and predicted names.

    Args:
        images: one array an image, uint8, shape (height, width) or (height, width, 3).
        mistakes: of the same length, each with true, taken_for, confidence and, where classes
            have names, true_name and taken_for_name; where images are files, file.
        title: the model's.
    """
    columns = 6 if images and images[0].shape[0] <= 32 else 4
    lines = max(1, -(-len(images) // columns))
    figure = Figure(figsize=(7, 0.5 + lines * (0.55 + 6.6 / columns)))
    figure.suptitle(title, x=0.01, ha="left", weight="bold", size=11)
    grid = figure.subplots(lines, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, image, mistake in zip(grid.flat, images, mistakes, strict=False):
        _show(axes, image, mistake, columns)
    return figure


def only_one(groups: Sequence[OnlyOne]) -> Figure:
    """Draw images that only one of two nets gets right, those of each net under its title."""
    columns = 6 if all(image.shape[0] <= 32 for group in groups for image in group.images) else 4
    lines = [-(-len(group.images) // columns) for group in groups]
    heights = [0.6 + count * (0.55 + 6.6 / columns) for count in lines]
    figure = Figure(figsize=(7, sum(heights)))
    parts = figure.subfigures(len(groups), 1, height_ratios=heights, squeeze=False)
    for part, group, count in zip(parts.flat, groups, lines, strict=True):
        title = heading(f"{group.count} images right by {group.title} alone")
        part.suptitle(title, x=0.01, ha="left", weight="bold", size=11)
        if not count:
            continue
        grid = part.subplots(count, columns, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, image, mistake in zip(grid.flat, group.images, group.mistakes, strict=False):
            _show(axes, image, mistake, columns)
    return figure


@dataclass(frozen=True)
class OnlyOne:
    """Images that one of two nets gets right, and the other wrong.

    Attributes:
        title: of the net that is right.
        count: of all such images.
        images: those that are shown, as for :func:`gallery`.
        mistakes: what the other net takes each of them for, as for :func:`gallery`.
    """

    title: str
    count: int
    images: Sequence[NDArray[np.uint8]]
    mistakes: Sequence[dict[str, Any]]


def _show(axes: Axes, image: NDArray[np.uint8], mistake: dict[str, Any], columns: int) -> None:
    """Draw an image, and above it what it is and what it was taken for."""
    axes.imshow(image, cmap="gray_r", vmin=0, vmax=255)
    true, taken = (mistake.get(f"{x}_name", mistake[x]) for x in ("true", "taken_for"))
    below = f"taken for {taken} ({100 * mistake['confidence']:.0f}{_NO_BREAK}%)"
    wide = 110 // columns
    text = "\n".join([shorten(str(true), wide), *wrap(below, wide)])
    if "file" in mistake:
        name = shorten(PurePosixPath(mistake["file"]).name, wide)
        axes.text(0.5, -0.02, name, transform=axes.transAxes, size=7, color=GREY, **_BELOW)
    axes.set_title(text, loc="center", size=8.5, weight="normal", pad=4)


def reliability(bins: pd.DataFrame, ece: float, title: str) -> Figure:
    """Draw accuracy against confidence, and how many images there are at each confidence.

    Bins of a few images stand apart: one of a single image is at nothing or at all.

    Args:
        bins: columns confidence, accuracy, count; as fractions.
        ece: expected calibration error, a fraction.
        title: the model's.
    """
    figure = Figure(figsize=(7, 4.6))
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    top.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="perfectly calibrated")
    few = bins["count"] < FEW
    many = bins[~few]
    top.plot(many["confidence"], many["accuracy"], "o-", color=REPRODUCED, label="test images")
    top.vlines(many["confidence"], many["confidence"], many["accuracy"], color=REPORTED, alpha=0.5)
    if few.any():
        look = {"color": GREY, "markerfacecolor": "white", "markersize": 4}
        label = f"fewer than {FEW} images"
        top.plot(bins["confidence"][few], bins["accuracy"][few], "o", label=label, **look)
    top.set_title(title)
    top.set_ylabel("Accuracy")
    name = f"Expected calibration error {100 * ece:.1f} %"
    top.legend(loc="best", title=name, alignment="left")
    width = 1 / 40
    bottom.bar(bins["confidence"], bins["count"], width=width, color=REPRODUCED)
    bottom.set_ylabel("Images")
    bottom.set_xlabel("Confidence in the predicted class")
    for axis in (top.yaxis, bottom.xaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    return figure

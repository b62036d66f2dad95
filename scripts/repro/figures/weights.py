"""The first layer of an MNIST net as pictures: which pixels speak for a unit, and which against."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from safetensors.numpy import load_file

from repro.figures.style import heading

_SIDE = 28  # pixels
_COLUMNS, _MOST = 10, 50


def first_layer(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Return the weights of the first layer, shape (units, 784), of a trained MNIST net."""
    if Path(path).suffix == ".safetensors":
        return np.asarray(load_file(path)["0.weight"])
    with np.load(path, allow_pickle=False) as file:
        return np.asarray(file["weights_0"])


def pictures(weights: NDArray[Any], title: str, *, of_digits: bool = False) -> Figure:
    """Draw a picture a unit, the first fifty at most; white is a weight of zero.

    Args:
        weights: shape (units, 784).
        title: the model's.
        of_digits: whether the units are the outputs, one a digit.
    """
    shown = weights[:_MOST].reshape(-1, _SIDE, _SIDE)
    lines = -(-len(shown) // _COLUMNS)
    figure = Figure(figsize=(7, 0.6 + 0.7 * lines + 0.2 * of_digits))
    more = f", the first {len(shown)} of {len(weights)} units" if len(weights) > len(shown) else ""
    figure.suptitle(heading(f"{title}{more}"), x=0.01, ha="left", weight="bold", size=11)
    grid = figure.subplots(lines, _COLUMNS, squeeze=False)
    limit = float(np.abs(shown).max())
    for axes in grid.flat:
        axes.set_axis_off()
    for unit, (axes, picture) in enumerate(zip(grid.flat, shown, strict=False)):
        axes.imshow(picture, cmap="RdBu", vmin=-limit, vmax=limit)
        if of_digits:
            axes.set_title(str(unit), loc="center", size=8.5, weight="normal", pad=4)
    return figure

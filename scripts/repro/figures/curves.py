"""Accuracy, error or loss per epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from repro.figures.style import COLOURS, GREY

_LABELS = {"accuracy": "Accuracy (%)", "error": "Error (%)"}
_LONG = 15  # epochs
_LATER = (0.4, 0.3, 0.56, 0.42)  # between the curves and the legend, in shares of the axes


def curves(
    histories: Sequence[pd.DataFrame],
    quantity: str,
    splits: Sequence[str],
    title: str,
    *,
    reported: pd.DataFrame | None = None,
    reported_label: str = "as reported",
    loss_label: str = "Loss",
    against: pd.DataFrame | None = None,
    against_label: str = "",
) -> Figure:
    """Draw accuracy, error or loss per epoch: the first history bold, further runs thin.

    The latter half of a long training is shown enlarged as well: by then its sets differ by less
    than a line's width.

    Args:
        histories: columns epoch, split, accuracy, loss; the headline run first.
        quantity: "accuracy", "error", which is what accuracy leaves, or "loss".
        splits: which sets to draw.
        title: the model's.
        reported: the report's own curve in the same columns, drawn behind, or None.
        reported_label: what the legend calls it.
        loss_label: label of the loss axis, with its unit.
        against: history of the net it is set against, drawn dashed, or None.
        against_label: what the legend calls that net.
    """
    figure = Figure()
    axes = figure.subplots()
    others = [(reported, _AS_REPORTED), (against, _AGAINST)]
    behind = [(each, look) for each, look in others if each is not None]
    _draw_all(axes, histories, quantity, splits, behind)
    last = int(histories[0]["epoch"].max())
    if quantity in _LABELS and last >= _LONG:
        later = axes.inset_axes(_LATER)
        middle = last // 2 + 1
        own = [_from(middle, history) for history in histories]
        late = [(_from(middle, each), look) for each, look in behind]
        _draw_all(later, own, quantity, splits, late)
        later.set_title(f"epochs {middle} to {last}, enlarged", size=8.5, weight="normal")
        later.tick_params(labelsize=8)
        later.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        later.margins(x=0.02)
    axes.set_title(title)
    axes.set_xlabel("Epoch")
    axes.set_ylabel(_LABELS.get(quantity, loss_label))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.margins(x=0.02)
    axes.legend(
        handles=[
            *_handles(histories, quantity, splits, reported_label * (reported is not None)),
            *(
                [Line2D([], [], color=GREY, label=against_label, **_AGAINST)]
                * (against is not None)
            ),
        ],
        loc="lower right" if quantity == "accuracy" else "upper right",
    )
    return figure


_AS_REPORTED: dict[str, Any] = {
    "linestyle": (0, (1, 1.5)),
    "linewidth": 1.2,
    "marker": "o",
    "markersize": 4.5,
    "markerfacecolor": "white",
    "alpha": 0.8,
}


_AGAINST: dict[str, Any] = {"linestyle": (0, (5, 2)), "linewidth": 1.1, "alpha": 0.8}


def _from(epoch: int, history: pd.DataFrame) -> pd.DataFrame:
    return history[history["epoch"] >= epoch]


def _draw_all(
    axes: Axes,
    histories: Sequence[pd.DataFrame],
    quantity: str,
    splits: Sequence[str],
    behind: Sequence[tuple[pd.DataFrame, dict[str, Any]]],
) -> None:
    for history, look in behind:
        _draw(axes, history, quantity, splits, **look)
    for history in histories[:0:-1]:
        _draw(axes, history, quantity, splits, linewidth=0.7, alpha=0.4)
    _draw(axes, histories[0], quantity, splits)


def _draw(
    axes: Axes, history: pd.DataFrame, quantity: str, splits: Sequence[str], **look: Any
) -> None:
    for split in splits:
        rows = _of(history, quantity, split)
        axes.plot(rows["epoch"], rows["value"], color=COLOURS[split], **look)


def _of(history: pd.DataFrame, quantity: str, split: str) -> pd.DataFrame:
    """Return columns epoch and value of a set, as they are drawn."""
    rows = history[history["split"] == split]
    value = rows["loss"] if quantity == "loss" else 100 * rows["accuracy"]
    value = 100 - value if quantity == "error" else value
    return pd.DataFrame({"epoch": rows["epoch"], "value": value}).dropna()


def _handles(
    histories: Sequence[pd.DataFrame], quantity: str, splits: Sequence[str], reported: str
) -> list[Line2D]:
    handles = []
    for split in splits:
        own = _of(histories[0], quantity, split)
        if own.empty:
            continue
        end = own.loc[own["epoch"].idxmax(), "value"]
        value = f"{end:.2f} %" if quantity in _LABELS else f"{end:.3f}"
        label = f"{split}, at the end {value}"
        handles.append(Line2D([], [], color=COLOURS[split], label=label))
    if further := len(histories) - 1:
        label = f"{further} further run{'s' if further > 1 else ''}"
        handles.append(Line2D([], [], color=GREY, linewidth=0.7, label=label))
    if reported:
        handles.append(Line2D([], [], color=GREY, label=reported, **_AS_REPORTED))
    return handles

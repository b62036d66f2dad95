"""Tables as Markdown, narrow enough to be read in a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

_DASH = "\u2013"
NAMES = {
    "accuracy": "accuracy %",
    "running_accuracy": "accuracy %",
    "auc_ovr_softmax": "AUC",
    "auc_ovr_raw": "AUC (raw)",
    "auc_ovr_sum": "AUC (sum-normalised)",
    "auc_ovo_softmax": "AUC (one-vs-one)",
}


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int]) -> str:
    """Return an aligned Markdown table; the columns in ``numbers`` are set flush right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        set_flush = [
            cell.rjust(width) if i in numbers else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join(set_flush) + " |"

    rule = [
        "-" * (width - 1) + ":" if i in numbers else "-" * width for i, width in enumerate(widths)
    ]
    return "\n".join([line(header), line(rule), *(line(row) for row in rows)]) + "\n"


def comparison(rows: pd.DataFrame) -> str:
    """Return the comparison as Markdown: the figures first, the spread over runs after it."""
    return main_table(rows)


def main_table(rows: pd.DataFrame) -> str:
    """Return one line per figure, grouped by model."""
    header = ["figure", "reported", "reproduced", "diff.", "95 % interval", "verdict"]
    lines: list[list[str]] = []
    for (_, title), group in rows.groupby(["model", "title"], sort=False):
        lines.append([f"**{title}**", "", "", "", "", ""])
        for row in group.to_dict("records"):
            lines.append(_line(row))
    return markdown(header, lines, numbers=(1, 2, 3, 4))


def _line(row: dict[str, Any]) -> list[str]:
    metric = row["metric"]
    low, high = (number(row[key], metric) for key in ("wilson_low", "wilson_high"))
    why_not = row["why_not"]
    return [
        f"{row['split']} {NAMES.get(metric, metric)}",
        number(row["reported"], metric),
        number(row["reproduced"], metric),
        signed(row["difference_pp"]),
        f"{low}{_DASH}{high}" if low else "",
        f"{row['verdict']} ({why_not})" if why_not else row["verdict"],
    ]


def missing(value: Any) -> bool:
    """Return whether a cell of a frame is empty."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def number(value: Any, metric: str) -> str:
    """Return an accuracy in percent with two digits, anything else with three or four."""
    if missing(value):
        return ""
    return f"{100 * value:.2f}" if metric.endswith("accuracy") else f"{value:.4f}"


def signed(value: Any) -> str:
    """Return a difference in percentage points with its sign and two digits."""
    return "" if missing(value) else f"{value:+.2f}"


def claims(rows: pd.DataFrame) -> str:
    """Return the claims as Markdown: a table of verdicts, then what carries each."""
    table = markdown(
        ["", "claim", "verdict"],
        [[str(row["claim"]), row["text"], row["verdict"]] for row in rows.to_dict("records")],
        numbers=(0,),
    )
    details = []
    for row in rows.to_dict("records"):
        lines = [f"**{row['claim']}. {row['text']}: {row['verdict']}**", f"Test: {row['test']}"]
        if row["evidence"]:
            lines.append(f"Found: {row['evidence']}.")
        if row["needs"]:
            lines.append(f"Judging it {row['needs']}.")
        details.append("  \n".join(lines) + "\n")
    return table + "\n" + "\n".join(details)

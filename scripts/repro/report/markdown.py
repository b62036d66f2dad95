"""Tables as Markdown, narrow enough to be read in a terminal."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from repro.comparison.verdict import Verdict
from repro.evaluation.names import in_percent

METRIC_NAMES = {
    "accuracy": "accuracy %",
    "running_accuracy": "accuracy %",
    "error": "error %",
    "auc_ovr_softmax": "AUC",
    "auc_ovr_raw": "AUC (raw scores)",
    "auc_ovr_sum": "AUC (scores by sum)",
    "auc_ovo_softmax": "AUC (one-vs-one)",
}
_DASH = "\u2013"
_PLUS_MINUS = "\u00b1"
_MOST = 30  # characters of a reason in a table


class FigureCells(NamedTuple):
    """What every table says of a figure, in words."""

    figure: str
    reported: str
    reproduced: str
    difference: str
    interval: str
    verdict: str


_HEADER = FigureCells("figure", "reported", "reproduced", "difference", "Wilson", "verdict")


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int]) -> str:
    """Return an aligned Markdown table; the columns in ``numbers`` are set flush right."""
    header, *rows = ([cell.replace("|", "\\|") for cell in row] for row in [header, *rows])
    # Two characters are the least that the rule below the header can do with.
    widths = [max(2, *(len(row[i]) for row in [header, *rows])) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if i in numbers else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    rule = [
        "-" * (width - 1) + ":" if i in numbers else "-" * width for i, width in enumerate(widths)
    ]
    return "\n".join([line(header), line(rule), *(line(row) for row in rows)]) + "\n"


def comparison(rows: pd.DataFrame, above: Mapping[str, Any]) -> str:
    """Return the comparison as Markdown: the figures, the spread over runs, the notes.

    Args:
        rows: comparison.csv.
        above: overview.json.
    """
    others = not rows["protocol"].map(missing).all()
    protocols = f"{textwrap.fill(above['another_protocol'], 100)}\n" if others else ""
    parts = [_figures(rows), _legend(rows), protocols, _spread(rows), _notes(rows)]
    return "\n".join(part for part in parts if part)


def _figures(rows: pd.DataFrame) -> str:
    lines: list[Sequence[str]] = []
    for (_, title), group in rows.groupby(["model", "title"], sort=False):
        if set(group["verdict"]) == {Verdict.NOT_RUN}:
            count = f"{len(group)} figure{'' if len(group) == 1 else 's'}"
            lines.append([f"**{title}**", *[""] * 4, f"*not run: {count}*"])
            continue
        reasons = [reason for reason in group["why_not"] if not missing(reason)]
        about = brief(reasons[0]) if reasons else f"recipe {group['recipe'].iloc[0]}"
        lines.append([f"**{title}**", *[""] * 4, f"*{about}*"])
        lines += [figure_cells(row) for row in group.to_dict("records")]
    return figure_table(lines)


def _legend(rows: pd.DataFrame) -> str:
    """Return what the table's columns say, of the metrics that are in it."""
    shares = {"accuracy": "accuracies", "error": "errors"}
    found = {name: [m for m in set(rows["metric"]) if m.endswith(name)] for name in shares}
    there = [name for name in shares if found[name]]
    points = " and ".join(shares[name] for name in there)
    of = f"of {points} in percentage points, " if there else ""
    texts = [
        f"Reproduced: the mean over all runs. Difference: {of}with what chance explains from one "
        "run to the next (95 %)."
    ]
    if "auc_ovr_softmax" in set(rows["metric"]):
        texts[0] += " AUC: macro, one-vs-rest on softmax of the outputs."
    if there:
        texts.append(
            f"Wilson: the 95 % interval of the headline run's {' or '.join(there)}, by the number "
            "of held-out images."
        )
    return "".join(f"{textwrap.fill(text, 100)}\n" for text in texts)


def figure_table(lines: Sequence[Sequence[str]]) -> str:
    """Return lines of :class:`FigureCells`, and headings between them, as Markdown."""
    return markdown(_HEADER, lines, numbers=(1, 2, 3, 4))


def figure_cells(row: Mapping[str, Any]) -> FigureCells:
    """Return the cells of a row of the comparison; what is not known is empty."""
    metric, precision = row["metric"], row["reported_precision"]
    reported = number(row["reported"], metric, precision)
    return FigureCells(
        figure_name(row),
        "in words" if reported and missing(precision) else reported,
        number(reproduced(row), metric),
        difference(row),
        between(row["wilson_low"], row["wilson_high"], metric),
        verdict(row),
    )


def reproduced(row: Mapping[str, Any]) -> Any:
    """Return what stands beside the reported figure: the mean of the runs.

    Of a figure to the digit it is the headline, which is the very run that the report made.
    """
    return row["headline" if row["verdict"] == Verdict.TO_THE_DIGIT else "mean"]


def difference(row: Mapping[str, Any]) -> str:
    """Return e.g. "-0.08 ± 0.21": in points for a percentage, else in the figure's own unit."""
    centre, half = (
        signed(row["difference"], row["metric"]),
        number(row["half_width"], row["metric"]),
    )
    return f"{centre} {_PLUS_MINUS} {half}" if half else centre


def verdict(row: Mapping[str, Any]) -> str:
    """Return a figure's verdict, with what else decides it or would."""
    if not missing(row["protocol"]):
        return f"{row['verdict']}: {row['protocol']}"
    if row["verdict"] != Verdict.CANNOT_TELL:
        return str(row["verdict"])
    if missing(row["half_width"]):
        return f"{row['verdict']}: one {'run' if row['n_runs'] == 1 else 'split'}"
    if missing(row["runs_needed"]):
        return f"{row['verdict']}, nor would more runs"
    return f"{row['verdict']}; {row['runs_needed']:.0f} runs would"


def brief(reason: str) -> str:
    """Return a reason shortened to what a cell holds: its first parts, and how many more."""
    parts = reason.split("; ")
    shown = len(parts)
    while shown > 1 and len("; ".join(parts[:shown])) > _MOST:
        shown -= 1
    more = f" and {len(parts) - shown} more" if shown < len(parts) else ""
    return "; ".join(parts[:shown]) + more


def _spread(rows: pd.DataFrame) -> str:
    """Return mean, deviation and range of the models that ran more than once, or nothing."""
    many = rows[rows["n_runs"] > 1]
    if many.empty:
        return ""
    header = ["spread over runs", "runs", "headline", f"mean {_PLUS_MINUS} sd", f"min{_DASH}max"]
    lines: list[list[str]] = []
    for (_, title), group in many.groupby(["model", "title"], sort=False):
        lines.append([f"**{title}**", *[""] * 4])
        for row in group.to_dict("records"):
            span = between(row["min"], row["max"], row["metric"])
            headline = number(row["headline"], row["metric"])
            lines.append([figure_name(row), str(row["n_runs"]), headline, mean_and_sd(row), span])
    return markdown(header, lines, numbers=(1, 2, 3, 4))


def mean_and_sd(row: Mapping[str, Any]) -> str:
    """Return e.g. "94.64 ± 0.14" for a row of the comparison."""
    mean, sd = (number(row[key], row["metric"]) for key in ("mean", "sd"))
    return f"{mean} {_PLUS_MINUS} {sd}"


def _notes(rows: pd.DataFrame) -> str:
    """Return what has to be known of figures that were run, one line a note, or nothing."""
    noted = rows[rows["mean"].notna() & ~rows["note"].map(missing)]
    lines = []
    for note, group in noted.groupby("note", sort=False):
        where = "; ".join(f"{row['title']}, {figure_name(row)}" for row in group.to_dict("records"))
        lines.append(f"- {where}: {note}.\n")
    for (_, title), group in rows.groupby(["model", "title"], sort=False):
        reasons = {reason for reason in group["why_not"] if not missing(reason)}
        lines += [f"- {title}: {reason}.\n" for reason in reasons if brief(reason) != reason]
    return "".join(lines)


def against(rows: pd.DataFrame) -> str:
    """Return against.csv as Markdown."""
    header = ["net", "against", "test %", "its %", "points", "95 % interval", "alone", "its", "p"]
    lines = [list(cells.values()) for cells in against_cells(rows)]
    return markdown(header, lines, numbers=range(2, 9)).rstrip()


def against_cells(rows: pd.DataFrame) -> list[dict[str, str]]:
    """Return what every table says of nets that are set against others, by what it sorts by."""
    return [
        {
            "title": row["title"],
            "against_title": row["against_title"],
            "accuracy": number(row["accuracy"], "accuracy"),
            "against_accuracy": number(row["against_accuracy"], "accuracy"),
            "difference_pp": f"{row['difference_pp']:+.2f}",
            "low_pp": f"{row['low_pp']:+.2f} to {row['high_pp']:+.2f}",
            "only_model": str(row["only_model"]),
            "only_against": str(row["only_against"]),
            "p": f"{row['p']:.2g}",
        }
        for row in rows.to_dict("records")
    ]


def claims(rows: pd.DataFrame) -> str:
    """Return the claims as Markdown: a table of verdicts, then what carries each."""
    records = rows.to_dict("records")
    table = markdown(
        ["", "verdict", "claim"],
        [[str(row["claim"]), claim_verdict(row), row["text"]] for row in records],
        numbers=(0,),
    )
    return table + "\n" + "\n".join(_claim(row) for row in records)


def _claim(row: dict[str, Any]) -> str:
    lines = [f"**{row['claim']}. {row['text']}: {claim_verdict(row)}.**", f"Test: {row['test']}"]
    if not missing(row["evidence"]):
        lines.append(f"Found: {row['evidence']}.")
    if not missing(row["needs"]):
        lines.append(f"Needed to judge it: {row['needs']}.")
    return "\n".join(f"{line}  " for line in lines).rstrip() + "\n"


def claim_verdict(row: Mapping[str, Any]) -> str:
    """Return a claim's verdict, with the protocol where that is not the report's."""
    other = "" if missing(row["protocol"]) else f" by another protocol: {row['protocol']}"
    return f"{row['verdict']}{other}"


def figure_name(row: Mapping[str, Any]) -> str:
    """Return e.g. "test accuracy %" for a row of the comparison."""
    return f"{row['split']} {METRIC_NAMES.get(row['metric'], row['metric'])}"


def missing(value: Any) -> bool:
    """Return whether a cell is empty, be it in memory or read back from a CSV."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def number(value: Any, metric: str, precision: Any = None) -> str:
    """Return an accuracy or an error in percent, else the value as it is; empty where missing.

    Without a ``precision`` (size of the last digit, as a fraction) a percentage has two digits,
    anything else four.
    """
    if missing(value):
        return ""
    percent = in_percent(metric)
    digits = 2 if percent else 4
    if not missing(precision):
        digits = max(0, round(-math.log10(100 * precision if percent else precision)))
    return f"{100 * value if percent else value:.{digits}f}"


def between(low: Any, high: Any, metric: str) -> str:
    """Return e.g. "94.08 to 94.97" with a dash; empty where there is no interval."""
    if missing(low) or missing(high):
        return ""
    return f"{number(low, metric)}{_DASH}{number(high, metric)}"


def signed(value: Any, metric: str) -> str:
    """Return a difference with its sign, in points for a percentage; nothing is never negative."""
    text = number(value, metric)
    if not text:
        return ""
    return (
        text.lstrip("-") if float(text) == 0 else f"{float(text):+.{len(text.partition('.')[2])}f}"
    )

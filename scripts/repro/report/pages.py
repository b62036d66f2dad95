"""What a reader of a run opens first: the comparison and the claims, as HTML and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from repro.comparison import claims, compare
from repro.report import html_tables
from repro.report import markdown as tables
from repro.report.html_tables import Cell, Column, Look
from repro.report.summary import CLAIM_VERDICTS, FIGURE_VERDICTS, sentences
from repro.splits import SPLITS

TITLE = "Does the report hold?"

_KINDS = {
    compare.TO_THE_DIGIT: "exact",
    compare.WITHIN_SEEDS: "within",
    compare.WITHIN_INTERVAL: "within",
    compare.BETTER: "better",
    compare.WORSE: "worse",
    compare.BY_PROTOCOL: "open",
    compare.NOT_COMPARABLE: "open",
    compare.NOT_RUN: "open",
    claims.HOLDS: "exact",
    claims.IN_PART: "part",
    claims.FAILS: "fails",
    claims.CANNOT: "open",
}
# In words what repro.comparison.compare.verdict does.
_MEANINGS = {
    compare.TO_THE_DIGIT: "rounded as the report rounds, the headline run gives its figure.",
    compare.WITHIN_SEEDS: "the reported figure lies between the lowest and the highest of "
    "several runs, which differ in their seed or their split.",
    compare.WITHIN_INTERVAL: "the reported figure lies in the 95 % interval of the accuracy "
    "that the headline run has on held-out images.",
    compare.BETTER: "none of these, and the headline run gives a higher figure.",
    compare.WORSE: "none of these, and the headline run gives a lower figure.",
    compare.BY_PROTOCOL: f"{tables.ANOTHER_PROTOCOL} {tables.NOTEBOOK_COMMAND}",
    compare.NOT_COMPARABLE: "the figure comes from other data, or from another net, recipe or "
    "split than the report's; below it stands what differs.",
    compare.NOT_RUN: "this run did not train the model.",
}
_READING = (
    "The headline run is the first seed; the mean and the sample standard deviation are over all "
    "runs. Differences are in percentage points, for AUC too.",
    "95 % interval: Wilson's, of the accuracy on held-out images. The training images, which the "
    "net was fitted to, have none, and neither has an AUC.",
    "AUC: macro average, one-vs-rest, on the softmax of the outputs.",
    "Recipe: stated by the report or its notebook; replayed, found by trying and right to the "
    "digit; inferred, found by trying and close; own, not the report's.",
)
_MINUS = "\u2212"
_NO_BREAK = "\u00a0"
_PLUS_MINUS = "\u00b1"


def comparison_page(
    rows: pd.DataFrame, judged: pd.DataFrame, look: Look, left_out: Sequence[str] = ()
) -> str:
    """Return the page of the verdict and of every figure.

    Args:
        rows: comparison.csv.
        judged: claims.csv.
        look: style and sorting.
        left_out: sentences on images that were left out.
    """
    notes = _numbered_notes(rows)
    columns = [
        Column("Model"),
        Column("Figure", "short"),
        Column("Reported", "number"),
        Column("Reproduced", "number"),
        Column("Difference (points)", "number"),
        Column("Verdict"),
        Column("95 % interval", "number"),
        Column(f"Runs: mean{_NO_BREAK}{_PLUS_MINUS}{_NO_BREAK}sd", "number"),
    ]
    table = html_tables.table(
        "Each figure of the report beside the one of this run. A click on a heading sorts.",
        columns,
        [_figure(row, notes) for row in rows.to_dict("records")],
        look,
    )
    parts = [
        html_tables.paragraphs([*sentences(rows, judged), *left_out], "verdict"),
        table,
        _notes(notes),
        _meanings(set(rows["verdict"])),
    ]
    return html_tables.document(TITLE, "\n".join(part for part in parts if part), look)


def _figure(row: Mapping[str, Any], notes: Mapping[str, int]) -> list[Cell]:
    metric, verdict = row["metric"], row["verdict"]
    reported = tables.number(row["reported"], metric, row["reported_precision"])
    if reported and tables.missing(row["reported_precision"]):
        reported = "in words"
    mark = f" [{notes[row['note']]}]" if row["note"] in notes else ""
    why = "" if tables.missing(row["why_not"]) else row["why_not"]
    place = f"{SPLITS.index(row['split'])} {metric}"
    return [
        Cell(row["title"], small=f"recipe {row['recipe']}"),
        Cell(f"{tables.figure_name(dict(row))}{mark}", place, small=_text(row["where"])),
        Cell(reported, _key(row["reported"], metric)),
        Cell(tables.number(row["reproduced"], metric), _key(row["reproduced"], metric)),
        Cell(tables.signed(row["difference_pp"]).replace("-", _MINUS), _key(row["difference_pp"])),
        Cell(
            tables.verdict(dict(row)),
            FIGURE_VERDICTS.index(verdict),
            small=why,
            kind=_KINDS[verdict],
        ),
        Cell(
            tables.between(row["wilson_low"], row["wilson_high"], metric),
            _key(row["wilson_low"], metric),
        ),
        _runs(row),
    ]


def _runs(row: Mapping[str, Any]) -> Cell:
    """Return mean and standard deviation of several runs, sorted by the latter."""
    if row["n_seeds"] < 2:
        return Cell("")
    mean, sd = (tables.number(row[key], row["metric"]) for key in ("mean", "sd"))
    return Cell(
        f"{mean} {_PLUS_MINUS} {sd}", _key(row["sd"], row["metric"]), small=f"n = {row['n_seeds']}"
    )


def _text(value: Any) -> str:
    return "" if tables.missing(value) else str(value)


def _sentence(value: Any) -> str:
    text = _text(value)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _key(value: Any, metric: str = "") -> float | str:
    """Return what to sort by: the number as it is shown, unrounded."""
    if tables.missing(value):
        return ""
    return float(100 * value if metric.endswith("accuracy") else value)


def _numbered_notes(rows: pd.DataFrame) -> dict[str, int]:
    """Return the notes of figures that were run, each with its number."""
    found = rows.loc[rows["reproduced"].notna(), "note"]
    notes = dict.fromkeys(note for note in found if not tables.missing(note))
    return {note: number for number, note in enumerate(notes, 1)}


def _notes(notes: Mapping[str, int]) -> str:
    texts = html_tables.paragraphs(
        f"[{number}] {_sentence(note)}" for note, number in notes.items()
    )
    return f'<div class="notes">{texts}</div>' if texts else ""


def _meanings(found: set[str]) -> str:
    terms = "".join(
        f"<dt>{html_tables.verdict(verdict, _KINDS[verdict])}</dt><dd>{escape(meaning)}</dd>"
        for verdict, meaning in _MEANINGS.items()
        if verdict in found
    )
    return (
        "<details><summary>How to read the table</summary>"
        f"{html_tables.paragraphs(_READING)}<dl>{terms}</dl></details>"
    )


def claims_page(judged: pd.DataFrame, look: Look) -> str:
    """Return the page of the claims in words.

    Args:
        judged: claims.csv.
        look: style and sorting.
    """
    columns = [
        Column("No.", "number"),
        Column("The report says"),
        Column("Verdict", "short"),
        Column("What was found"),
        Column("How it was tested"),
    ]
    rows = [_claim(row) for row in judged.to_dict("records")]
    caption = "Each claim has a test of its own. A click on a heading sorts."
    table = html_tables.table(caption, columns, rows, look)
    return html_tables.document("What the report says in words", table, look)


def _claim(row: Mapping[str, Any]) -> list[Cell]:
    verdict = row["verdict"]
    needs = "" if tables.missing(row["needs"]) else f"Needed to judge it: {row['needs']}."
    other = "" if tables.missing(row["protocol"]) else f"by another protocol: {row['protocol']}"
    # What another experiment found is no verdict on the report, so it has no colour of one.
    kind = _KINDS[compare.BY_PROTOCOL if other else verdict]
    return [
        Cell(str(row["claim"]), row["claim"]),
        Cell(row["text"]),
        Cell(verdict, CLAIM_VERDICTS.index(verdict), small=other, kind=kind),
        Cell(_sentence(row["evidence"]), small=needs),
        Cell(row["test"]),
    ]


def markdown(
    rows: pd.DataFrame,
    judged: pd.DataFrame,
    figures: Mapping[str, Mapping[str, str]],
    origin: Sequence[str],
) -> str:
    """Return the same as one plain Markdown document.

    Args:
        rows: comparison.csv.
        judged: claims.csv.
        figures: by heading, the path of each figure, relative to the document, by its name. The
            first group is shown, the others are linked.
    """
    (shown, first), *others = figures.items()
    parts = [
        f"# {TITLE}",
        "\n".join(f"- {sentence}" for sentence in sentences(rows, judged)),
        f"## {shown}",
        tables.comparison(rows).rstrip(),
        "\n\n".join(f"![{name}]({path})" for name, path in first.items()),
        "## Claims in words",
        tables.claims(judged).rstrip(),
        "## Figures",
        "\n".join(_links(heading, paths) for heading, paths in others),
        "## Provenance",
        "\n".join(f"- {sentence}" for sentence in origin),
    ]
    return "\n\n".join(parts) + "\n"


def _links(heading: str, paths: Mapping[str, str]) -> str:
    links = ", ".join(f"[{name}]({path})" for name, path in paths.items())
    return f"- {heading}: {links}"

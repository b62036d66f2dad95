"""What a reader of a run opens first: comparison, claims and provenance, as HTML and as Markdown.

A page is one HTML file that stands on its own: no network, tables that sort by a click. The
templates in ``resources/page/`` say how it looks; here their rows are put together.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import DictLoader, Environment, StrictUndefined

from repro.comparison.verdict import ClaimVerdict, Verdict
from repro.evaluation.names import in_percent
from repro.report import markdown as tables
from repro.report.summary import origin, plain, sentences
from repro.splits import SPLITS

TITLE = "Does the report hold?"
_MINUS = "\u2212"
_NO_BREAK = "\u00a0"
_ARROW = "\u203a"


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: what is read.
        sort: what to sort by, a number or a text; the text itself if None.
        small: a second, smaller line.
        kind: of a verdict.
        hover: shown where the pointer rests on a verdict.
        links: name and address, relative to the page.
    """

    text: str
    sort: float | str | None = None
    small: str = ""
    kind: str = ""
    hover: str = ""
    links: Sequence[tuple[str, str]] = ()


def templates(files: Iterable[str | os.PathLike[str]]) -> Environment:
    """Return the templates, with the CSS and the JavaScript they take up, by their names."""
    texts = {Path(file).name: Path(file).read_text(encoding="utf-8") for file in files}
    return Environment(
        loader=DictLoader(texts),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )


def comparison_page(
    rows: pd.DataFrame,
    judged: pd.DataFrame,
    above: Mapping[str, Any],
    look: Environment,
    left_out: Sequence[str] = (),
) -> str:
    """Return the page of the verdict and of every figure.

    Args:
        rows: comparison.csv.
        judged: claims.csv.
        above: overview.json.
        look: the templates.
        left_out: sentences on images that were left out.
    """
    found = rows.loc[rows["mean"].notna(), "note"]
    notes = list(dict.fromkeys(note for note in found if not tables.missing(note)))
    return look.get_template("comparison.html.j2").render(
        title=TITLE,
        sentences=[*sentences(rows, judged, above), *left_out],
        rows=[
            cells for _, model in rows.groupby("model", sort=False) for cells in _of(model, notes)
        ],
        notes=map(_sentence, notes),
        about=above,
        others=not rows["protocol"].map(tables.missing).all(),
        verdicts=[verdict for verdict in Verdict if verdict in set(rows["verdict"])],
    )


def _of(model: pd.DataFrame, notes: Sequence[str]) -> list[list[Cell]]:
    """Return a row a figure of a model; one for all of them where it was not run."""
    if set(model["verdict"]) != {Verdict.NOT_RUN}:
        return [_figure(row, notes) for row in model.to_dict("records")]
    first, verdict = model.iloc[0], Verdict.NOT_RUN
    chip = Cell(verdict, list(Verdict).index(verdict), kind=verdict.kind, hover=verdict.meaning)
    figures = Cell(f"{len(model)} figure{'' if len(model) == 1 else 's'}")
    return [[Cell(first["title"]), figures, *[Cell("")] * 3, chip, *[Cell("")] * 2]]


def _figure(row: Mapping[str, Any], notes: Sequence[str]) -> list[Cell]:
    metric, verdict = row["metric"], Verdict(row["verdict"])
    said = tables.figure_cells(row)
    mark = f" [{notes.index(row['note']) + 1}]" if row["note"] in notes else ""
    place = f"{SPLITS.index(row['split'])} {metric}"
    matters = "" if tables.missing(row["margin"]) else tables.number(row["margin"], metric)
    digits = "its printed digits come out" if row["to_the_digit"] is True else ""
    remark = "" if verdict == Verdict.TO_THE_DIGIT else digits
    return [
        Cell(row["title"], small=f"recipe {row['recipe']}", links=_links_of(row)),
        Cell(f"{said.figure}{mark}", place, small=_text(row["where"])),
        Cell(said.reported, _key(row["reported"], metric)),
        Cell(said.reproduced, _key(tables.reproduced(row), metric)),
        Cell(
            said.difference.replace("-", _MINUS),
            _key(row["difference"], metric),
            f"matters from {matters}".replace(" ", _NO_BREAK) if matters else "",
        ),
        Cell(
            said.verdict,
            list(Verdict).index(verdict),
            _text(row["why_not"]) or remark,
            verdict.kind,
            f"{verdict.meaning[:1].upper()}{verdict.meaning[1:]}",
        ),
        Cell(said.interval, _key(row["wilson_low"], metric)),
        _runs(row),
    ]


def _links_of(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return where a model's card and figures are, and the log of its training."""
    figures = f"figures/{row['model']}"
    return [
        ("card", f"runs/{row['model']}/model_card.md"),
        ("curve", f"{figures}/accuracy.png"),
        ("confusion", f"{figures}/confusion.png"),
        *([] if tables.missing(row["log"]) else [("log", row["log"])]),
    ]


def _runs(row: Mapping[str, Any]) -> Cell:
    """Return mean and standard deviation of several runs, sorted by the latter."""
    source = _text(row["spread_of"])
    borrowed = f"spread of {source}" if "reference" in source else ""
    if row["n_runs"] < 2:
        return Cell("1 run", small=borrowed)
    several = f"{row['n_runs']} runs{f', {borrowed}' if borrowed else ''}"
    return Cell(tables.mean_and_sd(row), _key(row["sd"], row["metric"]), several)


def _text(value: Any) -> str:
    return "" if tables.missing(value) else str(value)


def _sentence(value: Any) -> str:
    text = _text(value)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _key(value: Any, metric: str = "") -> float | str:
    """Return what to sort by: the number as it is shown, unrounded."""
    if tables.missing(value):
        return ""
    return float(100 * value if in_percent(metric) else value)


def claims_page(judged: pd.DataFrame, look: Environment) -> str:
    """Return the page of the claims in words.

    Args:
        judged: claims.csv.
        look: the templates.
    """
    return look.get_template("claims.html.j2").render(
        title="What the report says in words",
        rows=[_claim(row) for row in judged.to_dict("records")],
    )


def _claim(row: Mapping[str, Any]) -> list[Cell]:
    verdict = ClaimVerdict(row["verdict"])
    needs = "" if tables.missing(row["needs"]) else f"Needed to judge it: {row['needs']}."
    other = "" if tables.missing(row["protocol"]) else f"by another protocol: {row['protocol']}"
    # What another experiment found is no verdict on the report, so it has no colour of one.
    kind = Verdict.BY_PROTOCOL.kind if other else verdict.kind
    return [
        Cell(str(row["claim"]), row["claim"]),
        Cell(row["text"]),
        Cell(verdict, list(ClaimVerdict).index(verdict), other, kind),
        Cell(_sentence(row["evidence"]), small=needs),
        Cell(row["test"]),
    ]


def against_page(rows: pd.DataFrame, look: Environment) -> str:
    """Return the page of nets that are set against others.

    Args:
        rows: against.csv.
        look: the templates.
    """
    signed = ("difference_pp", "low_pp")
    said = zip(tables.against_cells(rows), rows.to_dict("records"), strict=True)
    return look.get_template("against.html.j2").render(
        title="Nets set against each other",
        rows=[
            [
                Cell(cell.replace("-", _MINUS) if key in signed else cell, row[key])
                for key, cell in cells.items()
            ]
            for cells, row in said
        ],
    )


def provenance_page(record: Mapping[str, Mapping[str, Any]], look: Environment) -> str:
    """Return the page of how the run was made: a part for each key, with a line for each value.

    Args:
        record: provenance.json: ``identity``, what a second run shares, and ``circumstances``.
        look: the templates.
    """
    return look.get_template("provenance.html.j2").render(
        title="How this run was made",
        sentences=origin(record),
        halves=[
            ("What a second run of this configuration shares", *_parts(record["identity"])),
            ("What may differ", *_parts(record["circumstances"])),
        ],
    )


def _parts(found: Mapping[str, Any]) -> tuple[list[list[Cell]], list[tuple[str, list[list[Cell]]]]]:
    """Return the lines of single values, and those of each part with its heading."""
    parts = {name: value for name, value in found.items() if isinstance(value, Mapping)}
    single = {name: value for name, value in found.items() if name not in parts}
    return _lines(single), [
        (name.replace("_", " ").capitalize(), _lines(value))
        for name, value in parts.items()
        if value
    ]


def _lines(values: Mapping[str, Any]) -> list[list[Cell]]:
    return [[Cell(text) for text in line] for line in _flat(values)]


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path and the text of every value, however deep it lies."""
    for name, value in values.items():
        path = f"{above} {_ARROW} {name}" if above else name
        if isinstance(value, Mapping) and value:
            yield from _flat(value, path)
        else:
            yield path, plain(value)


def markdown(
    rows: pd.DataFrame,
    judged: pd.DataFrame,
    above: Mapping[str, Any],
    figures: Mapping[str, Mapping[str, str]],
    record: Mapping[str, Mapping[str, Any]],
    *,
    chance: Sequence[str] = (),
    against: pd.DataFrame | None = None,
) -> str:
    """Return the same as one plain Markdown document.

    Args:
        rows: comparison.csv.
        judged: claims.csv.
        above: overview.json.
        figures: by heading, the path of each figure, relative to the document, by its name. The
            first group is shown, the others are linked.
        record: provenance.json.
        chance: sentences on nets that are no better than chance.
        against: against.csv, where nets are set against others.
    """
    (shown, first), *others = figures.items()
    parts = [
        f"# {TITLE}",
        above["report"],
        "\n".join(f"- {sentence}" for sentence in [*sentences(rows, judged, above), *chance]),
        f"## {shown}",
        tables.comparison(rows, above).rstrip(),
        "\n\n".join(f"![{name}]({path})" for name, path in first.items()),
        *([] if against is None else ["## Nets set against each other", tables.against(against)]),
        "## Claims in words",
        tables.claims(judged).rstrip(),
        "## Figures",
        "\n".join(_links(heading, paths) for heading, paths in others),
        "## Provenance",
        "\n".join(f"- {sentence}" for sentence in origin(record)),
    ]
    return "\n\n".join(parts) + "\n"


def _links(heading: str, paths: Mapping[str, str]) -> str:
    links = ", ".join(f"[{name}]({path})" for name, path in paths.items())
    return f"- {heading}: {links}"

"""Pages that stand on their own: one HTML file, no network, tables that sort by a click.

Snakemake shows such a page inside its report, and takes one up in the report's front page, where
``<script>`` does not run. So a table carries its few lines of JavaScript in an attribute, and all
style is held to elements inside ``.repro``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

# The kinds of a verdict, each with a sign, so that colour is not all that tells them apart.
SIGNS = {
    "exact": "\u2713",
    "within": "\u2248",
    "better": "\u25b2",
    "worse": "\u25bc",
    "part": "\u25d0",
    "fails": "\u2717",
    "open": "\u25cb",
}


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        heading: above it.
        look: "number" for numbers, set flush right; "short" for texts that are not broken; "long"
            for those that may be anywhere, such as hashes; or "".
    """

    heading: str
    look: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell.

    Attributes:
        text: what is read.
        sort: what to sort by, a number or a text; the text itself if None.
        small: a second, smaller line.
        kind: a key of ``SIGNS`` for a verdict.
    """

    text: str
    sort: float | str | None = None
    small: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Look:
    """What all pages share: CSS, and the JavaScript that a click on a table runs."""

    style: str
    sort: str


def document(title: str, body: str, look: Look) -> str:
    """Return a whole HTML page; ``body`` is HTML, ``title`` is not."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{look.style}</style>
</head>
<body>
<main class="repro">
<h1>{escape(title)}</h1>
{body}
</main>
</body>
</html>
"""


def table(
    caption: str, columns: Sequence[Column], rows: Iterable[Sequence[Cell]], look: Look
) -> str:
    """Return a table that sorts; the first cell of a row is its heading."""
    headings = "".join(
        f'<th scope="col" aria-sort="none"{_class(column)}>'
        f'<button type="button">{escape(column.heading)}</button></th>'
        for column in columns
    )
    body = "\n".join(_row(number, columns, row) for number, row in enumerate(rows))
    above = f"<caption>{escape(caption)}</caption>\n" if caption else ""
    return f"""<div class="wide"><table onclick="{escape(look.sort)}">
{above}<thead><tr>{headings}</tr></thead>
<tbody>
{body}
</tbody>
</table></div>"""


def paragraphs(texts: Iterable[str], kind: str = "") -> str:
    """Return each text as a paragraph."""
    attribute = f' class="{kind}"' if kind else ""
    return "\n".join(f"<p{attribute}>{escape(text)}</p>" for text in texts)


def verdict(text: str, kind: str) -> str:
    """Return a verdict with its colour and sign, as in a table."""
    sign = f'<span aria-hidden="true">{SIGNS[kind]}</span>'
    return f'<span class="kind {kind}">{sign}{escape(text)}</span>'


def _class(column: Column) -> str:
    return f' class="{column.look}"' if column.look else ""


def _row(number: int, columns: Sequence[Column], cells: Sequence[Cell]) -> str:
    texts = []
    for i, (column, cell) in enumerate(zip(columns, cells, strict=True)):
        tag, scope = ("th", ' scope="row"') if i == 0 else ("td", "")
        key = cell.text if cell.sort is None else str(cell.sort)
        text = verdict(cell.text, cell.kind) if cell.kind else escape(cell.text)
        small = f"<small>{escape(cell.small)}</small>" if cell.small else ""
        texts.append(
            f'<{tag}{scope}{_class(column)} data-sort="{escape(key)}">{text}{small}</{tag}>'
        )
    return f'<tr data-sort="{number}">{"".join(texts)}</tr>'

"""A Markdown page as a terminal shows it best."""

from __future__ import annotations

import re
import textwrap
from itertools import groupby

# What a narrow terminal can do without, first that which is missed least.
_SPARE = ("Wilson", "difference", "reported")
_MARKS = re.compile(r"\*\*|(?<!\w)\*|\*(?!\w)")


def fitted(markdown: str, width: int) -> str:
    """Return the page with its tables no wider than ``width``.

    A row whose first cell is bold is a heading of the rows after it, and no column's width. Where
    the rest is too wide, columns go, and last of all the ends of cells.
    """
    lines = []
    for is_table, group in groupby(markdown.splitlines(), lambda line: line.startswith("|")):
        if is_table:
            lines += _table(list(group), width)
        else:
            for line in group:
                lines += textwrap.wrap(_plain(line), width, subsequent_indent="  ") or [""]
    return "\n".join(lines)


def _plain(text: str) -> str:
    return _MARKS.sub("", text).strip()


def _table(lines: list[str], width: int) -> list[str]:
    head, rule, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    right = [cell.endswith(":") for cell in rule]
    rows = [head, *body]
    columns = list(range(len(rows[0])))
    cells = [row for row in rows if not row[0].startswith("**")]
    for spare in (None, *_SPARE):
        columns = [i for i in columns if rows[0][i] != spare]
        widths = {i: max(len(_plain(row[i])) for row in cells) for i in columns}
        if 2 + sum(widths.values()) + 2 * len(columns) <= width:
            break
    shown = []
    for row in rows:
        if row[0].startswith("**"):
            title = " — ".join(_plain(cell) for cell in row if cell)
            shown += textwrap.wrap(title, width, subsequent_indent="  ")
            continue
        padded = [
            _plain(row[i]).rjust(widths[i]) if right[i] else _plain(row[i]).ljust(widths[i])
            for i in columns
        ]
        shown.append(("  " + "  ".join(padded))[:width].rstrip())
    return shown

"""Tables as people make them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from repro.errors import unreadable


class Table(NamedTuple):
    """A CSV: its columns, and each line's number with its cells by column."""

    columns: Sequence[str]
    rows: Sequence[tuple[int, Mapping[str, str]]]


def read_table(file: Path) -> Table:
    """Read a CSV as people make them: separated by commas, semicolons or tabs.

    Raises:
        UserError: it cannot be read as text.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise unreadable(file, "text in UTF-8", "save it as CSV in UTF-8", error) from error
    first = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=max(",;\t", key=first.count))
    columns = [column.strip() for column in reader.fieldnames or []]
    reader.fieldnames = columns
    rows = [
        (reader.line_num, {column: (row[column] or "").strip() for column in columns})
        for row in reader
    ]
    return Table(columns, rows)

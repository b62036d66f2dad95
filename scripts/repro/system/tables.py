"""Tables out of CSV files, in which text stays text."""

from __future__ import annotations

import os
from typing import TextIO

import pandas as pd

# A net may be called `nan`, a title be "NA" or "12": pandas takes the one for nothing and the other
# for a number.
_TEXT = dict.fromkeys(
    (
        *("model", "title", "run", "split", "metric", "against", "against_title", "right", "rule"),
        *("name", "true_name", "taken_for_name", "file", "sha256", "spread_of", "recipe"),
        *("verdict", "protocol", "why_not", "where", "note", "text", "evidence", "needs", "test"),
    ),
    str,
)


def read_csv(source: str | os.PathLike[str] | TextIO) -> pd.DataFrame:
    """Read a CSV of this project's; only a cell that is empty is missing.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no CSV.
    """
    return pd.read_csv(source, dtype=_TEXT, keep_default_na=False, na_values=[""])

"""In what two records of settings differ."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_NAMED = 4  # differences
_LONGEST = 40  # characters of a value


def differences(a: Any, b: Any, place: str = "") -> list[tuple[str, tuple[Any, Any]]]:
    """Return each value that is not the same in two records, by its key."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        keys = dict.fromkeys([*a, *b])
        return [
            found
            for key in keys
            for found in differences(a.get(key), b.get(key), f"{place}.{key}".removeprefix("."))
        ]
    return [] if a == b else [(place, (a, b))]


def in_words(there: Mapping[str, Any], here: Mapping[str, Any], word: str = "now") -> str:
    """Say in what two records differ: the first few keys, with both values in short.

    Args:
        there: what was written down.
        here: the same, as it is now.
        word: for "now".
    """
    found = differences(there, here)
    named = [f"{key}: {_brief(a)} there, {_brief(b)} {word}" for key, (a, b) in found[:_NAMED]]
    more = [f"and {len(found) - _NAMED} more"] if len(found) > _NAMED else []
    return "; ".join(named + more) or "a key without a value"


def _brief(value: Any) -> str:
    text = "none" if value is None else str(value)
    text = re.sub(r"\b([0-9a-f]{8})[0-9a-f]{24,}\b", r"\1…", text)  # a hash
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"

"""How a run was made, for the reader of a page: in sentences, and value by value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from repro.features.loaded import Loaded
from repro.report import html_tables
from repro.report.html_tables import Cell, Column, Look

_ARROW = "\u203a"
_SHOWN = 12  # digits of a hash that are enough to tell it from others
_SHOWN_IMAGES = 20  # provenance.json has all


def sentences(record: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what of provenance.json a reader asks first: code, configuration, machine."""
    identity, machine = record["identity"], record["circumstances"]["machine"]
    code = identity["code"]
    if code["commit"]:
        state = "with changes that are not committed" if code["dirty"] else "unchanged"
        origin = f"commit {code['commit'][:_SHOWN]}, {state}"
    else:
        origin = code["note"]
    gpus = _plain(machine["gpus"]) if machine["gpus"] else "no GPU"
    cores = f"{machine['cores']} core{'' if machine['cores'] == 1 else 's'}"
    networks = {**identity["features"], **identity["notebooks"]}
    ordered = [
        name for name, found in networks.items() if found["weights_loaded"] == Loaded.BY_ORDER
    ]
    by_order = (
        f"Weights: those of {', '.join(ordered)} are loaded by order, not by name: no name in "
        "their file is one of the network's."
    )
    return [
        f"Code: {origin}; sha256 {code['sha256'][:_SHOWN]}.",
        f"Configuration: config.yaml, sha256 {identity['configuration_sha256'][:_SHOWN]}.",
        *left_out(record),
        f"Machine: {machine['processor']}, {cores}, {gpus}; {machine['system']}, "
        f"Python {identity['python']}; recorded {record['circumstances']['recorded']}.",
        *([by_order] if ordered else []),
        "Everything else, data, weights, results and versions by name and hash: provenance.json.",
    ]


def left_out(record: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return which images were left out as damaged: of the data, and of a network's features."""
    identity = record["identity"]
    found = {"the data": identity["damaged"]}
    found |= {f"the features of {name}": of["damaged"] for name, of in identity["features"].items()}
    return [
        f"Left out of {where} as damaged: {len(images):,} image{'' if len(images) == 1 else 's'} "
        f"({_numbers(images)})."
        for where, images in found.items()
        if images
    ]


def _numbers(images: Sequence[int]) -> str:
    more = ", \u2026" if len(images) > _SHOWN_IMAGES else ""
    return ", ".join(map(str, images[:_SHOWN_IMAGES])) + more


def document(record: Mapping[str, Mapping[str, Any]], look: Look) -> str:
    """Return the page: a part for each key, with a line for each value.

    Args:
        record: provenance.json: ``identity``, what a second run shares, and ``circumstances``.
        look: style and sorting.
    """
    parts = [html_tables.paragraphs(sentences(record))]
    for heading, found in (
        ("What a second run of this configuration shares", record["identity"]),
        ("What may differ", record["circumstances"]),
    ):
        single = {name: value for name, value in found.items() if not isinstance(value, Mapping)}
        parts += [f"<h2>{escape(heading)}</h2>", _table(single, look)]
        parts += [
            _part(name, value, look) for name, value in found.items() if isinstance(value, Mapping)
        ]
    return html_tables.document("How this run was made", "\n".join(parts), look)


def _part(name: str, values: Mapping[str, Any], look: Look) -> str:
    count = sum(1 for _ in _flat(values))
    title = f"{name.replace('_', ' ').capitalize()} ({count} line{'' if count == 1 else 's'})"
    return f"<details><summary>{escape(title)}</summary>{_table(values, look)}</details>"


def _table(values: Mapping[str, Any], look: Look) -> str:
    rows = [[Cell(name), Cell(value)] for name, value in _flat(values)]
    return html_tables.table("", [Column("What", "short"), Column("Value", "long")], rows, look)


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path and the text of every value, however deep it lies."""
    for name, value in values.items():
        path = f"{above} {_ARROW} {name}" if above else name
        if isinstance(value, Mapping) and value:
            yield from _flat(value, path)
        else:
            yield path, _plain(value)


def _plain(value: Any) -> str:
    if value in (None, "", {}, []):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return " ".join(f"{name} {_plain(item)}" for name, item in value.items())
    return ", ".join(map(_plain, value)) if isinstance(value, list) else str(value)

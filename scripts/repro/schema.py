"""Values from YAML held against a JSON schema, with messages a person can act on."""

from __future__ import annotations

import math
import reprlib
import textwrap
from collections.abc import Mapping
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

_LONGEST = 200  # characters of a value or a message
_short = reprlib.Repr()  # what a YAML file unfolds to has no bounds
_short.maxstring = _short.maxother = 100
_short.maxlevel = 3


def _is_integer(_: object, value: object) -> bool:
    """JSON schema takes 1.0 for an integer; here it would be a name: "seed-1.0"."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_: object, value: object) -> bool:
    """YAML knows .nan and .inf, which pass any minimum or maximum."""
    return _is_integer(_, value) or (isinstance(value, float) and math.isfinite(value))


A_TEXT = "is a text"  # what every message says of a text where something else belongs
# Types of JSON schema, in words.
_KINDS = {
    "array": "a list, such as [a, b]",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "a map of keys, such as {key: value}",
    "string": "a text",
}
_Validator = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_integer, "number": _is_number}
    ),
)


def problems(value: Any, schema: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a value: each problem with its key, its value, what is allowed.

    Args:
        value: as read from YAML.
        schema: JSON schema, draft 2020-12.
    """
    errors = sorted(_Validator(schema).iter_errors(value), key=lambda e: list(map(str, e.path)))
    return [_in_words(error) for error in errors]


def _in_words(error: ValidationError) -> str:
    key = ".".join(str(part) for part in error.absolute_path) or "(top level)"
    if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        known = sorted(error.schema["properties"])
        unknown = sorted(set(error.instance) - set(known))
        return f"{key}: unknown key {', '.join(map(repr, unknown))}; known are {', '.join(known)}"
    allowed = {
        "enum": "one of {}",
        "type": "of type {}",
        "minimum": "at least {}",
        "maximum": "at most {}",
        "exclusiveMinimum": "more than {}",
        "exclusiveMaximum": "less than {}",
        "minItems": "at least {} item(s)",
        "minLength": "at least {} character(s)",
        "uniqueItems": "without repetition",
        "pattern": "of the form {}",
    }
    template = allowed.get(str(error.validator))
    if template is None:
        message = error.message.replace("is a required property", "is missing")
        return f"{key}: {textwrap.shorten(message, _LONGEST, placeholder=' …')}"
    wanted: Any = error.validator_value
    meant = None
    if error.validator == "type":
        kinds = wanted if isinstance(wanted, list) else [wanted]
        wanted = " or ".join(f"{kind} ({_KINDS[kind]})" for kind in kinds)
        meant = _meant(error)
    elif isinstance(wanted, list):
        wanted = ", ".join(map(str, wanted))
    must = template.format(wanted)
    if error.validator == "pattern":
        must = error.schema.get("description", must)
    if meant is not None:
        return f"{key}: {error.instance!r} {A_TEXT} to YAML, must be {must}; write {meant}"
    return f"{key}: {_shown(error.instance)} is not allowed; must be {must}"


def _shown(value: Any) -> str:
    return textwrap.shorten(_short.repr(value), _LONGEST, placeholder=" …")


def _meant(error: ValidationError) -> str | None:
    """Return what a text was meant for, as YAML writes it; None where it is nothing allowed."""
    text = error.instance
    if not isinstance(text, str) or len(text) > _short.maxstring:
        return None
    allowed = _Validator({"type": error.validator_value})
    for reading in (_number(text), _as_yaml(text), _as_yaml(f"[{text}]")):
        if not isinstance(reading, str) and allowed.is_valid(reading):
            written: str = yaml.safe_dump(reading, default_flow_style=True, width=math.inf)
            return written.removesuffix("...\n").strip()
    return None


def _number(text: str) -> Any:
    """Return what Python takes for a number and YAML does not, such as 1e-3."""
    try:
        return float(text)
    except ValueError:
        return text


def _as_yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return text

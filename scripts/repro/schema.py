"""Values from YAML held against a JSON schema, with messages a person can act on."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

_short = reprlib.Repr()  # what a YAML file unfolds to has no bounds
_short.maxstring = _short.maxother = 100
_short.maxlevel = 3


def _is_integer(_: object, value: object) -> bool:
    """JSON schema takes 1.0 for an integer; here it would be a name: "seed-1.0"."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_: object, value: object) -> bool:
    """YAML knows .nan and .inf, which pass any minimum or maximum."""
    return _is_integer(_, value) or (isinstance(value, float) and math.isfinite(value))


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
        return f"{key}: {error.message}"
    if error.validator == "type" and error.validator_value == "number" and _reads(error.instance):
        return (
            f"{key}: {error.instance!r} is a text to YAML, not a number; write "
            f"{float(error.instance)!r}"
        )
    wanted = error.validator_value
    if isinstance(wanted, list):
        wanted = ", ".join(map(str, wanted))
    return f"{key}: {_short.repr(error.instance)} is not allowed; must be {template.format(wanted)}"


def _reads(value: object) -> bool:
    """Whether a value is a text that Python takes for a finite number, such as 1e-3."""
    try:
        return isinstance(value, str) and math.isfinite(float(value))
    except ValueError:
        return False

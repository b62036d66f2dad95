"""Where a training stands: written whole after an epoch, read back after an interruption."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.errors import UserError
from repro.files import atomic_path

_CONFIGURATION = "configuration"

Configuration = Mapping[str, Any]


def save_checkpoint(
    path: str | os.PathLike[str], configuration: Configuration, state: Mapping[str, NDArray[Any]]
) -> None:
    """Write ``state`` to ``path`` (.npz), whole or not at all, bound to ``configuration``.

    Args:
        path: the checkpoint file; one that is there is replaced.
        configuration: all that decides the outcome of the training, as JSON values: recipe, seed,
            hash of the data.
        state: arrays by name, none of them of dtype object.
    """
    if _CONFIGURATION in state:
        raise ValueError(f"{_CONFIGURATION!r} cannot be the name of a state")
    text = np.array(json.dumps(dict(configuration), sort_keys=True))
    with atomic_path(path) as aside, aside.open("wb") as stream:
        # Not compressed: it is written every epoch and is soon gone.
        np.savez(stream, allow_pickle=False, **{_CONFIGURATION: text}, **state)


def load_checkpoint(
    path: str | os.PathLike[str], configuration: Configuration
) -> dict[str, NDArray[Any]] | None:
    """Return the state that :func:`save_checkpoint` wrote, or None where there is no file.

    Raises:
        UserError: the file is damaged, or belongs to another configuration.
    """
    if not Path(path).exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            state = {name: file[name] for name in file.files}
        found = json.loads(str(state.pop(_CONFIGURATION)))
    except (OSError, EOFError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path}: not a whole checkpoint ({error}); delete it to train from the start"
        ) from error
    expected = json.loads(json.dumps(dict(configuration)))
    if found != expected:
        raise UserError(
            f"{path}: checkpoint of another configuration ({_difference(found, expected)}); "
            "set that back to resume, or delete the file to train from the start"
        )
    return state


def _difference(found: dict[str, Any], expected: dict[str, Any]) -> str:
    def shown(values: dict[str, Any], key: str) -> str:
        return json.dumps(values[key]) if key in values else "absent"

    keys = sorted(
        key for key in found.keys() | expected.keys() if shown(found, key) != shown(expected, key)
    )
    return "; ".join(
        f"{key}: {shown(found, key)} there, {shown(expected, key)} now" for key in keys
    )

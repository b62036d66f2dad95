"""Where a training stands: written whole after an epoch, read back after an interruption."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.differences import in_words
from repro.errors import UserError, unreadable
from repro.system.files import atomic_path

_HEADER = "header"

Configuration = Mapping[str, Any]


def save_checkpoint(
    path: str | os.PathLike[str], configuration: Configuration, state: Mapping[str, NDArray[Any]]
) -> None:
    """Write ``state`` to ``path`` (.npz), whole or not at all, bound to ``configuration``.

    Args:
        path: the checkpoint file; one that is there is replaced.
        configuration: all that decides the outcome of the training, as JSON values: recipe, seed,
            hash of the data.
        state: arrays by name, none of them of dtype object and none called "header".
    """
    if _HEADER in state:
        raise ValueError(f"{_HEADER!r} cannot be the name of a state")
    header = json.dumps({"configuration": dict(configuration), "names": sorted(state)})
    with atomic_path(path) as aside, aside.open("wb") as stream:
        # Not compressed: it is written every epoch and is soon gone.
        np.savez(stream, allow_pickle=False, **{_HEADER: np.array(header)}, **state)


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
        header, state = _read(path)
    except Exception as error:  # a damaged zip file raises errors of many kinds
        way_out = "delete it and run again to train from the start"
        raise unreadable(path, "a whole checkpoint", way_out, error) from error
    expected = json.loads(json.dumps(dict(configuration)))
    if header != expected:
        raise UserError(
            f"{path}: checkpoint of another configuration ({in_words(header, expected)}); set "
            "that back to go on from it, or delete the file and run again to train from the start"
        )
    return state


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return configuration and state; the zip file's checksums guard the arrays."""
    with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
        state = {name: file[name] for name in file.files}
    header = json.loads(str(state.pop(_HEADER)))
    configuration: dict[str, Any] = header["configuration"]
    if sorted(state) != header["names"] or not isinstance(configuration, dict):
        raise ValueError("arrays are missing")
    return configuration, state

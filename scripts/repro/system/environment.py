"""The environment of the Pythons that a run starts: what is set there for others, is for others."""

from __future__ import annotations

import os

# Each can end a job in the middle of a library: warnings made errors, a job that waits for somebody
# to type, a date that is no number, a folder for PyTorch's compiler, which nothing here uses.
_NOT_FOR_JOBS = ("PYTHONWARNINGS", "PYTHONINSPECT", "SOURCE_DATE_EPOCH", "TORCHINDUCTOR_CACHE_DIR")


def settle() -> None:
    """Let what this process starts run as it does where nothing is set: files are UTF-8."""
    for name in _NOT_FOR_JOBS:
        os.environ.pop(name, None)
    os.environ["PYTHONUTF8"] = "1"

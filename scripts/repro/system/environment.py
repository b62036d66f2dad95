"""The environment of the Pythons that a run starts: what is set there for others, is for others."""

from __future__ import annotations

import os
from pathlib import Path

# Each can end a job in the middle of a library: warnings made errors, a job that waits for somebody
# to type, a date that is no number, a folder for PyTorch's compiler, which nothing here uses.
_NOT_FOR_JOBS = ("PYTHONWARNINGS", "PYTHONINSPECT", "SOURCE_DATE_EPOCH", "TORCHINDUCTOR_CACHE_DIR")


def settle(root: Path) -> None:
    """Let every Python that this process starts run this project's code, and take files for UTF-8.

    Snakemake has a script look beside itself last: a package of the same name that the environment
    names, or that is installed, would run in place of this project's.

    Args:
        root: where modules are looked for before anywhere else.
    """
    for name in _NOT_FOR_JOBS:
        os.environ.pop(name, None)
    os.environ["PYTHONUTF8"] = "1"
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    kept = [path for path in others if path not in ("", str(root))]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(root), *kept])

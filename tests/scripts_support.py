"""Runs a rule's script in this process, as Snakemake would."""

from __future__ import annotations

import logging
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from snakemake.iocontainers import (
    InputFiles,
    Log,
    OutputFiles,
    Params,
    ResourceList,
    Snakemake,
    Wildcards,
)

from support import ROOT

Files = TypeVar("Files", InputFiles, OutputFiles)


def run_rule(
    script: str,
    folder: Path,
    *,
    input: Mapping[str, Any],
    output: Mapping[str, Any],
    params: Mapping[str, Any] | None = None,
    wildcards: Mapping[str, str] | None = None,
    threads: int = 1,
    config: Mapping[str, Any] | None = None,
) -> None:
    """Run a rule's script on the CPU, and leave logging as it was; the log is ``folder/log.txt``.

    Args:
        script: its name, without ending.
        folder: where the log goes.
        input: files by their names in the rule; as in a rule, several of one name are a list.
        output: the same.
        params: the rule's.
        wildcards: the rule's.
        threads: what the job was granted.
        config: what of the configuration the script reads.
    """
    snakemake = Snakemake(
        input_=_named(InputFiles(), input),
        output=_named(OutputFiles(), output),
        params=Params(fromdict=dict(params or {})),
        wildcards=Wildcards(fromdict=dict(wildcards or {})),
        threads=threads,
        resources=ResourceList(fromdict={"gpu": 0}),
        log=Log([str(folder / "log.txt")]),
        config=dict(config or {}),
        rulename=script,
        bench_iteration=None,
    )
    root = logging.getLogger()
    handlers, level, hook = root.handlers[:], root.level, sys.excepthook
    try:
        runpy.run_path(
            str(ROOT / f"scripts/{script}.py"),
            init_globals={"snakemake": snakemake},
            run_name="__main__",
        )
    finally:
        root.handlers[:], sys.excepthook = handlers, hook
        root.setLevel(level)


def _named(files: Files, given: Mapping[str, Any]) -> Files:
    """Fill in files as Snakemake does: all in one list, of which a name is one or a part."""
    for name, value in given.items():
        several = isinstance(value, list)
        start = len(files)
        files.extend(map(str, value if several else [value]))
        files._set_name(name, start, end=len(files) if several else None)
    return files

"""The tables of a finished run computed anew from what it left, and held against what it says."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from repro.comparison import claims, compare, reference, reported
from repro.evaluation.tables import Run, metrics_table
from repro.history import read_history
from repro.plan import HISTORY, PREDICTIONS, Plan
from repro.predictions import Predictions
from repro.system.tables import read_csv

# Below what one image more or less makes of 70,000; above what two machines' rounding makes.
_TOLERANCE = 1e-6


@dataclass
class Recomputed:
    """What came of computing a run's tables anew.

    Attributes:
        runs: names of the runs whose predictions were read, "MODEL RUN".
        rows: number of rows of each table, by the name of its file.
        problems: one sentence for each difference, beginning with the file's path in the folder.
    """

    runs: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def recompute(
    results: Path,
    identity: dict[str, Any],
    code: Path,
    on_run: Callable[[str], object] = lambda name: None,
) -> Recomputed:
    """Compute metrics.csv from the predictions; where it is right, comparison.csv and claims.csv.

    Args:
        results: the folder a run has left.
        identity: which models and runs there are, as provenance.json has it.
        code: the project's folder, to which the configuration names the report's file.
        on_run: called with the name of each run before its metrics are computed.

    Raises:
        UserError, OSError, ValueError, KeyError, TypeError, yaml.YAMLError: a file is missing or is
            not what it should be.
    """
    models = [compare.Model.of(entry) for entry in identity["models"].values()]
    folders = {
        model.name: {
            run: results / "runs" / model.name / run for run in identity["runs"][model.name]
        }
        for model in models
    }
    plan = Plan(yaml.safe_load((results / "config.yaml").read_text(encoding="utf-8")))
    reproduced = reported.load(code / plan.report)
    found = Recomputed()
    tables = []
    for model in models:
        net = plan.nets[model.name]
        for name, folder in folders[model.name].items():
            on_run(f"{model.name} {name}")
            found.runs.append(f"{model.name} {name}")
            tables.append(
                metrics_table(
                    Predictions.load(folder / PREDICTIONS),
                    Run(model.name, name, net.run(name).number),
                    net.loss,
                    folder / HISTORY if net.part == "flowers" else None,
                )
            )
    known = {folder for runs in folders.values() for folder in runs.values()}
    found.problems += [
        f"{file.relative_to(results).as_posix()}: is of no run that provenance.json names"
        for file in sorted(results.glob("runs/*/*/predictions.npz"))
        if file.parent not in known
    ]
    _hold_against(results / "metrics.csv", pd.concat(tables), found)
    if found.problems:
        return found
    # Not the new ones: what rounding makes of them must not make a difference below.
    metrics = read_csv(results / "metrics.csv")
    references = reference.load(reproduced.about.reference_files)
    compared = compare.compare(metrics, models, reproduced, references)
    _hold_against(results / "comparison.csv", compared, found)
    if plan.own_pictures:
        return found
    everything = [
        claims.Evidence(
            model,
            metrics[metrics["model"] == model.name],
            {run: read_history(at / HISTORY) for run, at in runs.items()},
            {run: at / PREDICTIONS for run, at in runs.items()},
            references.get(model.reported or ""),
        )
        for model, runs in zip(models, folders.values(), strict=True)
    ]
    _hold_against(results / "claims.csv", claims.judge(reproduced, everything), found)
    return found


def _hold_against(packed: Path, anew: pd.DataFrame, found: Recomputed) -> None:
    """Compare a table with the one that was computed anew, cell by cell."""
    old = read_csv(packed)
    # Read back too: a column of whole numbers or of nothing changes its kind on the way.
    new = read_csv(io.StringIO(anew.to_csv(index=False)))
    found.rows[packed.name] = len(new)
    if list(old) != list(new) or len(old) != len(new):
        found.problems.append(
            f"{packed.name}: has {len(old)} rows of {', '.join(old)}; computed anew "
            f"{len(new)} of {', '.join(new)}"
        )
        return
    found.problems += [
        f"{packed.name}, line {line}: {column} is {a}; computed anew {b}"
        for line, column, a, b in _cells(old, new)
        if not _same(a, b)
    ]


def _cells(old: pd.DataFrame, new: pd.DataFrame) -> Iterator[tuple[int, str, Any, Any]]:
    for column in new:
        for line, (a, b) in enumerate(zip(old[column], new[column], strict=True), 2):
            yield line, column, a, b


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, str) or isinstance(b, str):
        return bool(a == b)
    return bool(np.isclose(a, b, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True))

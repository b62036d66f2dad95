"""Make the reference runs: many seeds of a net side by side, each as a rule of its own trains it.

Beside :mod:`repro.comparison.reference`, which reads them and needs none of the frameworks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_info

from repro.comparison.reference import COLUMNS, METRICS, load
from repro.compute.threads import map_in_threads
from repro.evaluation.tables import Run, metrics_table
from repro.mnist.images import MnistSplits
from repro.mnist.numpy_trainer import NumpyTrainer
from repro.mnist.recipe import MlpRecipe
from repro.mnist.torch_trainer import TorchTrainer
from repro.mnist.training import Trainer, predict, train
from repro.plan import Model
from repro.provenance import record
from repro.system.files import atomic_path, read_json, write_json

_TRAINERS: dict[str, type[Trainer]] = {"numpy": NumpyTrainer, "torch": TorchTrainer}


def made_by(model: Model, split: Mapping[str, Any], data: Mapping[str, str]) -> dict[str, Any]:
    """Return what decides a net's figures on a given machine, as JSON values.

    Args:
        model: the net.
        split: how the data are split, as config.yaml has it.
        data: sha256 of each prepared file.
    """
    recipe = {"framework": model.framework, **model.recipe}
    return {"recipe": recipe, "split": dict(split), "data": dict(data)}


def machine() -> dict[str, Any]:
    """Describe processor, system and what computes on them, as far as figures may hang on it."""
    libraries = {
        f"{pool['internal_api']} {pool['version']} for {pool['architecture']}"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    }
    return {
        "processor": record.processor(),
        "system": record.machine()["system"],
        "versions": {
            "Python": record.python_version(),
            "NumPy": version("numpy"),
            "PyTorch": version("torch"),
            "BLAS": " and ".join(sorted(libraries)),
        },
    }


def train_missing(
    folder: Path,
    model: Model,
    data: MnistSplits,
    about: Mapping[str, Any],
    seeds: Sequence[int],
    *,
    workers: int,
) -> Iterator[int]:
    """Train the seeds that ``folder`` does not have yet; yield each once its figures are written.

    What was made by another recipe, from other data or on another machine is made anew.

    Args:
        folder: of the reference runs.
        model: a net that reproduces a reported model.
        data: images and labels.
        about: ``made_by`` and ``machine``, by these names.
        seeds: all that there are to be, in their order in the table.
        workers: seeds that are trained side by side, each in one thread.
    """
    table = folder / f"{model.net['reported']}.csv"
    runs = _begun(table, about)
    missing = [seed for seed in seeds if seed not in set(runs["seed"])]

    def figures(seed: int) -> pd.DataFrame:
        recipe = MlpRecipe(**model.recipe)
        trainer, _ = train(_TRAINERS[model.framework], data, recipe, seed)
        run = Run(model.name, f"seed-{seed}", seed)
        rows = metrics_table(predict(trainer, data), run, model.loss)
        return rows.loc[rows["metric"].isin(METRICS), COLUMNS]

    for seed, rows in zip(missing, map_in_threads(figures, missing, workers), strict=True):
        runs = pd.concat([runs, rows], ignore_index=True) if len(runs) else rows
        with atomic_path(table) as aside:
            runs.to_csv(aside, index=False)
        yield seed


def _begun(table: Path, about: Mapping[str, Any]) -> pd.DataFrame:
    """Return what an earlier call left; where that is of no use, clear it away and begin."""
    beside = table.with_suffix(".json")
    if table.exists():
        found = read_json(beside, f"delete {table} to make it anew")
        if {key: found.get(key) for key in about} == about:
            return load([table])[table.stem].runs
        table.unlink()
    write_json(beside, {"date": f"{datetime.now(UTC):%Y-%m-%d}", **about})
    return pd.DataFrame(columns=COLUMNS)

"""Train the heads of one net, all its runs, on cached features."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from repro.compute import devices
from repro.compute.threads import map_in_threads
from repro.evaluation.names_of_classes import names_for
from repro.features.store import FeatureSet, read_features
from repro.flowers.images import (
    class_indices,
    hash_of_images,
    positions,
    read_images,
    read_split,
)
from repro.heads.training import (
    HeadRecipe,
    HeadResult,
    HeadRun,
    about,
    train_heads,
    write_state,
)
from repro.history import log_history, write_history
from repro.predictions import Predictions
from repro.splits import SPLITS
from repro.system import logs
from repro.system.progress import Bar
from repro.system.writer_lock import lock_output

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def rows_of_run(
    run: Mapping[str, Any], splits: Sequence[Mapping[str, list[int]]], features: FeatureSet
) -> HeadRun:
    """Turn a configured run into rows of the feature matrix."""
    ids = splits[run["split"]]
    return HeadRun(run["seed"], *(np.array(features.rows_of(ids[s]), np.int64) for s in SPLITS))


def predictions_of(
    run: HeadRun, result: HeadResult, ids: Any, labels: Any, classes: Any
) -> Predictions:
    """Gather a run's scores, set after set."""
    rows = np.concatenate([run.sets[name] for name in SPLITS])
    splits = np.repeat(SPLITS, [len(run.sets[name]) for name in SPLITS])
    return Predictions(ids[rows], labels[rows], splits, result.scores[rows], "log_softmax", classes)


def write_run(
    made: Any, ids: Any, labels: Any, said: Mapping[str, Any], trained: tuple[int, Any, Any]
) -> None:
    """Write a run's outputs; ``trained`` is its place among them, the run and its result."""
    i, run, result = trained
    write_history(Path(made.histories[i]), result.history)
    predictions_of(run, result, ids, labels, np.array(said["classes"])).save(made.predictions[i])
    write_state(Path(made.models[i]), result.state, said)


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    lock_output(snakemake.output.histories[0])
    source, made, params = snakemake.input, snakemake.output, snakemake.params
    devices.keep_freed_memory()
    devices.set_threads(snakemake.threads)
    device = devices.choose(snakemake.resources.get("gpu", 0))
    images = read_images(Path(source.images))
    indices, classes = class_indices(images.labels)
    splits = [read_split(Path(file)) for file in source.splits]
    recipe = HeadRecipe(**params.recipe)
    logger.info("%d runs, %d classes, %s", len(params.runs), len(classes), recipe)

    total = recipe.epochs * len(params.runs)
    with Bar(total=total, unit="epoch", desc="heads") as bar:
        stores = list(zip(source.features, source.ids, source.manifests, strict=True))
        for number, (rows, ids, manifest) in enumerate(stores):
            features = read_features(Path(rows), Path(ids), Path(manifest), hash_of_images(images))
            labels = indices[positions(images.ids, features.ids)]
            # One store serves every split, or each split has a store of its own.
            chosen = [
                i for i, run in enumerate(params.runs) if len(stores) == 1 or run["split"] == number
            ]
            runs = [rows_of_run(params.runs[i], splits, features) for i in chosen]
            results = train_heads(
                features.features,
                labels,
                runs,
                recipe,
                device,
                classes=len(classes),
                threads=snakemake.threads,
                on_epoch=bar.update,
            )
            for i, result in zip(chosen, results, strict=True):
                log_history(params.runs[i]["run"], result.history)
            said = about(
                features.manifest, classes.tolist(), names_for(classes, source.get("names"))
            )
            write = partial(write_run, made, features.ids, labels, said)
            # Side by side, because packing a run's predictions takes as long as half an epoch.
            for _ in map_in_threads(
                write, zip(chosen, runs, results, strict=True), snakemake.threads
            ):
                pass


if __name__ == "__main__":
    main()

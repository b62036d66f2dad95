"""Train the heads of one net, all runs at once, on cached features."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from repro import devices, logs
from repro.feature_store import FeatureSet, read_features
from repro.flower_images import class_indices, hash_of_images, read_images, read_split
from repro.heads import (
    HeadRecipe,
    HeadResult,
    HeadRun,
    log_history,
    train_heads,
    write_history,
    write_state,
)
from repro.predictions import SPLITS, Predictions

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def rows_of_runs(
    runs: Sequence[Mapping[str, Any]], splits: Sequence[Path], features: FeatureSet
) -> list[HeadRun]:
    """Turn the configured runs into rows of the feature matrix."""
    sets = [
        {name: np.array(features.rows_of(ids), np.int64) for name, ids in read_split(file).items()}
        for file in splits
    ]
    return [HeadRun(run["seed"], *(sets[run["split"]][name] for name in SPLITS)) for run in runs]


def predictions_of(
    run: HeadRun, result: HeadResult, ids: Any, labels: Any, classes: Any
) -> Predictions:
    """Gather a run's scores, set after set."""
    rows = np.concatenate([run.sets[name] for name in SPLITS])
    splits = np.repeat(SPLITS, [len(run.sets[name]) for name in SPLITS])
    return Predictions(ids[rows], labels[rows], splits, result.scores[rows], "log_softmax", classes)


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    source, made = snakemake.input, snakemake.output
    devices.keep_freed_memory()
    devices.set_threads(snakemake.threads)
    device = devices.choose(snakemake.resources.get("gpu", 0))
    images = read_images(Path(source.images))
    manifest = source.get("manifest", Path(source.features).with_name("manifest.json"))
    features = read_features(
        Path(source.features), Path(source.ids), Path(manifest), hash_of_images(images)
    )
    indices, classes = class_indices(image.label for image in images)
    index_of = {image.id: index for image, index in zip(images, indices, strict=True)}
    labels = np.array([index_of[image] for image in features.ids.tolist()], np.int64)
    runs = rows_of_runs(snakemake.params.runs, [Path(file) for file in source.splits], features)
    recipe = HeadRecipe(**snakemake.params.recipe)
    logger.info(
        "%d runs, %d features, %d classes, %s",
        len(runs),
        *features.features.shape[1:],
        len(classes),
        recipe,
    )
    with tqdm(total=recipe.epochs * len(runs), unit="epoch", desc="heads", disable=None) as bar:
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
    for i, (run, result) in enumerate(zip(runs, results, strict=True)):
        log_history(snakemake.params.runs[i]["run"], result.history)
        write_history(Path(made.histories[i]), result.history)
        predictions_of(run, result, features.ids, labels, classes).save(made.predictions[i])
        write_state(Path(made.models[i]), result.state)


if __name__ == "__main__":
    main()

"""Compute the metrics of one run from its predictions."""

from typing import TYPE_CHECKING

import pandas as pd

from repro import evaluation, logs
from repro.files import atomic_path
from repro.predictions import Predictions

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    run = evaluation.Run(snakemake.params.model, snakemake.params.run, snakemake.params.seed)
    predictions = Predictions.load(snakemake.input.predictions)
    history = snakemake.input.get("history")
    names = snakemake.input.get("names")

    metrics = evaluation.metrics_table(predictions, run, snakemake.params.loss, history or None)
    classes = evaluation.class_table(predictions, run, names or None)
    for table, target in (
        (metrics, snakemake.output.metrics),
        (classes, snakemake.output.per_class),
    ):
        with atomic_path(target) as aside:
            table.to_csv(aside, index=False)
    logger.info("accuracy: %s", accuracies(metrics))


def accuracies(metrics: pd.DataFrame) -> dict[str, float]:
    rows = metrics[metrics["metric"] == "accuracy"]
    return dict(zip(rows["split"], rows["value"].round(4), strict=True))


if __name__ == "__main__":
    main()

"""Compute the metrics of one run from its predictions."""

from typing import TYPE_CHECKING

import pandas as pd

from repro.evaluation import tables as evaluation
from repro.evaluation.chance import never_learned
from repro.predictions import Predictions
from repro.system import logs
from repro.system.files import atomic_path

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    run = evaluation.Run(snakemake.params.model, snakemake.params.run, snakemake.params.seed)
    predictions = Predictions.load(snakemake.input.predictions)
    history = snakemake.input.get("history") or None
    names = snakemake.input.get("names") or None
    images = snakemake.input.get("images") or None

    metrics = evaluation.metrics_table(predictions, run, snakemake.params.loss, history)
    tables = {
        "metrics": metrics,
        "per_class": evaluation.class_table(predictions, run, names),
        "confusion": evaluation.confusion_table(predictions, run, names),
        "mistakes": evaluation.mistake_table(predictions, run, names, images),
        "predicted": evaluation.prediction_table(predictions, run, names, images),
        "reliability": evaluation.reliability_table(predictions, run),
    }
    for name, target in snakemake.output.items():
        with atomic_path(target) as aside:
            tables[name].to_csv(aside, index=False)
    logger.info("accuracy: %s", accuracies(metrics))
    if words := never_learned(tables["per_class"]):
        logger.warning("%s %s", run.model, words)


def accuracies(metrics: pd.DataFrame) -> dict[str, float]:
    rows = metrics[metrics["metric"] == "accuracy"]
    return dict(zip(rows["split"], rows["value"].round(4), strict=True))


if __name__ == "__main__":
    main()

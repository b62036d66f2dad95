"""Record how the run was made: provenance, and a card for each model."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import yaml

from repro.plan import Plan
from repro.provenance.run_record import Left, RunRecord, circumstances
from repro.provenance.run_times import jobs
from repro.system import logs
from repro.system.files import write_json, write_text
from repro.system.tables import read_csv

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    source, params, made = snakemake.input, snakemake.params, snakemake.output
    left = Left(
        splits=source.splits,
        manifests=source.manifests,
        notebooks=source.notebooks,
        images=source.images or None,
        damaged=source.damaged or None,
        names=source.names or None,
        left_out=source.left_out or None,
        results=[*source.tables, *source.metrics, *source.histories, *source.predictions],
        environments=source.environments,
        project=Path(params.project),
        sources=params.sources,
        data_title=params.data_title,
    )
    plan = Plan(yaml.safe_load(Path(source.config).read_text(encoding="utf-8")))
    run = RunRecord(plan, params.models, left, Path(made.provenance).parent)
    of_jobs = jobs(
        params.benchmarks, params.unfinished, params.runs, plan.splits, plan.model_of_rule
    )
    write_json(
        made.provenance, {"identity": run.identity(), "circumstances": circumstances(of_jobs)}
    )
    comparison = read_csv(source.comparison)
    metrics = pd.concat([read_csv(file) for file in source.metrics], ignore_index=True)
    for entry, target in zip(params.models, made.cards, strict=True):
        write_text(target, run.card(entry, comparison, metrics))
    logger.info("%s and %d cards", made.provenance, len(made.cards))


if __name__ == "__main__":
    main()

"""Judge the report's claims in words by what was run."""

from typing import TYPE_CHECKING

import pandas as pd

from repro.comparison import claims, reported
from repro.comparison.compare import Model
from repro.history import read_history
from repro.plan import MAIN
from repro.report import markdown
from repro.system import logs
from repro.system.files import atomic_path, write_text

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def by_run(paths: list[str], runs: list[list[str]], model: str) -> dict[str, str]:
    """Return each run's path; ``runs`` names (model, run, split) in the paths' order."""
    pairs = zip(paths, runs, strict=True)
    return {run: path for path, (name, run, _) in pairs if name == model}


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    metrics = pd.read_csv(snakemake.input.metrics)
    runs = snakemake.params.runs
    everything = []
    for model in (Model.of(entry) for entry in snakemake.params.models):
        histories = by_run(snakemake.input.histories, runs, model.name)
        everything.append(
            claims.Evidence(
                model,
                metrics[metrics["model"] == model.name],
                {run: read_history(path) for run, path in histories.items()},
                by_run(snakemake.input.predictions, runs, model.name),
                [run for name, run, split in runs if name == model.name and split != MAIN],
            )
        )
    judged = claims.judge(reported.load(snakemake.input.reported), everything)
    with atomic_path(snakemake.output.claims) as aside:
        judged.to_csv(aside, index=False)
    write_text(snakemake.output.table, markdown.claims(judged))
    logger.info("%s", judged["verdict"].value_counts().to_json())


if __name__ == "__main__":
    main()

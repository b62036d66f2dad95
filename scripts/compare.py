"""Lay the reproduced figures beside the reported ones, with a verdict each."""

from typing import TYPE_CHECKING

from repro.comparison import compare as comparison
from repro.comparison import reported
from repro.report import markdown
from repro.system import logs
from repro.system.files import atomic_path, write_text

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    models = [comparison.Model.of(entry) for entry in snakemake.params.models]
    metrics = comparison.gather(snakemake.input.metrics)
    rows = comparison.compare(metrics, models, reported.load(snakemake.input.reported))

    for table, target in (
        (metrics, snakemake.output.metrics),
        (rows, snakemake.output.comparison),
    ):
        with atomic_path(target) as aside:
            table.to_csv(aside, index=False)
    write_text(snakemake.output.table, markdown.comparison(rows))
    logger.info("%s", rows["verdict"].value_counts().to_json())


if __name__ == "__main__":
    main()

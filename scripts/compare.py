"""Lay the reproduced figures beside the reported ones, with a verdict each."""

from typing import TYPE_CHECKING

from repro.comparison import compare as comparison
from repro.comparison import overview, reference, reported
from repro.report import markdown
from repro.report.summary import of_figures
from repro.system import logs
from repro.system.files import atomic_path, write_json, write_text

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    models = [comparison.Model.of(entry) for entry in snakemake.params.models]
    metrics = comparison.gather(snakemake.input.metrics)
    report = reported.load(snakemake.input.reported)
    references = reference.load(snakemake.input.reference)
    rows = comparison.compare(metrics, models, report, references)
    above = overview.overview(metrics, models, report, references)

    for table, target in (
        (metrics, snakemake.output.metrics),
        (rows, snakemake.output.comparison),
    ):
        with atomic_path(target) as aside:
            table.to_csv(aside, index=False)
    write_json(snakemake.output.overview, above)
    said = "\n".join(f"- {sentence}" for sentence in of_figures(rows, above))
    write_text(snakemake.output.table, f"{said}\n\n{markdown.comparison(rows, above)}")
    logger.info("%s", rows["verdict"].value_counts().to_json())


if __name__ == "__main__":
    main()

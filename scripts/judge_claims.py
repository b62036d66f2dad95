"""Judge the report's claims in words by what was run."""

from typing import TYPE_CHECKING

from repro.comparison import claims, reference, reported
from repro.comparison.compare import Model
from repro.history import read_history
from repro.report import markdown
from repro.system import logs
from repro.system.files import atomic_path, write_text
from repro.system.tables import read_csv

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    metrics = read_csv(snakemake.input.metrics)
    references = reference.load(snakemake.input.reference)
    files = zip(snakemake.input.histories, snakemake.input.predictions, strict=True)
    everything = []
    for model in (Model.of(entry) for entry in snakemake.params.models):
        # Files come by model and run, in the order of the models and of each one's runs.
        own = {run: next(files) for run in model.runs}
        everything.append(
            claims.Evidence(
                model,
                metrics[metrics["model"] == model.name],
                {run: read_history(history) for run, (history, _) in own.items()},
                {run: predictions for run, (_, predictions) in own.items()},
                references.get(model.reported or ""),
            )
        )
    judged = claims.judge(reported.load(snakemake.input.reported), everything)
    with atomic_path(snakemake.output.claims) as aside:
        judged.to_csv(aside, index=False)
    write_text(snakemake.output.table, markdown.claims(judged))
    logger.info("%s", judged["verdict"].value_counts().to_json())


if __name__ == "__main__":
    main()

"""Plot accuracy or loss per epoch of one model, the report's curve behind it."""

from typing import TYPE_CHECKING

from repro.history import read_history
from repro.report import style
from repro.report.curves import curves
from repro.system import logs

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logs.set_up(snakemake.log[0])
    curve = snakemake.input.get("reported")
    with style.styled(snakemake.input.style):
        figure = curves(
            [read_history(path) for path in snakemake.input.histories],
            snakemake.params.quantity,
            snakemake.params.splits,
            snakemake.params.title,
            reported=read_history(curve) if curve else None,
            reported_label=snakemake.params.reported_label,
            loss_label=snakemake.params.get("loss_label", "Loss"),
        )
        style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    main()

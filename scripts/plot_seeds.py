"""Plot the spread of accuracy over the runs of each model."""

from typing import TYPE_CHECKING

import pandas as pd

from repro.report import style as figures
from repro.report.comparison import spread
from repro.system import logs

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logs.set_up(snakemake.log[0])
    with figures.styled(snakemake.input.style):
        figure = spread(
            pd.read_csv(snakemake.input.metrics), pd.read_csv(snakemake.input.comparison)
        )
        figures.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    main()

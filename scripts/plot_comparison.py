"""Plot how far each figure is from the reported one, and the spread over runs of each model."""

from typing import TYPE_CHECKING

import pandas as pd

from repro.report import style
from repro.report.comparison import comparison, spread
from repro.system import logs

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logs.set_up(snakemake.log[0])
    rows = pd.read_csv(snakemake.input.comparison)
    with style.styled(snakemake.input.style):
        style.save(comparison(rows), snakemake.output.comparison)
        style.save(spread(pd.read_csv(snakemake.input.metrics), rows), snakemake.output.seeds)


if __name__ == "__main__":
    main()

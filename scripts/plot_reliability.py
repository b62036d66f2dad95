"""Plot accuracy against confidence of one run."""

from typing import TYPE_CHECKING

import pandas as pd

from repro.report import style as figures
from repro.report.errors import reliability
from repro.system import logs

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logs.set_up(snakemake.log[0])
    metrics = pd.read_csv(snakemake.input.metrics)
    ece = metrics.loc[(metrics["split"] == "test") & (metrics["metric"] == "ece"), "value"]
    with figures.styled(snakemake.input.style):
        figure = reliability(
            pd.read_csv(snakemake.input.reliability), float(ece.iloc[0]), snakemake.params.title
        )
        figures.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    main()

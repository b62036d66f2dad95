"""Plot the ratios of a benchmark of this project."""

from typing import TYPE_CHECKING

import pandas as pd

from repro.report import benchmarks, style
from repro.system import logs

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

DRAWN_BY = {"bench_mnist": benchmarks.mnist, "bench_flowers": benchmarks.flowers}


def main() -> None:
    logs.set_up(snakemake.log[0])
    draw = DRAWN_BY[snakemake.params.benchmark]
    with style.styled(snakemake.input.style):
        figure = draw(pd.read_csv(snakemake.input.times))
        style.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    main()

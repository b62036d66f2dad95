"""Plot the ratios of a benchmark of this project."""

from typing import TYPE_CHECKING

import pandas as pd

from repro import benchmark_figures, figures, logs

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

DRAWN_BY = {"bench_mnist": benchmark_figures.mnist, "bench_flowers": benchmark_figures.flowers}


def main() -> None:
    logs.set_up(snakemake.log[0])
    draw = DRAWN_BY[snakemake.params.benchmark]
    with figures.styled(snakemake.input.style):
        figure = draw(pd.read_csv(snakemake.input.times))
        figures.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    main()

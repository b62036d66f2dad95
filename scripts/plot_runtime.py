"""Gather run time and peak memory of every job and plot them by rule, beside the benchmarks."""

from typing import TYPE_CHECKING

import pandas as pd

from repro.figures import benchmarks, style
from repro.figures.run_times import run_times
from repro.provenance.run_times import by_rule, jobs
from repro.system import logs
from repro.system.files import atomic_path

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

DRAWN_BY = {"bench_mnist": benchmarks.mnist, "bench_flowers": benchmarks.flowers}


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    source, params, output = snakemake.input, snakemake.params, snakemake.output
    of_jobs = jobs(params.benchmarks, params.unfinished, params.runs, params.splits, params.models)
    with atomic_path(output.table) as aside:
        of_jobs.to_csv(aside, index=False)
    with style.styled(source.style):
        style.save(run_times(by_rule(of_jobs)), output.runtime)
        for name in DRAWN_BY.keys() & source.keys():
            style.save(DRAWN_BY[name](pd.read_csv(source[name])), output[name])
    logger.info("%d jobs, %.0f s in all", len(of_jobs), of_jobs["wall_s"].sum())


if __name__ == "__main__":
    main()

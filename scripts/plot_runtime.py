"""Gather run time and peak memory of every job, and plot them by rule."""

from typing import TYPE_CHECKING

from repro import figures, logs
from repro.files import atomic_path
from repro.run_time_figures import run_times
from repro.run_times import by_rule, jobs

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    params = snakemake.params
    of_jobs = jobs(params.benchmarks, params.runs, params.nets, params.splits, params.unfinished)
    with atomic_path(snakemake.output.table) as aside:
        of_jobs.to_csv(aside, index=False)
    with figures.styled(snakemake.input.style):
        figures.save(run_times(by_rule(of_jobs)), snakemake.output.png, snakemake.output.svg)
    logger.info("%d jobs, %.0f s in all", len(of_jobs), of_jobs["wall_s"].sum())


if __name__ == "__main__":
    main()

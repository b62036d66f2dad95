"""Gather run time and peak memory of every job, and plot them by rule."""

from typing import TYPE_CHECKING

from repro.provenance.run_times import by_rule, jobs
from repro.report import style
from repro.report.run_times import run_times
from repro.system import logs
from repro.system.files import atomic_path

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    params = snakemake.params
    of_jobs = jobs(params.benchmarks, params.unfinished, params.runs, params.splits, params.models)
    with atomic_path(snakemake.output.table) as aside:
        of_jobs.to_csv(aside, index=False)
    with style.styled(snakemake.input.style):
        style.save(run_times(by_rule(of_jobs)), snakemake.output.png, snakemake.output.svg)
    logger.info("%d jobs, %.0f s in all", len(of_jobs), of_jobs["wall_s"].sum())


if __name__ == "__main__":
    main()

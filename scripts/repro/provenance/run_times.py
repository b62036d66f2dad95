"""Run time and peak memory of jobs, from the benchmark files that Snakemake writes."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from repro.errors import UserError
from repro.provenance.job_files import files_of_jobs, filled
from repro.system.pieces import earlier_seconds

COLUMNS = ["rule", "job", "wall_s", "earlier_s", "cpu_s", "peak_rss_mib"]
# Snakemake's names. Its "MB" of memory are 2**20 bytes; it samples them and the CPU time, every
# half second at first, every 30 seconds later.
_OF_SNAKEMAKE = {"s": "wall_s", "cpu_time": "cpu_s", "max_rss": "peak_rss_mib"}


def jobs(
    patterns: Mapping[str, str],
    unfinished: Mapping[str, str] | None = None,
    runs: Mapping[str, Collection[str]] | None = None,
    splits: Collection[str] = (),
    models: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return one row per job of a run, by rule and job.

    Args:
        patterns: where each rule writes its benchmark, as for :func:`files_of_jobs`, like the last
            three.
        unfinished: where the jobs of a rule that go on after a kill keep their unfinished work,
            with the same wildcards. Snakemake measures the last piece of such a job alone.
        runs: the runs of each model.
        splits: the splits of this run.
        models: the model of each rule that one model has for itself.

    Returns:
        Columns rule, job (values of the wildcards; empty where a rule has one job), wall_s and
        cpu_s in seconds, peak_rss_mib in MiB. The last two may be missing for a job of an instant,
        and are those of the last piece. earlier_s is the part of wall_s that earlier pieces took;
        where it is missing, wall_s is that of the last piece too.

    Raises:
        UserError: where a file is not a benchmark.
    """
    rows = []
    for rule, file, wildcards in files_of_jobs(patterns, runs, splits, models):
        measured, earlier = _read(file), 0.0
        if unfinished and rule in unfinished:
            earlier = earlier_seconds(filled(unfinished[rule], wildcards))
            measured["wall_s"] += 0.0 if math.isnan(earlier) else earlier
        job = "/".join(wildcards.values())
        rows.append({"rule": rule, "job": job, "earlier_s": earlier, **measured})
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(["rule", "job"], ignore_index=True)


def _read(file: Path) -> dict[str, float]:
    table = pd.read_csv(file, sep="\t", na_values=["-", "NA"])
    if missing := set(_OF_SNAKEMAKE) - set(table.columns):
        raise UserError(
            f"{file}: column {sorted(missing)[0]!r} is missing, so it is no benchmark of "
            "Snakemake; delete it and run again"
        )
    last = table.iloc[-1]
    return {ours: float(last[theirs]) for theirs, ours in _OF_SNAKEMAKE.items()}


def by_rule(of_jobs: pd.DataFrame) -> pd.DataFrame:
    """Return columns rule, jobs, wall_s, earlier_s (sums), peak_rss_mib (highest).

    The longest is the first. earlier_s is missing where one job's is.
    """
    grouped = of_jobs.groupby("rule", as_index=False).agg(
        jobs=("job", "size"),
        wall_s=("wall_s", "sum"),
        earlier_s=("earlier_s", lambda values: values.sum(skipna=False)),
        peak_rss_mib=("peak_rss_mib", "max"),
    )
    return grouped.sort_values(["wall_s", "rule"], ascending=[False, True], ignore_index=True)

"""Run time and peak memory of each rule as bars."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.figures.style import GREY, REPRODUCED

_MEMORY = "#56B4E9"
_ROW = 0.24  # inches
_TIMES = "\u00d7"


def run_times(by_rule: pd.DataFrame) -> Figure:
    """Draw two bars a rule: the seconds of its jobs together, and the most memory one took.

    Args:
        by_rule: columns rule, jobs, wall_s, earlier_s, peak_rss_mib, in the order from top to
            bottom.
    """
    if by_rule.empty:
        figure = Figure(figsize=(7, 1.2))
        figure.text(0.5, 0.5, "Snakemake left no benchmark files.", ha="center", va="center")
        return figure
    names = [_name(rule, jobs) for rule, jobs in zip(by_rule["rule"], by_rule["jobs"], strict=True)]
    figure = Figure(figsize=(7, 1.1 + _ROW * len(by_rule)))
    time, memory = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    pairs = zip(by_rule["wall_s"], by_rule["earlier_s"], strict=True)
    _bars(time, by_rule["wall_s"], [_time(*pair) for pair in pairs], REPRODUCED)
    peaks = by_rule["peak_rss_mib"]
    _bars(memory, peaks, ["" if pd.isna(peak) else f"{peak:.0f}" for peak in peaks], _MEMORY)
    time.set_yticks(range(len(names)), names)
    time.invert_yaxis()
    time.set_title("Time", loc="left")
    time.set_xlabel("Wall-clock time, all jobs (s)")
    memory.set_title("Memory", loc="left")
    memory.set_xlabel("Peak of a job (MiB)")
    return figure


def _name(rule: str, jobs: int) -> str:
    return rule if jobs == 1 else f"{rule} {_TIMES} {jobs}"


def _time(seconds: float, earlier: float) -> str:
    """Return a duration, and whether pieces before a kill are in it or are missing."""
    mark = ", last piece" if pd.isna(earlier) else ", resumed" if earlier else ""
    return f"{duration(seconds)}{mark}"


def _bars(axes: Axes, values: pd.Series, texts: list[str], colour: str) -> None:
    bars = axes.barh(range(len(values)), values.fillna(0), height=0.7, color=colour)
    axes.bar_label(bars, texts, padding=3, size=8, color=GREY)
    axes.margins(x=0.2, y=0.01)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)


def duration(seconds: float) -> str:
    """Return e.g. "4.2 s", "37 s", "3 min 6 s" or "1 h 2 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"

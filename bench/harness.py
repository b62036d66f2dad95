"""What the benchmarks share: contenders that take turns, and the page of what they took.

In a round each contender runs once, in turn, so that a machine busy with something else slows all
alike. Ratios are taken within a round, and their median is reported.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from repro.provenance.record import processor, python_version, usable_cores, versions
from repro.system.files import atomic_path, write_text

ROOT = Path(__file__).resolve().parents[1]


# --- taking turns --------------------------------------------------------------------------------


def race(contenders: Mapping[str, Callable[[], Mapping[str, float]]], rounds: int) -> pd.DataFrame:
    """Let each contender run once a round, in turn.

    Args:
        contenders: what runs, by name; each returns the seconds of its parts, by their names.
        rounds: how many.

    Returns:
        Columns round, contender, and one for each part.
    """
    rows = [
        {"round": number, "contender": name, **run()}
        for number in tqdm(range(1, rounds + 1), unit="round", disable=None)
        for name, run in contenders.items()
    ]
    return pd.DataFrame(rows).round(5)


def medians(times: pd.DataFrame, part: str = "seconds") -> pd.Series[float]:
    """Return the median over rounds by contender, in the order they ran in."""
    return times.groupby("contender", sort=False)[part].median()


def ratio(times: pd.DataFrame, slower: str, faster: str, part: str = "seconds") -> float:
    """Return how many times as long one takes as the other: the median over rounds."""
    rounds = times.pivot(index="round", columns="contender", values=part)
    return float((rounds[slower] / rounds[faster]).median())


def snakemake(*arguments: str) -> str:
    """Run Snakemake in the project's folder; return what it printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stdout[-5000:])
    return done.stdout


# --- the page ------------------------------------------------------------------------------------


def machine(threads: int, *packages: str) -> str:
    """Describe processor, load and versions, as entries of a list."""
    found = [f"{name} {number or 'not installed'}" for name, number in versions(packages).items()]
    return (
        f"- Processor: {processor()}, {usable_cores()} cores seen, threads used: {threads}; load "
        f"before the run {os.getloadavg()[0]:.1f}.\n"
        f"- {platform.system()} on {platform.machine()}, "
        f"{', '.join([f'Python {python_version()}', *found])}."
    )


def table(rows: pd.DataFrame | Sequence[Mapping[str, str]], words: int = 1) -> str:
    """Return rows, each by column, as Markdown; all but the first ``words`` columns flush right."""
    frame = pd.DataFrame(rows).fillna("")
    sides = ["left" if number < words else "right" for number in range(frame.shape[1])]
    return str(frame.to_markdown(index=False, disable_numparse=True, colalign=sides))


def met(reached: bool) -> str:
    """Return whether a target is reached, in words."""
    return "met" if reached else "not met"


def page(*parts: str) -> str:
    """Return paragraphs, headings and tables as one text; empty ones are left out."""
    return "\n\n".join(part for part in parts if part) + "\n"


# --- the command ---------------------------------------------------------------------------------


def parser(about: str, threads: int | None = None) -> argparse.ArgumentParser:
    """Return a command line with what every benchmark can be told; ``about`` is its docstring."""
    made = argparse.ArgumentParser(description=about.partition("\n")[0])
    made.add_argument("--output", type=Path, help="write the page there too")
    made.add_argument("--csv", type=Path, help="write what was measured there")
    made.add_argument("--threads", type=int, default=threads or usable_cores())
    return made


def publish(text: str, measured: pd.DataFrame, options: argparse.Namespace) -> None:
    """Print the page; write it, and what was measured, where the command line says."""
    print(text, end="")
    if options.csv:
        with atomic_path(options.csv) as aside:
            measured.to_csv(aside, index=False, float_format="%.10g")
    if options.output:
        write_text(options.output, text)

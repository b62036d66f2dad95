"""Send ever more small images through the real rules; print what time and memory they take.

Run by `make load`. For each count an archive of made-up JPEGs, no two alike, is registered as a
data set of one's own, and Snakemake runs the flowers half in an empty folder: from the archive to
the figures, with a tiny backbone, frozen. Seconds and memory come from Snakemake's benchmark files.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import linear_regression, mean
from typing import NamedTuple

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from repro.flowers.synthetic import write_archive, write_mat
from repro.provenance import run_times
from repro.provenance.record import processor
from repro.report.markdown import markdown
from repro.system.files import atomic_path, hash_of, write_text

ROOT = Path(__file__).resolve().parents[1]
COUNTS = [10_000, 30_000, 100_000]
KINDS, SIDE = 102, 32
TENTHS = 10
MODEL = "tiny"
COLUMNS = ["images", "part", "quantity", "value"]
# What is left behind, by its name in the table.
LEFT = {
    "archive": "images.tgz",
    "images.csv": "data/load/images.csv",
    "features.npy": f"data/load/features/{MODEL}/all/features.npy",
    "predictions.npz": f"results/runs/{MODEL}/seed-1/predictions.npz",
}


def draw(archive: Path, labels: Path, count: int) -> None:
    """Write ``count`` JPEGs in the official layout: a colour for each of 102 labels, and noise."""
    rng = np.random.default_rng(count)
    colours = rng.integers(64, 192, (KINDS, 1, 1, 3))
    order = np.arange(count) % KINDS
    write_archive(archive, (_jpeg(colours[kind], rng) for kind in order))
    write_mat(labels, {"labels": (order + 1).astype(np.uint8)[None]})


def _jpeg(colour: NDArray[np.int64], rng: np.random.Generator) -> bytes:
    pixels = colour + rng.integers(-40, 41, (SIDE, SIDE, 3))
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "JPEG", quality=75)
    return file.getvalue()


def configuration(folder: Path) -> dict[str, object]:
    """Return the settings of a run on the archive in ``folder``."""
    files = {"102flowers.tgz": folder / "images.tgz", "imagelabels.mat": folder / "labels.mat"}
    return {
        "models": [MODEL],
        "downloads": {
            f"load/{name}": {"sha256": hash_of(file), "sources": [{"path": str(file)}]}
            for name, file in files.items()
        },
        "flowers": {
            "data": "load",
            "split_seeds": [],
            "nets": {
                MODEL: {
                    "title": "A tiny backbone",
                    "architecture": "timm:test_resnet",
                    "weights": "none",
                    "protocol": "frozen",
                    "preprocess": "own",
                    "reported": None,
                    "recipe": "own",
                }
            },
        },
    }


def snakemake(*arguments: str) -> str:
    """Run Snakemake; return what it printed."""
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


def flowers(folder: Path, cores: int, *arguments: str) -> str:
    """Run the flowers half in ``folder``; return what Snakemake printed."""
    return snakemake(
        *("--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)),
        *("--configfile", str(folder / "load.yaml"), "--cores", str(cores)),
        *("--resources", "gpu=1", *arguments, "--", "flowers"),
    )


Row = tuple[str, str, float]


def measured(folder: Path, count: int, cores: int) -> Iterator[Row]:
    """Run everything on ``count`` images in ``folder``; yield part, quantity and value."""
    yield "machine", "load", os.getloadavg()[0]
    folder.mkdir(parents=True)
    draw(folder / "images.tgz", folder / "labels.mat", count)
    (folder / "load.yaml").write_text(yaml.safe_dump(configuration(folder)), encoding="utf-8")
    started = time.perf_counter()
    plan = flowers(folder, cores, "-n")
    yield "plan", "wall_s", time.perf_counter() - started
    total = re.search(r"^total +(\d+)$", plan, re.M)
    yield "plan", "jobs", int(total[1]) if total else 0
    started = time.perf_counter()
    flowers(folder, cores)
    yield "run", "wall_s", time.perf_counter() - started
    for row in run_times.by_rule(of_jobs(folder / "benchmarks")).itertuples():
        yield row.rule, "wall_s", row.wall_s
        yield row.rule, "peak_rss_mib", row.peak_rss_mib
    for name, file in LEFT.items():
        yield name, "bytes", (folder / file).stat().st_size
    width = np.load(folder / LEFT["features.npy"], mmap_mode="r").shape[1]
    yield "features.npy", "width", width
    entries = [file.stat() for file in (folder / "data/load").rglob("*")]
    yield "data", "names", len(entries)
    yield "data", "inodes", len({entry.st_ino for entry in entries})
    yield from unpacked(folder / "data/load/images")


def unpacked(images: Path) -> Iterator[Row]:
    """Yield how long each tenth of the images took to unpack, by the times of the files."""
    # Unpacked in the archive's order, which here is that of their numbers.
    files = sorted(images.glob("image_*.jpg"), key=lambda file: int(file.stem[6:]))
    times = [file.stat().st_mtime for file in files]
    ends = [times[(len(times) - 1) * k // TENTHS] for k in range(TENTHS + 1)]
    for number, (start, end) in enumerate(pairwise(ends), start=1):
        yield "unpacked", f"tenth {number}", end - start


def of_jobs(benchmarks: Path) -> pd.DataFrame:
    """Return one row per job; files lie as RULE.tsv or RULE/....tsv."""
    patterns = {
        entry.stem: str(entry) if entry.is_file() else f"{entry}/{{job}}.tsv"
        for entry in benchmarks.iterdir()
    }
    return run_times.jobs(patterns)


# --- the page ------------------------------------------------------------------------------------


class Line(NamedTuple):
    """A quantity as a straight line through what was measured."""

    each: float
    fixed: float

    def at(self, images: float) -> float:
        """Return the quantity for so many images."""
        return self.fixed + self.each * images


def values(table: pd.DataFrame, part: str, quantity: str) -> dict[int, float]:
    """Return a quantity by the number of images."""
    own = table[(table["part"] == part) & (table["quantity"] == quantity)]
    return dict(zip(own["images"].tolist(), own["value"].tolist(), strict=True))


def line(table: pd.DataFrame, part: str, quantity: str) -> Line:
    """Return the least-squares line through a quantity, with nothing below zero in it."""
    known = values(table, part, quantity)
    counts, found = list(known), list(known.values())
    each, fixed = linear_regression(counts, found)
    if each < 0:
        return Line(0.0, mean(found))
    if fixed < 0:
        return Line(linear_regression(counts, found, proportional=True).slope, 0.0)
    return Line(each, fixed)


def rules_of(table: pd.DataFrame) -> list[str]:
    """Return the rules, the longest at the largest count first."""
    own = table[(table["quantity"] == "wall_s") & ~table["part"].isin(("plan", "run"))]
    own = own[own["images"] == own["images"].max()]
    return own.sort_values("value", ascending=False)["part"].tolist()


def growths(known: dict[int, float], scale: float, digits: int) -> list[str]:
    """Return by how much a quantity grows for each image, between one count and the next."""
    counts = sorted(known)
    return [f"{scale * (known[b] - known[a]) / (b - a):.{digits}f}" for a, b in pairwise(counts)]


def page(table: pd.DataFrame, about: str) -> str:
    """Return the result as Markdown."""
    counts = sorted(table["images"].unique().tolist())
    jobs, plans, loads, runs = (
        values(table, *key)
        for key in (("plan", "jobs"), ("plan", "wall_s"), ("machine", "load"), ("run", "wall_s"))
    )
    numbers = [f"{count:,}" for count in counts]
    steps = [f"{a} to {b}" for a, b in pairwise(numbers)]
    seconds, memory = [], []
    for rule in rules_of(table):
        wall, peak = values(table, rule, "wall_s"), values(table, rule, "peak_rss_mib")
        seconds.append([rule, *(f"{wall[c]:.1f}" for c in counts), *growths(wall, 1000, 2)])
        if not any(np.isnan(list(peak.values()))):
            memory.append([rule, *(f"{peak[c]:.0f}" for c in counts), *growths(peak, 2**20, 0)])
    whole = ["whole run", *(f"{runs[c]:.1f}" for c in counts), *growths(runs, 1000, 2)]
    left = [[name, *(f"{values(table, name, 'bytes')[c]:,.0f}" for c in counts)] for name in LEFT]
    left += [
        [f"{what} below `data/load`", *(f"{values(table, 'data', what)[c]:,.0f}" for c in counts)]
        for what in ("names", "inodes")
    ]
    tenths = (values(table, "unpacked", f"tenth {k}")[counts[-1]] for k in range(1, TENTHS + 1))
    columns = range(1, len(counts) + len(steps) + 1)
    parts = [
        "# Load",
        f"Printed by `make load`. Generated images of {SIDE} by {SIDE} pixels, no two alike, "
        f"{KINDS} labels, through the real rules from the archive to the figures: a tiny backbone "
        "(timm:test_resnet, random weights, frozen), one head. Seconds and memory are those of "
        "Snakemake's benchmark files; it looks every half second at first, later every 30 "
        "seconds, so a short peak can escape it. What follows from it for more images: "
        "`docs/SCALING.md`.",
        f"{about}\n- Load before each count: {', '.join(f'{loads[c]:.1f}' for c in counts)}.",
        "## Jobs",
        f"Planned at {', '.join(numbers)} images: {', '.join(f'{jobs[c]:.0f}' for c in counts)} "
        f"jobs, in {', '.join(f'{plans[c]:.1f}' for c in counts)} s.",
        "## Seconds",
        "What else the machine did is in them, and differs between counts. Within one run, the "
        f"tenths of the {numbers[-1]} images took {', '.join(f'{t:.1f}' for t in tenths)} s to "
        "unpack.",
        markdown(
            ["rule", *numbers, *(f"ms an image, {step}" for step in steps)],
            [*seconds, whole],
            numbers=columns,
        ),
        "## Peak memory, MiB",
        markdown(
            ["rule", *numbers, *(f"bytes an image, {step}" for step in steps)],
            memory,
            numbers=columns,
        ),
        "## What is left behind, bytes",
        markdown(["", *numbers], left, numbers=columns),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def machine(cores: int) -> str:
    """Describe the machine."""
    return (
        f"- Processor: {processor()}, {os.cpu_count()} cores seen, {cores} used.\n"
        f"- {platform.system()} on {platform.machine()}, Python {platform.python_version()}."
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", nargs="+", type=int, default=COUNTS, help="images, each a run")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--work", type=Path, help="empty folder to work in; a temporary one else")
    parser.add_argument("--output", type=Path, help="write the page there too")
    parser.add_argument("--csv", type=Path, help="write what was measured there")
    return parser.parse_args(arguments)


def run(counts: Sequence[int], work: Path, cores: int) -> pd.DataFrame:
    """Measure each count in a folder of its own; return columns images, part, quantity, value."""
    rows = [
        (count, *row)
        for count in tqdm(counts, desc="counts", disable=None)
        for row in measured(work / str(count), count, cores)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def main() -> None:
    options = parse()
    if len(options.counts) < 2:
        sys.exit("bench_load: a growth needs two counts or more")
    about = machine(options.cores)
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        table = run(sorted(options.counts), work.resolve(), options.cores)
    if options.csv:
        with atomic_path(options.csv) as aside:
            table.to_csv(aside, index=False, float_format="%.10g")
    text = page(table, about)
    print(text, end="")
    if options.output:
        write_text(options.output, text)


if __name__ == "__main__":
    main()

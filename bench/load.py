"""Send ever more small images through the real rules; print what time and memory they take.

Run by `make load`. For each count an archive of made-up JPEGs, no two alike, is registered as a
data set of one's own, and Snakemake runs the flowers half in an empty folder: from the archive to
the figures, with a tiny backbone, frozen. Seconds and memory come from Snakemake's benchmark files.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from bench import harness
from repro.flowers.synthetic import write_archive, write_mat
from repro.provenance import run_times
from repro.system.files import hash_of

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


def flowers(folder: Path, cores: int, *arguments: str) -> str:
    """Run the flowers half in ``folder``; return what Snakemake printed."""
    return harness.snakemake(
        *("--snakefile", str(harness.ROOT / "Snakefile"), "--directory", str(folder)),
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


def run(counts: Sequence[int], work: Path, cores: int) -> pd.DataFrame:
    """Measure each count in a folder of its own; return columns images, part, quantity, value."""
    rows = [
        (count, *row)
        for count in tqdm(counts, desc="counts", disable=None)
        for row in measured(work / str(count), count, cores)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


# --- the page ------------------------------------------------------------------------------------


def by_count(table: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Return a quantity, a row for each part and a column for each number of images."""
    own = table[table["quantity"] == quantity]
    return own.pivot(index="part", columns="images", values="value")


def listed(numbers: Iterable[float], form: str) -> str:
    """Return numbers one after the other."""
    return ", ".join(format(number, form) for number in numbers)


def growing(found: pd.DataFrame, unit: str, scale: float, digits: tuple[int, int]) -> str:
    """Return a table of rules by counts, and of what an image more costs between two counts."""
    own, each = digits
    rows = [
        {"rule": str(rule)}
        | {f"{count:,}": f"{value:.{own}f}" for count, value in known.items()}
        | {
            f"{unit} an image, {a:,} to {b:,}": (
                f"{scale * (known[b] - known[a]) / (b - a):.{each}f}"
            )
            for a, b in pairwise(found)
        }
        for rule, known in found.iterrows()
    ]
    return harness.table(rows)


def page(table: pd.DataFrame, about: str) -> str:
    """Return the result as Markdown."""
    wall = by_count(table, "wall_s")
    *_, most = counts = list(wall)
    rules = wall.drop(["plan", "run"]).sort_values(most, ascending=False)
    seconds = pd.concat([rules, wall.loc[["run"]].rename({"run": "whole run"})])
    # No peak is known of a job that ended before Snakemake looked.
    memory = by_count(table, "peak_rss_mib").loc[rules.index].dropna()
    left = pd.concat(
        [
            by_count(table, "bytes").loc[list(LEFT)],
            *(
                by_count(table, what).rename({"data": f"{what} below `data/load`"})
                for what in ("names", "inodes")
            ),
        ]
    )
    rows = [
        {"": str(name)} | {f"{count:,}": f"{value:,.0f}" for count, value in known.items()}
        for name, known in left.iterrows()
    ]
    jobs, loads = by_count(table, "jobs").loc["plan"], by_count(table, "load").loc["machine"]
    tenths = table.loc[(table["part"] == "unpacked") & (table["images"] == most), "value"]
    return harness.page(
        "# Load",
        f"Printed by `make load`. Generated images of {SIDE} by {SIDE} pixels, no two alike, "
        f"{KINDS} labels, through the real rules from the archive to the figures: a tiny backbone "
        "(timm:test_resnet, random weights, frozen), one head. Seconds and memory are those of "
        "Snakemake's benchmark files; it looks every half second at first, later every 30 "
        "seconds, so a short peak can escape it. What follows from it for more images: "
        "`docs/SCALING.md`.",
        f"{about}\n- Load before each count: {listed(loads, '.1f')}.",
        "## Jobs",
        f"Planned at {listed(counts, ',')} images: {listed(jobs, '.0f')} jobs, in "
        f"{listed(wall.loc['plan'], '.1f')} s.",
        "## Seconds",
        "What else the machine did is in them, and differs between counts. Within one run, the "
        f"tenths of the {most:,} images took {listed(tenths, '.1f')} s to unpack.",
        growing(seconds, "ms", 1000, (1, 2)),
        "## Peak memory, MiB",
        growing(memory, "bytes", 2**20, (0, 0)),
        "## What is left behind, bytes",
        harness.table(rows),
    )


def main() -> None:
    """Read the command line, measure, write."""
    parser = harness.parser(__doc__)
    parser.add_argument("--counts", nargs="+", type=int, default=COUNTS, help="images, each a run")
    parser.add_argument("--work", type=Path, help="empty folder to work in; a temporary one else")
    options = parser.parse_args()
    if len(options.counts) < 2:
        parser.error("--counts: a growth needs two or more")
    about = harness.machine(options.threads)
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        table = run(sorted(options.counts), work.resolve(), options.threads)
    harness.publish(page(table, about), table, options)


if __name__ == "__main__":
    main()

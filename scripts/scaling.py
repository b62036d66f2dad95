"""Work out on paper what ever more images cost, from what was measured; print Markdown.

Run by `make scaling`. Nothing is timed here: `make load` and `make bench-flowers` have measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

import bench_flowers
from bench_load import KINDS, SIDE, Line, line, rules_of, values
from repro.flowers.archive import MAX_MEMBERS
from repro.report.markdown import markdown
from repro.system.files import write_text

ROOT = Path(__file__).resolve().parents[1]
COUNTS = (10**5, 10**7, 10**9)
WIDTHS = {"resnet152": 2048, "convnext_large": 1536}
FLOAT = 4  # bytes
INODE = 16 * 1024  # bytes of disk for each, as ext4 is made by default
# Below this a job's memory is the noise of a measurement, not a growth.
LEVEL = 20  # bytes an image


@dataclass(frozen=True)
class Heads:
    """What the heads of a net are, as far as their job's memory goes."""

    runs: int
    labels: int
    hidden: int

    def memory(self, width: int) -> int:
        """Return the bytes an image takes in the job that trains all heads.

        The matrix, every run's scores of every image, and one run's hidden layer and scores twice
        while they are worked out. The matrix counts once more as pages of its file, which the
        system takes back when it needs them.
        """
        own = width + self.runs * self.labels + 2 * self.hidden + 2 * self.labels
        return FLOAT * (own + width)


@dataclass(frozen=True)
class Given:
    """Everything the page is worked out from.

    Attributes:
        load: what `make load` measured.
        cpu: images a second through each network, one job, on a CPU.
        gpu: the same on a GPU, where somebody knows it.
        heads: the heads that `config.yaml` trains on a net.
        archive: bytes of the archive for each image.
        memory: bytes a job may take.
        hours: a job may take.
        disk: bytes there are.
        shards: counts of jobs that share a pass over the images.
    """

    load: pd.DataFrame
    cpu: Mapping[str, float]
    gpu: Mapping[str, float]
    heads: Heads
    archive: float
    memory: float
    hours: float
    disk: float
    shards: Sequence[int]

    @property
    def disk_of_image(self) -> float:
        """Bytes on disk for each image: in the archive, unpacked, its row, its widest feature."""
        row = line(self.load, "images.csv", "bytes").each
        return 2 * self.archive + row + FLOAT * max(WIDTHS.values())


def rates(table: pd.DataFrame) -> dict[str, float]:
    """Return images a second of this project's pass, by network: medians over rounds."""
    images = {name.partition(":")[2]: count for name, count in bench_flowers.NETS.items()}
    own = table[table["contender"] == "this project"]
    seconds = own.groupby("network", sort=False)["seconds"].median()
    return {str(net): images[str(net)] / value for net, value in seconds.items()}


# --- words for numbers ---------------------------------------------------------------------------


def size(count: float) -> str:
    """Return bytes with the unit that leaves one to three digits before the point."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} PB"


def hours(count: float) -> str:
    """Return hours, with years beside them where they are many."""
    text = f"{count:,.0f}" if count >= 99.5 else f"{count:.2g}"
    return f"{text} ({count / 8766:,.1f} years)" if count >= 8766 else text


def rounded(count: float) -> str:
    """Return a number of images with two digits that count."""
    return f"{float(f'{count:.1e}'):,.0f}"


# --- the tables ----------------------------------------------------------------------------------


def heads_measured(given: Given) -> tuple[str, int]:
    """Return the rule whose heads were measured, and the number of features they had."""
    job = next(rule for rule in rules_of(given.load) if rule.startswith("train_"))
    return job, int(max(values(given.load, "features.npy", "width").values()))


def memory_of(given: Given, rule: str) -> Line:
    """Return a rule's MiB by images.

    A features job's peak differs more from run to run than between the counts that were measured.
    It grows by no less than the table of the images, for whose bytes those of `images.csv` stand.
    """
    memory = line(given.load, rule, "peak_rss_mib")
    if not rule.startswith("features_"):
        return memory
    table = line(given.load, "images.csv", "bytes").each / 2**20
    return memory._replace(each=max(memory.each, table))


def each_table(given: Given) -> str:
    """Return what an image costs in each rule."""
    rows = []
    for rule in rules_of(given.load):
        time, memory = line(given.load, rule, "wall_s"), line(given.load, rule, "peak_rss_mib")
        rows.append(
            [
                rule,
                f"{time.fixed:.1f}",
                f"{1000 * time.each:.3f}",
                f"{memory.fixed:.0f}",
                f"{2**20 * memory.each:.0f}",
            ]
        )
    header = ["rule", "s at the start", "ms an image", "MiB at the start", "bytes an image"]
    return markdown(header, rows, numbers=range(1, 5))


def cost_table(given: Given) -> str:
    """Return what the counts cost in disk, hours and memory."""
    job, width = heads_measured(given)

    def row(what: str, text: Callable[[float], str], value: Callable[[float], float]) -> list[str]:
        return [what, *(text(value(count)) for count in COUNTS)]

    def measured(part: str, quantity: str) -> Line:
        return line(given.load, part, quantity)

    def memory(rule: str) -> Callable[[float], float]:
        return lambda n: 2**20 * memory_of(given, rule).at(n)

    runs = given.heads.runs
    rows = [
        ["**disk**"] + [""] * len(COUNTS),
        row("archive; as much again unpacked", size, lambda n: given.archive * n),
        row("`images.csv`", size, lambda n: measured("images.csv", "bytes").each * n),
        *(
            row(f"features of {net}, {width:,} wide", size, lambda n, w=width: FLOAT * w * n)
            for net, width in WIDTHS.items()
        ),
        row(
            f"predictions of {runs} runs",
            size,
            lambda n: runs * measured("predictions.npz", "bytes").each * n,
        ),
        row("inodes", rounded, lambda n: measured("data", "inodes").each * n),
        row(
            "names, with one split laid out", rounded, lambda n: measured("data", "names").each * n
        ),
        ["**hours**"] + [""] * len(COUNTS),
        *(
            row(what, hours, lambda n, r=rule: measured(r, "wall_s").at(n) / 3600)
            for rule, what in (
                ("extract_flowers", f"unpack and open ({SIDE} pixels: the least)"),
                ("layout_flowers", "lay out one split"),
                (job, f"heads, one run on {width} features: the least"),
            )
        ),
        *(
            row(f"features of {net}, one CPU job", hours, lambda n, r=rate: n / r / 3600)
            for net, rate in given.cpu.items()
        ),
        *(
            row(f"features of {net}, one GPU", hours, lambda n, r=rate: n / r / 3600)
            for net, rate in given.gpu.items()
        ),
    ]
    for net, rate in given.cpu.items():
        if net in WIDTHS:
            rows += [
                row(f"the same, {net}, {k} shards", hours, lambda n, r=rate, k=k: n / r / k / 3600)
                for k in given.shards
            ]
    rows += [
        ["**memory of a job**"] + [""] * len(COUNTS),
        row("unpack and open", size, memory("extract_flowers")),
        row("features, each shard", size, memory("features_tiny")),
        *(
            row(f"heads of {net}, {runs} runs", size, lambda n, w=width: given.heads.memory(w) * n)
            for net, width in WIDTHS.items()
        ),
        row(f"evaluate, {KINDS} labels", size, memory("evaluate")),
    ]
    return markdown(
        ["", *(f"{count:,} images" for count in COUNTS)], rows, numbers=range(1, len(COUNTS) + 1)
    )


def limits(given: Given) -> list[tuple[float, str, str]]:
    """Return the number of images at which each part gives way, and why, the first first."""
    room, day = f"{given.memory / 2**30:g} GiB", f"{given.hours:g} hours"
    found = [
        (given.memory / given.heads.memory(width), f"heads of {net}", f"{room} of memory")
        for net, width in WIDTHS.items()
    ]
    found += [
        (rate * 3600 * given.hours, f"features of {net}, one CPU job", day)
        for net, rate in given.cpu.items()
    ]
    found += [
        (rate * 3600 * given.hours, f"features of {net}, one GPU", day)
        for net, rate in given.gpu.items()
    ]
    found.append((given.disk / given.disk_of_image, "disk", size(given.disk)))
    for rule in rules_of(given.load):
        time, memory = line(given.load, rule, "wall_s"), memory_of(given, rule)
        # Their time and memory depend on the network, and stand above by its own figures.
        if rule.startswith("train_"):
            continue
        if 2**20 * memory.each > LEVEL:
            most = (given.memory / 2**20 - memory.fixed) / memory.each
            found.append((most, rule, f"{room} of memory"))
        if time.each > 0 and not rule.startswith("features_"):
            found.append(((3600 * given.hours - time.fixed) / time.each, rule, day))
    return sorted(each for each in found if each[0] < 10 * max(COUNTS))


WAYS_OUT = (
    "**Heads.** `train_NET` holds the whole matrix in memory, and every run's scores until it "
    "ends. The matrix lies on disk row by row, so a batch could be read when it is its turn; "
    "scores could be written block by block.",
    "**Evaluation.** `predictions.npz` holds every image's score for every label, for each run; "
    "`evaluate` reads it whole. Sums over blocks would give every metric but the AUC, which needs "
    "an order of all scores.",
    "**One archive.** `extract_flowers` reads one tar from end to end in one job, and a killed one "
    "begins anew. Several archives, a job each, would divide that; each would need its range of "
    f"image numbers. More than {MAX_MEMBERS:,} members are refused as no archive of photographs; "
    "that bound is a constant to raise.",
    "**One folder.** All images lie in `images/`, and file systems have a limit, or grow slow, for "
    "names in one folder before they are out of inodes. Folders by leading digits would do.",
    "**`images.csv`.** Every job reads it whole, every shard too, though a shard needs its part "
    "only. It is held in columns, so it costs time before it costs memory.",
    "**Hard links.** `layout_flowers` gives each image one more name for each split, on the same "
    "file system; elsewhere it copies, and the images take their disk again. Only the notebook "
    "protocol reads those folders.",
    "**Joining shards.** `join_NET` reads each shard twice, writes the whole and reads it for its "
    "hash, in one job: memory stays level, time does not.",
    "**Gallery.** It shows twelve images and looks them up in the whole of `images.csv`.",
    "**The plan does not give way.** Jobs follow models, runs and shards, never images.",
)


def page(given: Given) -> str:
    """Return the page."""
    measured = sorted(given.load["images"].unique().tolist())
    job, width = heads_measured(given)
    found = 2**20 * line(given.load, job, "peak_rss_mib").each
    formula = Heads(1, KINDS, given.heads.hidden).memory(width)
    if given.cpu:
        speeds = ", ".join(f"{net} {rate:.2f}" for net, rate in given.cpu.items())
        speed = f"Images a second through the networks, one job on the CPU measured: {speeds}."
    else:
        speed = (
            "How many images a second go through the networks is not known here: "
            "`docs/bench_flowers.csv` is missing; write it by `make bench-flowers`, or give "
            "`--rate NET=IMAGES_PER_SECOND`."
        )
    a_day = ", ".join(f"{float(f'{n / 3600 / given.hours:.2g}'):,g}" for n in COUNTS)
    gpu = (
        "No GPU was measured. Hours are images ÷ images a second ÷ 3,600 ÷ shards, whatever the "
        f"device; for {given.hours:g} hours all shards together must make "
        f"{a_day} images a second. `--gpu-rate NET=IMAGES_PER_SECOND` adds rows."
        if not given.gpu
        else f"For {given.hours:g} hours all shards together must make {a_day} images a second."
    )
    rows = [[rounded(count), what, why] for count, what, why in limits(given)]
    parts = [
        "# How far it scales, on paper",
        "Printed by `make scaling` from `docs/bench_load.csv` (what it says: `docs/LOAD.md`) and "
        f"`docs/bench_flowers.csv`. The largest run measured had {measured[-1]:,} images; what "
        "goes beyond is arithmetic: straight lines through what was measured, and formulas that "
        "stand here.",
        "## What an image costs",
        f"Straight lines through {', '.join(f'{count:,}' for count in measured)} images of {SIDE} "
        f"pixels, {KINDS} labels, one head on {width} features.",
        each_table(given),
        speed,
        "## What so many images cost",
        f"An image is {size(given.archive)} in the archive, as in Oxford-102. Heads: "
        f"{given.heads.runs} runs, {given.heads.labels} labels, {given.heads.hidden} hidden "
        "units, as in `config.yaml`; each image takes 4 × (2 × width + runs × labels + "
        "2 × hidden + 2 × labels) bytes of memory, of which 4 × width are pages of the features "
        f"file. For the run measured that formula gives {formula:,} bytes an image, the "
        f"measurement {found:,.0f}. A features job's memory grows by no less than the bytes of "
        "`images.csv`, which it holds as a table.",
        cost_table(given),
        gpu,
        f"An inode goes with {size(given.disk_of_image)} of disk; a file system that has one for "
        f"each {size(INODE)} is full before it is out of them.",
        "## Where it gives way first",
        f"The number of images at which a job passes {given.memory / 2**30:g} GiB of memory or "
        f"{given.hours:g} hours, or all files {size(given.disk)}. One job each, without shards.",
        markdown(["images", "what", "passes"], rows, numbers=(0,)),
        "What gives way, and what would hold longer:",
        "\n".join(f"- {way}" for way in WAYS_OUT),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


# --- the command ---------------------------------------------------------------------------------


def _rate(text: str) -> tuple[str, float]:
    net, _, rate = text.partition("=")
    return net, float(rate)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    docs = ROOT / "docs"
    parser.add_argument("--load", type=Path, default=docs / "bench_load.csv")
    parser.add_argument("--flowers", type=Path, default=docs / "bench_flowers.csv")
    parser.add_argument(
        "--rate", nargs="*", type=_rate, default=[], help="NET=IMAGES_PER_SECOND, in place of ours"
    )
    parser.add_argument("--gpu-rate", nargs="*", type=_rate, default=[], help="the same on a GPU")
    parser.add_argument("--memory-gib", type=float, default=64, help="a job may take")
    parser.add_argument("--hours", type=float, default=24, help="a job may take")
    parser.add_argument("--disk-tb", type=float, default=10)
    parser.add_argument("--shards", nargs="*", type=int, default=[16, 256])
    parser.add_argument("--output", type=Path, help="write the page there too")
    return parser.parse_args(arguments)


def gathered(options: argparse.Namespace) -> Given:
    """Read what was measured and what is configured."""
    if not options.load.exists():
        sys.exit(f"{options.load}: missing; write it by `make load`")
    known = rates(pd.read_csv(options.flowers)) if options.flowers.exists() else {}
    flowers = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))["flowers"]
    registry = yaml.safe_load((ROOT / "resources/registry.yaml").read_text(encoding="utf-8"))
    runs = len(flowers["seeds"]) + len(flowers["split_seeds"])
    return Given(
        load=pd.read_csv(options.load),
        cpu={**known, **dict(options.rate)},
        gpu=dict(options.gpu_rate),
        heads=Heads(runs, KINDS, flowers["head"]["hidden"]),
        archive=registry["files"]["oxford102/102flowers.tgz"]["size"] / bench_flowers.IMAGES,
        memory=options.memory_gib * 2**30,
        hours=options.hours,
        disk=options.disk_tb * 1e12,
        shards=options.shards,
    )


def main() -> None:
    options = parse()
    text = page(gathered(options))
    print(text, end="")
    if options.output:
        write_text(options.output, text)


if __name__ == "__main__":
    main()

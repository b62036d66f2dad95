"""Time the job that trains one head, and the one that trains ten: what do more seeds cost?

Run by `make bench-heads`. The jobs are `scripts/train_head.py`, run by Snakemake as the workflow's
own rule runs it, on random features of the shapes that the networks give. Their seconds are
Snakemake's own.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from bench_flowers import IMAGES, machine
from bench_load import snakemake
from repro.features.store import Block, WorkingStore
from repro.flowers.images import ImageRef, hash_of_images
from repro.heads.training import HeadRecipe
from repro.report.markdown import markdown
from repro.splits import SPLITS
from repro.system.files import write_text

LABELS = 102
RUNS = 10
WANTED = 2.0


class Case(NamedTuple):
    """Features of a size: whose they are, how many images, and how many numbers for each."""

    network: str
    images: int
    width: int


CASES = [
    Case("EfficientNet-Lite0, 20 images of 89 labels", 1780, 1280),
    Case("EfficientNet-Lite0", IMAGES, 1280),
    Case("ConvNeXt-Large", IMAGES, 1536),
    Case("ResNet-152", IMAGES, 2048),
]

SNAKEFILE = """
RUNS = range(config["count"])
FILES = {{"histories": "history.csv", "predictions": "predictions.npz", "models": "model"}}

rule heads:
    input:
        features=["store/features.npy"],
        ids=["store/ids.npy"],
        manifests=["store/manifest.json"],
        images="images.csv",
        splits=[f"split_{{k}}.csv" for k in RUNS],
    output:
        **{{name: [f"run_{{k}}/{{file}}" for k in RUNS] for name, file in FILES.items()}}
    log:
        "heads.log"
    benchmark:
        "heads.tsv"
    threads: min(len(RUNS), {threads})
    params:
        runs=[{{"run": f"run_{{k}}", "seed": k, "split": k}} for k in RUNS],
        recipe={recipe},
    script:
        "{script}"
"""


def prepare(folder: Path, case: Case, threads: int) -> None:
    """Put into ``folder`` what such a job reads, and the Snakefile that runs it."""
    draw = np.random.default_rng(0)
    labels = draw.integers(1, LABELS + 1, case.images)
    images = [ImageRef(i + 1, folder / f"{i}.jpg", "", int(k)) for i, k in enumerate(labels)]
    table = pd.DataFrame([asdict(image) for image in images])
    table.assign(file=[image.file.name for image in images]).to_csv(
        folder / "images.csv", index=False
    )
    for seed in range(RUNS):
        mixed = table.sample(frac=1, random_state=seed)
        shares = np.repeat(SPLITS, [case.images // 2, case.images // 4, case.images])
        mixed.assign(split=shares[: case.images])[["id", "label", "split"]].to_csv(
            folder / f"split_{seed}.csv", index=False
        )
    bound = {
        "width": case.width,
        "images": case.images,
        "images_sha256": hash_of_images(images),
    }
    store = WorkingStore(folder / "store", images, bound)
    features = draw.standard_normal((case.images, case.width), dtype=np.float32)
    store.write([Block(list(range(case.images)), features, {}, case.images)])
    store.finish()
    script = Path(__file__).with_name("train_head.py")
    recipe = asdict(HeadRecipe())
    write_text(
        folder / "Snakefile", SNAKEFILE.format(threads=threads, script=script, recipe=recipe)
    )


def job_seconds(folder: Path, runs: int, threads: int) -> float:
    """Train ``runs`` heads in one job; return its seconds as Snakemake has them."""
    snakemake(
        *("--snakefile", str(folder / "Snakefile"), "--directory", str(folder), "--forceall"),
        *("--cores", str(threads), "--config", f"count={runs}"),
    )
    return float(pd.read_csv(folder / "heads.tsv", sep="\t")["s"].iloc[0])


def row_of(case: Case, one: Sequence[float], many: Sequence[float]) -> list[str]:
    """Put the rounds of a case into a row of the table; ratios are taken within a round."""
    ratio = median(b / a for a, b in zip(one, many, strict=True))
    saved = median(RUNS * a / b for a, b in zip(one, many, strict=True))
    return [
        case.network,
        f"{case.images:,}",
        f"{case.width:,}",
        f"{median(one):.1f}",
        f"{median(many):.1f}",
        f"{ratio:.2f}",
        "met" if ratio <= WANTED else "not met",
        f"{saved:.1f}",
    ]


def page(cases: Iterable[Case], threads: int, rounds: int) -> str:
    """Run everything; return the page."""
    about, rows = machine(threads), []
    for case in tqdm(list(cases), desc="cases"):
        with tempfile.TemporaryDirectory() as work:
            prepare(Path(work), case, threads)
            seconds: dict[int, list[float]] = {1: [], RUNS: []}
            for _ in range(rounds):
                for runs, found in seconds.items():
                    found.append(job_seconds(Path(work), runs, threads))
        rows.append(row_of(case, seconds[1], seconds[RUNS]))
    header = [
        "features of",
        "images",
        "numbers an image",
        "one run, s",
        f"{RUNS} runs, s",
        "ratio",
        f"{WANTED:.0f} at most",
        f"{RUNS} jobs to one",
    ]
    recipe = HeadRecipe()
    return (
        "# Speed of the heads\n\n"
        f"Printed by `make bench-heads`. One job trains one head or {RUNS}, with as many seeds and "
        f"splits, {recipe.epochs} epochs; seconds from its start to its end as Snakemake has them, "
        f"medians of {rounds} rounds. Ratio: the job of {RUNS} to the job of one. Last column: "
        f"{RUNS} jobs of one run to the job of {RUNS}.\n\n"
        f"{about}\n\n{markdown(header, rows, numbers=(1, 2, 3, 4, 5, 7)).strip()}\n\n"
        f"{RUNS} heads are {RUNS} times the arithmetic, and one head keeps one core busy: the "
        "ratio depends on what a job costs beside its training (its start, and PyTorch's), and on "
        "the number of cores, among which the runs are shared out.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, help="write the page there too")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    text = page(CASES, options.threads, options.rounds)
    print(text, end="")
    if options.output:
        write_text(options.output, text)


if __name__ == "__main__":
    main()

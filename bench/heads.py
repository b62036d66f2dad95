"""Time the job that trains one head, and the one that trains ten: what do more seeds cost?

Run by `make bench-heads`. The jobs are `scripts/train_head.py`, run by Snakemake as the workflow's
own rule runs it, on random features of the shapes that the networks give. Their seconds are
Snakemake's own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from bench import harness
from repro.features.store import Block, WorkingStore
from repro.flowers.images import ImageRef, hash_of_images
from repro.heads.training import HeadRecipe
from repro.splits import SPLITS
from repro.system.files import write_text

IMAGES, LABELS = 8189, 102  # of Oxford-102
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
    shares = np.repeat(SPLITS, [case.images // 2, case.images // 4, case.images])[: case.images]
    for seed in range(RUNS):
        mixed = table.sample(frac=1, random_state=seed).assign(split=shares)
        mixed[["id", "label", "split"]].to_csv(folder / f"split_{seed}.csv", index=False)
    # What a head's file says of the network below it; here there is none.
    network = ("architecture", "weights_sha256", "weights_loaded", "preprocess", "protocol")
    bound = {
        **dict.fromkeys((*network, "device"), "none"),
        "width": case.width,
        "images": case.images,
        "images_sha256": hash_of_images(images),
    }
    store = WorkingStore(folder / "store", images, bound)
    features = draw.standard_normal((case.images, case.width), dtype=np.float32)
    store.write([Block(list(range(case.images)), features, {}, case.images)])
    store.finish()
    script = harness.ROOT / "scripts/train_head.py"
    recipe = asdict(HeadRecipe())
    write_text(
        folder / "Snakefile", SNAKEFILE.format(threads=threads, script=script, recipe=recipe)
    )


def job(folder: Path, runs: int, threads: int) -> dict[str, float]:
    """Train ``runs`` heads in one job; return its seconds as Snakemake has them."""
    harness.snakemake(
        *("--snakefile", str(folder / "Snakefile"), "--directory", str(folder), "--forceall"),
        *("--cores", str(threads), "--config", f"count={runs}"),
    )
    return {"seconds": float(pd.read_csv(folder / "heads.tsv", sep="\t")["s"].iloc[0])}


def measured(case: Case, threads: int, rounds: int) -> pd.DataFrame:
    """Let the job of one run and that of ten take turns; the contenders are "one" and "many"."""
    with tempfile.TemporaryDirectory() as work:
        prepare(Path(work), case, threads)
        contenders = {
            name: partial(job, Path(work), runs, threads)
            for name, runs in (("one", 1), ("many", RUNS))
        }
        return harness.race(contenders, rounds).assign(network=case.network, images=case.images)


def row_of(case: Case, times: pd.DataFrame) -> dict[str, str]:
    """Put the rounds of a case into a row of the table."""
    seconds, ratio = harness.medians(times), harness.ratio(times, "many", "one")
    return {
        "features of": case.network,
        "images": f"{case.images:,}",
        "numbers an image": f"{case.width:,}",
        "one run, s": f"{seconds['one']:.1f}",
        f"{RUNS} runs, s": f"{seconds['many']:.1f}",
        "ratio": f"{ratio:.2f}",
        f"{WANTED:.0f} at most": harness.met(ratio <= WANTED),
        f"{RUNS} jobs to one": f"{RUNS * harness.ratio(times, 'one', 'many'):.1f}",
    }


def page(rows: Sequence[dict[str, str]], about: str, rounds: int) -> str:
    """Return the result as Markdown."""
    return harness.page(
        "# Speed of the heads",
        f"Printed by `make bench-heads`. One job trains one head or {RUNS}, with as many seeds and "
        f"splits, {HeadRecipe().epochs} epochs; seconds from its start to its end as Snakemake has "
        f"them, medians of {rounds} rounds. Ratio: the job of {RUNS} to the job of one. Last "
        f"column: {RUNS} jobs of one run to the job of {RUNS}.",
        about,
        harness.table(rows),
        f"{RUNS} heads are {RUNS} times the arithmetic, and one head keeps one core busy: the "
        "ratio depends on what a job costs beside its training (its start, and PyTorch's), and on "
        "the number of cores, among which the runs are shared out.",
    )


def main() -> None:
    """Read the command line, time, write."""
    parser = harness.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", type=int, default=len(CASES), help="only so many, small first")
    options = parser.parse_args()
    about = harness.machine(options.threads, "torch")
    cases = CASES[: options.cases]
    times = [measured(case, options.threads, options.rounds) for case in cases]
    rows = [row_of(case, own) for case, own in zip(cases, times, strict=True)]
    harness.publish(page(rows, about, options.rounds), pd.concat(times), options)


if __name__ == "__main__":
    main()

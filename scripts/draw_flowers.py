"""Draw the generated flowers: an archive in the layout of Oxford-102."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from repro.generated import draw_flowers
from repro.logs import set_up


def main(snakemake: Any) -> None:
    logger = set_up(snakemake.log[0])
    start = time.perf_counter()
    draw_flowers(
        Path(snakemake.output.archive),
        Path(snakemake.output.labels),
        Path(snakemake.output.setid),
        images_per_kind=snakemake.params.images_per_kind,
        seed=snakemake.params.seed,
        workers=snakemake.threads,
    )
    logger.info(
        "drew %d images a kind, seed %d, in %.1f s",
        snakemake.params.images_per_kind,
        snakemake.params.seed,
        time.perf_counter() - start,
    )


if "snakemake" in globals():
    main(globals()["snakemake"])

"""Draw the generated flowers: an archive in the layout of Oxford-102."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from repro import logs
from repro.generated import draw_flowers

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    start = time.perf_counter()
    draw_flowers(
        Path(snakemake.output.archive),
        Path(snakemake.output.labels),
        Path(snakemake.output.setid),
        kinds=snakemake.params.kinds,
        images_per_kind=snakemake.params.images_per_kind,
        seed=snakemake.params.seed,
        workers=snakemake.threads,
    )
    logger.info(
        "%d kinds, %d images each, seed %d: drawn in %.1f s",
        snakemake.params.kinds,
        snakemake.params.images_per_kind,
        snakemake.params.seed,
        time.perf_counter() - start,
    )


if __name__ == "__main__":
    main()

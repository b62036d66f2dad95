"""Draw the generated flowers: an archive in the layout of Oxford-102."""

from pathlib import Path
from typing import TYPE_CHECKING

from repro import logs
from repro.generated import draw_flowers

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    params = snakemake.params
    draw_flowers(
        *(Path(snakemake.output[name]) for name in ("archive", "labels", "setid")),
        kinds=params.kinds,
        images_per_kind=params.images_per_kind,
        seed=params.seed,
        workers=snakemake.threads,
    )
    logger.info("%d kinds, %d images each, drawn", params.kinds, params.images_per_kind)


if __name__ == "__main__":
    main()

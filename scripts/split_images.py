"""Draw one split of the images; a split is a list of ids, saved."""

from typing import TYPE_CHECKING

from repro.fetch.proof import prove
from repro.flowers.labels import read_official_split
from repro.flowers.split import split_images
from repro.system import logs
from repro.system.files import atomic_path
from repro.system.tables import read_csv

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    prove(snakemake.params.proofs, snakemake.input)
    images = read_csv(snakemake.input.images)
    setid = snakemake.input.get("setid")
    split = split_images(
        images, **snakemake.params.split, official=read_official_split(setid) if setid else None
    )
    with atomic_path(snakemake.output.split) as aside:
        split.to_csv(aside, index=False)
    logger.info("%s", split["split"].value_counts().to_dict())


if __name__ == "__main__":
    main()

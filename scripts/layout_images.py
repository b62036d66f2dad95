"""Lay the images out as {split}/{label}/image_NNNNN.jpg and write the manifest."""

from pathlib import Path
from typing import TYPE_CHECKING

from repro.flowers.folders import lay_out
from repro.system import logs
from repro.system.files import atomic_folder, atomic_path
from repro.system.tables import read_csv
from repro.system.writer_lock import lock_output

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    lock_output(snakemake.output.manifest)
    with atomic_folder(snakemake.output.folders) as folders:
        manifest = lay_out(
            read_csv(snakemake.input.images),
            read_csv(snakemake.input.split),
            Path(snakemake.input.images).parent,
            folders,
        )
    with atomic_path(snakemake.output.manifest) as aside:
        manifest.to_csv(aside, index=False)
    logger.info("%d images in %s", len(manifest), snakemake.output.folders)


if __name__ == "__main__":
    main()

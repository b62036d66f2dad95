"""Unpack the flowers archive, open every image once, and list them with label and hash."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from repro import logs
from repro.files import atomic_path
from repro.flowers import describe, extract, read_labels
from repro.registry import prove

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    table = Path(snakemake.output.images)
    folder = Path(snakemake.output.folder)
    prove(snakemake.params.proofs, snakemake.input)
    labels = read_labels(snakemake.input.labels)
    shutil.rmtree(folder, ignore_errors=True)
    files = extract(snakemake.input.archive, folder)
    logger.info("%d images unpacked into %s", len(files), folder)
    images = describe(
        files,
        labels,
        table.parent,
        on_damaged=snakemake.params.on_damaged,
        workers=snakemake.threads,
    )
    with atomic_path(table) as aside:
        images.to_csv(aside, index=False)
    logger.info("%d images open, %d labels", len(images), images["label"].nunique())


if __name__ == "__main__":
    main()

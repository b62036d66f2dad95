"""Unpack the flowers archive, open every image once, and list them with label and hash."""

from pathlib import Path
from typing import TYPE_CHECKING

from repro.fetch.proof import prove
from repro.flowers.archive import describe, extract
from repro.flowers.labels import read_labels
from repro.flowers.split import check_counts
from repro.system import logs
from repro.system.files import atomic_folder, atomic_path, write_json
from repro.system.writer_lock import lock_output

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    table = Path(snakemake.output.images)
    folder = Path(snakemake.output.folder)
    lock_output(table)
    prove(snakemake.params.proofs, snakemake.input)
    labels = read_labels(snakemake.input.labels)
    with atomic_folder(folder) as aside:
        names = [file.name for file in extract(snakemake.input.archive, aside)]
    files = [folder / name for name in names]
    logger.info("%d images unpacked into %s", len(files), folder)
    images = describe(
        files,
        labels,
        table.parent,
        on_damaged=snakemake.params.on_damaged,
        workers=snakemake.threads,
    )
    # Before backbones run. From config and not a param: another split must not unpack all anew.
    split = snakemake.config["flowers"]["split"]
    check_counts(images, split["kind"], split["validation"], split["test"])
    damaged = set(range(1, len(labels) + 1)) - set(images["id"])
    write_json(snakemake.output.damaged, sorted(damaged))
    with atomic_path(table) as aside:
        images.to_csv(aside, index=False)
    logger.info("%d images open, %d labels", len(images), images["label"].nunique())


if __name__ == "__main__":
    main()

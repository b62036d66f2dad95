"""Join the four IDX files into two arrays and draw the split."""

from typing import TYPE_CHECKING

import numpy as np

from repro.fetch.proof import prove
from repro.mnist.images import join_parts, read_idx
from repro.mnist.split import split_ids
from repro.system import logs
from repro.system.files import atomic_path

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    prove(snakemake.params.proofs, snakemake.input)
    parts = ("train_images", "train_labels", "test_images", "test_labels")
    arrays = [read_idx(snakemake.input[part]) for part in parts]
    images, labels = join_parts(*arrays)
    split = split_ids(labels, **snakemake.params.split, official_test=len(arrays[-1]))

    for array, target in ((images, snakemake.output.images), (labels, snakemake.output.labels)):
        with atomic_path(target) as aside, aside.open("wb") as stream:
            np.save(stream, array, allow_pickle=False)
    with atomic_path(snakemake.output.split) as aside:
        split.to_csv(aside, index=False)
    logger.info("%d images: %s", len(images), split["split"].value_counts().to_dict())


if __name__ == "__main__":
    main()

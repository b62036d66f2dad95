"""Estimate a network's BatchNorm statistics once, for all shards of its feature extraction."""

from pathlib import Path
from typing import TYPE_CHECKING

from repro.compute import devices
from repro.features.backbones import build
from repro.features.batch_norm import adapt
from repro.fetch.proof import prove
from repro.flowers.images import read_images, read_split
from repro.system import logs
from repro.system.writer_lock import lock_output

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    lock_output(snakemake.output.statistics)
    params = snakemake.params
    threads = snakemake.threads
    prove(params.proofs, snakemake.input)
    devices.keep_freed_memory()
    devices.set_threads(threads)
    weights = Path(snakemake.input.weights) if snakemake.input.get("weights") else None
    backbone = build(params.architecture, weights, preprocess=params.preprocess)
    images = read_images(Path(snakemake.input.images))
    done = adapt(
        backbone,
        images.among(read_split(Path(snakemake.input.split))["train"]),
        backbone.preprocess,
        Path(snakemake.output.statistics),
        device=devices.choose(snakemake.resources.get("gpu", 0)),
        batch_size=params.batch_size,
        workers=threads,
        on_damaged=params.on_damaged,
    )
    logger.info("%s: %s", params.architecture, done)


if __name__ == "__main__":
    main()

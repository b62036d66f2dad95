"""Run a frozen network once over every image, or over one shard of them, and keep its features."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.compute import devices
from repro.features.backbones import build
from repro.features.batch_norm import adapt
from repro.features.extraction import extract
from repro.features.store import Shard
from repro.fetch.proof import prove
from repro.flowers.images import read_images, read_split
from repro.system import logs, pieces
from repro.system.progress import Bar
from repro.system.writer_lock import lock_output

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    lock_output(snakemake.output.features)
    params = snakemake.params
    pieces.begin(params.work)
    threads = snakemake.threads
    prove(params.proofs, snakemake.input)
    devices.keep_freed_memory()
    devices.set_threads(threads)
    device = devices.choose(snakemake.resources.get("gpu", 0))
    weights = Path(snakemake.input.weights) if snakemake.input.get("weights") else None
    images = read_images(Path(snakemake.input.images))
    backbone = build(params.architecture, weights, preprocess=params.preprocess)
    preprocess = backbone.preprocess
    work = Path(params.work)
    # Named so by Snakemake's scattergather; absent where one job takes all images.
    name = snakemake.wildcards.get("scatteritem")
    shard = Shard.named(name) if name else None
    logger.info(
        "%s: %d parameters, %d features; %d images, %s",
        params.architecture,
        backbone.parameters,
        backbone.width,
        len(images),
        preprocess,
    )
    options: dict[str, Any] = {
        "device": device,
        "batch_size": params.batch_size,
        "workers": threads,
        "on_damaged": params.on_damaged,
    }
    protocol: dict[str, Any] = {"name": params.get("protocol", "frozen")}
    if protocol["name"] == "adapted":
        chosen = images.among(read_split(Path(snakemake.input.split))["train"])
        shared = snakemake.input.get("statistics")
        kept = Path(shared) if shared else work / "adapted.safetensors"
        protocol = adapt(backbone, chosen, preprocess, kept, must_be_kept=bool(shared), **options)
    total = len(images) // shard.of if shard else len(images)
    with Bar(total=total, unit="image", desc=params.architecture) as bar:
        files = extract(
            images,
            backbone,
            preprocess,
            work,
            protocol=protocol,
            shard=shard,
            on_images=bar.update,
            **options,
        )
    for made, wanted in (
        (files.features, snakemake.output.features),
        (files.ids, snakemake.output.ids),
        (files.manifest, snakemake.output.manifest),
    ):
        shutil.move(made, wanted)
    shutil.rmtree(work)
    logger.info("features written to %s", snakemake.output.features)


if __name__ == "__main__":
    main()

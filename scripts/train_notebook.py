"""Train one net's heads as the report's notebook did: every image through it in every epoch."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from repro.compute import devices
from repro.evaluation.names_of_classes import names_for
from repro.features.backbones import build
from repro.fetch.proof import prove
from repro.heads.notebook import (
    DecodedImages,
    NotebookRecipe,
    check_last_batch,
    read_folders,
    train,
)
from repro.heads.training import about, write_state
from repro.history import write_history
from repro.system import logs
from repro.system.files import write_json
from repro.system.progress import Bar
from repro.system.writer_lock import lock_output

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    lock_output(snakemake.output.histories[0])
    source, made, params = snakemake.input, snakemake.output, snakemake.params
    prove(params.get("proofs", {}), snakemake.input)
    devices.keep_freed_memory()
    devices.set_threads(snakemake.threads)
    device = devices.choose(snakemake.resources.get("gpu", 0))
    weights = Path(source.weights) if source.get("weights") else None
    backbone = build(params.architecture, weights, preprocess=params.preprocess)
    preprocess = backbone.preprocess
    recipe = NotebookRecipe(**params.recipe)
    folders = [source.folders] if isinstance(source.folders, str) else list(source.folders)
    work = Path(params.work)
    trees = [read_folders(Path(folder)) for folder in folders]
    for tree in trees:
        check_last_batch(backbone.module, tree, preprocess, recipe)
    manifest = {
        **backbone.as_dict(),
        "protocol": {"name": "notebook"},
        "preprocess": preprocess.as_dict(),
        "device": device.type,
    }
    for i, run in enumerate(params.runs):
        tree = trees[run["split"]]
        logger.info("%s: %d images, %s, %s", run["run"], len(tree.images), preprocess, recipe)
        pixels = DecodedImages(tree.images, preprocess, work / "pixels.npy", snakemake.threads)
        passes = recipe.epochs * len(tree.images) + len(tree.rows("train"))
        with Bar(total=passes, unit="image", desc=run["run"]) as bar:
            result = train(
                backbone.module,
                tree,
                pixels,
                preprocess,
                recipe,
                seed=run["seed"],
                device=device,
                workers=snakemake.threads,
                name=run["run"],
                on_images=bar.update,
            )
        write_history(Path(made.histories[i]), result.history)
        result.predictions.save(made.predictions[i])
        names = names_for(tree.labels, source.get("names"))
        said = about(manifest, tree.labels.tolist(), names)
        write_state(Path(made.models[i]), result.state, said)
    write_json(made.manifest, manifest)
    shutil.rmtree(work)


if __name__ == "__main__":
    main()

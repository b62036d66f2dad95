"""Train the PyTorch net on MNIST; write its history, its predictions and its weights."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from repro.history import write_history
from repro.mnist.images import load_splits
from repro.mnist.recipe import MlpRecipe
from repro.mnist.torch_trainer import TorchTrainer
from repro.mnist.training import predict, train
from repro.system import logs, pieces
from repro.system.writer_lock import lock_output

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logs.set_up(snakemake.log[0])
    source, made, params = snakemake.input, snakemake.output, snakemake.params
    lock_output(made.history)
    pieces.begin(params.checkpoint)
    torch.set_num_threads(snakemake.threads)
    data = load_splits(source.images, source.labels, source.split)
    recipe = MlpRecipe(**params.recipe)
    trainer, history = train(
        TorchTrainer, data, recipe, params.seed, checkpoint=params.checkpoint, progress=True
    )
    write_history(Path(made.history), history)
    predict(trainer, data).save(made.predictions)
    trainer.save(made.model)
    # Only now: a run killed before this line goes on from its last epoch.
    Path(params.checkpoint).unlink(missing_ok=True)


if __name__ == "__main__":
    main()

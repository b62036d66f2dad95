"""Train the from-scratch net on MNIST; write its history, its predictions and its weights."""

from pathlib import Path
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from repro.mnist.images import load_splits
from repro.mnist.training import MlpRecipe, train_mlp
from repro.system import logs, pieces
from repro.system.files import atomic_path
from repro.system.writer_lock import hold

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logs.set_up(snakemake.log[0])
    hold(snakemake.output.history)
    pieces.begin(snakemake.params.checkpoint)
    # BLAS starts a thread for every core it sees unless told otherwise, which slows a small net.
    threadpool_limits(snakemake.threads)
    data = load_splits(snakemake.input.images, snakemake.input.labels, snakemake.input.split)
    trained = train_mlp(
        data,
        MlpRecipe.from_mapping(snakemake.params.recipe),
        snakemake.params.seed,
        checkpoint=snakemake.params.checkpoint,
        progress=True,
    )
    with atomic_path(snakemake.output.history) as aside:
        trained.history.to_csv(aside, index=False)
    trained.predict(data).save(snakemake.output.predictions)
    trained.save(snakemake.output.model)
    # Only now: a run killed before this line goes on from its last epoch.
    Path(snakemake.params.checkpoint).unlink(missing_ok=True)


if __name__ == "__main__":
    main()

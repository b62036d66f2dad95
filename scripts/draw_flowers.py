"""Draw the generated flowers: an archive in the layout of Oxford-102, and the kinds' names."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from repro.flowers.synthetic import draw_flowers, kind
from repro.system import logs
from repro.system.files import atomic_path
from repro.system.writer_lock import lock_output

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    params, made = snakemake.params, snakemake.output
    lock_output(made.archive)
    draw_flowers(
        Path(made.archive),
        Path(made.labels),
        Path(made.setid),
        kinds=params.kinds,
        images_per_kind=params.images_per_kind,
        seed=params.seed,
        workers=snakemake.threads,
    )
    labels = range(1, params.kinds + 1)
    names = pd.DataFrame({"label": labels, "name": [kind(label).name for label in labels]})
    with atomic_path(made.names) as aside:
        names.to_csv(aside, index=False)
    drawn = (params.kinds, params.images_per_kind, params.seed)
    logger.info("%d kinds, %d images each, seed %d", *drawn)


if __name__ == "__main__":
    main()

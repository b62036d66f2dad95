"""Draw the generated flowers: an archive in the layout of Oxford-102, and the kinds' names."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from repro import logs
from repro.drawing.kinds import kind
from repro.files import atomic_path
from repro.generated import draw_flowers

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    params = snakemake.params
    draw_flowers(
        *(Path(snakemake.output[name]) for name in ("archive", "labels", "setid")),
        kinds=params.kinds,
        images_per_kind=params.images_per_kind,
        seed=params.seed,
        workers=snakemake.threads,
    )
    labels = range(1, params.kinds + 1)
    names = pd.DataFrame({"label": labels, "name": [kind(label).name for label in labels]})
    with atomic_path(snakemake.output.names) as aside:
        names.to_csv(aside, index=False)
    logger.info("%d kinds, %d images each", params.kinds, params.images_per_kind)


if __name__ == "__main__":
    main()

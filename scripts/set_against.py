"""Set nets against others: how far apart they are on the same test images, and on which."""

from typing import TYPE_CHECKING

import pandas as pd

from repro.comparison import against
from repro.predictions import Predictions
from repro.system import logs
from repro.system.files import atomic_path

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    rows, images = [], []
    files = zip(snakemake.input.models, snakemake.input.others, strict=True)
    for names, pair in zip(snakemake.params.pairs, files, strict=True):
        first, second = map(Predictions.load, pair)
        rows.append(against.row(names, first, second))
        images.append(against.images(names["model"], names["against"], first, second))
        logger.info("%(title)s against %(against_title)s: %(difference_pp)+.2f points", rows[-1])
    tables = {
        "table": pd.DataFrame(rows, columns=against.COLUMNS),
        "images": pd.concat(images, ignore_index=True),
    }
    for name, target in snakemake.output.items():
        with atomic_path(target) as aside:
            tables[name].to_csv(aside, index=False)


if __name__ == "__main__":
    main()

"""Show the test images that a model got wrong and was most sure of."""

from typing import TYPE_CHECKING

import pandas as pd

from repro.report import style as figures
from repro.report.errors import gallery
from repro.report.gallery import digits, photographs
from repro.system import logs

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

SHOWN = 12


def main() -> None:
    logs.set_up(snakemake.log[0])
    mistakes = pd.read_csv(snakemake.input.mistakes).head(SHOWN)
    source = snakemake.input.images
    images = (digits if source.endswith(".npy") else photographs)(mistakes["id"].tolist(), source)
    with figures.styled(snakemake.input.style):
        figure = gallery(images, mistakes.to_dict("records"), snakemake.params.title)
        figures.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    main()

"""Plot which classes a model takes for which: all of a few, the worst pairs of many."""

from typing import TYPE_CHECKING

import pandas as pd

from repro.report import style as figures
from repro.report.errors import confused_pairs, confusion_matrix
from repro.system import logs

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

MOST_CLASSES = 20  # as many as fit with their counts


def main() -> None:
    logs.set_up(snakemake.log[0])
    counts = pd.read_csv(snakemake.input.confusion)
    draw = confusion_matrix if counts["true"].nunique() <= MOST_CLASSES else confused_pairs
    with figures.styled(snakemake.input.style):
        figure = draw(counts, snakemake.params.title)
        figures.save(figure, snakemake.output.png, snakemake.output.svg)


if __name__ == "__main__":
    main()

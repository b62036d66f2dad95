"""Plot how far each figure is from the reported one, against what chance and what matters."""

from typing import TYPE_CHECKING

from repro.figures import style
from repro.figures.comparison import comparison
from repro.system import logs
from repro.system.tables import read_csv

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logs.set_up(snakemake.log[0])
    rows, metrics = map(read_csv, (snakemake.input.comparison, snakemake.input.metrics))
    with style.styled(snakemake.input.style):
        style.save(comparison(rows, metrics), snakemake.output.comparison)


if __name__ == "__main__":
    main()

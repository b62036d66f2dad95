"""Plot the images that only one of two nets gets right."""

from typing import TYPE_CHECKING

from repro.figures import errors, style
from repro.figures.gallery import digits, photographs
from repro.system import logs
from repro.system.tables import read_csv

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

SHOWN = 12  # images of each net


def main() -> None:
    logs.set_up(snakemake.log[0])
    source, params = snakemake.input, snakemake.params
    found = read_csv(source.found)
    found = found[found["model"] == params.model]
    read = digits if source.images.endswith(".npy") else photographs
    groups = []
    for name, title in params.titles.items():
        only = found[found["right"] == name]
        shown = only.head(SHOWN)
        images = read(shown["id"].tolist(), source.images)
        groups.append(errors.OnlyOne(title, len(only), images, shown.to_dict("records")))
    with style.styled(source.style):
        style.save(errors.only_one(groups), snakemake.output.against)


if __name__ == "__main__":
    main()

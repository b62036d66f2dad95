"""Plot all figures of one model: its curves, and where it errs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from repro.figures import errors, style
from repro.figures.curves import curves
from repro.figures.gallery import digits, photographs
from repro.figures.weights import first_layer, pictures
from repro.history import read_history
from repro.system import logs
from repro.system.tables import read_csv

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from snakemake.iocontainers import snakemake

MAX_CLASSES = 20  # as many as fit with their counts
SHOWN = 12  # images


def figures() -> Iterator[tuple[str, "Figure"]]:
    """Yield each figure by its name."""
    source, params = snakemake.input, snakemake.params
    title = style.heading(params.title)
    for name, quantity in params.quantities.items():
        yield (
            name,
            curves(
                [read_history(path) for path in source.histories],
                quantity,
                params.splits,
                title,
                reported=read_history(source.reported) if source.reported else None,
                reported_label=params.reported_label,
                loss_label=params.loss_label,
                against=read_history(source.against) if source.against else None,
                against_label=params.against_label,
            ),
        )

    counts = read_csv(source.confusion)
    few = counts["true"].nunique() <= MAX_CLASSES
    draw = errors.confusion_matrix if few else errors.confused_pairs
    yield "confusion", draw(counts, title)

    mistakes = read_csv(source.mistakes).head(SHOWN)
    read = digits if source.images.endswith(".npy") else photographs
    images = read(mistakes["id"].tolist(), source.images)
    yield "gallery", errors.gallery(images, mistakes.to_dict("records"), title)

    metrics = read_csv(source.metrics)
    ece = metrics.loc[(metrics["split"] == "test") & (metrics["metric"] == "ece"), "value"].iloc[0]
    yield (
        "reliability",
        errors.reliability(read_csv(source.reliability), float(ece), title),
    )

    if source.model:
        yield "weights", pictures(first_layer(source.model), title, of_digits=params.linear)


def main() -> None:
    logs.set_up(snakemake.log[0])
    with style.styled(snakemake.input.style):
        for name, figure in figures():
            style.save(figure, snakemake.output[name])


if __name__ == "__main__":
    main()

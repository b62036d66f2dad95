"""Find the pictures of one's own, open each of them, and list them with class and hash."""

from typing import TYPE_CHECKING

import pandas as pd

from repro.errors import UserError
from repro.flowers import pictures
from repro.flowers.gather import describe
from repro.splits import least
from repro.system import logs
from repro.system.files import atomic_path, write_json
from repro.system.writer_lock import lock_output

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    params, made = snakemake.params, snakemake.output
    lock_output(made.images)
    found = pictures.find(params.folders, params.table)
    logger.info("%d pictures. %s", len(found.pictures), pictures.passed_over(found.passed_over))
    opened = describe(found, on_damaged=params.on_damaged, workers=snakemake.threads)
    images, names = opened.table, dict(enumerate(found.kinds, start=1))

    # Before a backbone runs, and once more than when the run was planned: some may be damaged.
    split = snakemake.config["flowers"]["split"]
    needed = least(*(split[key] for key in ("kind", "validation", "test")))
    given = images.get("split", pd.Series("", images.index))
    small = pictures.small_classes(zip(images["label"].map(names), given, strict=True), needed)
    if params.on_small == "stop":
        pictures.check_small(small, needed, given.any())
    skipped = small if params.on_small == "skip" else {}
    images = images[~images["label"].map(names).isin(skipped)]
    if small and params.on_small == "train":
        images = images.assign(split=given.mask(images["label"].map(names).isin(small), "train"))
    if images["label"].nunique() < 2:
        raise UserError("fewer than 2 classes are left; add pictures")

    tables = {
        made.images: images,
        made.seen: opened.seen,
        made.names: pd.DataFrame({"label": names.keys(), "name": names.values()}),
    }
    for target, table in tables.items():
        with atomic_path(target) as aside:
            table.to_csv(aside, index=False)
    write_json(made.damaged, opened.damaged)
    write_json(
        made.left_out,
        {
            "passed_over": found.passed_over,
            "skipped": skipped,
            "only_trained_on": small if params.on_small == "train" else {},
        },
    )
    logger.info("%d pictures open, %d classes", len(images), images["label"].nunique())


if __name__ == "__main__":
    main()

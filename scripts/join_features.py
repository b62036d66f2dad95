"""Join the shards of a feature extraction into one store, and check that they are one."""

from pathlib import Path
from typing import TYPE_CHECKING

from repro.features.shards import join
from repro.features.store import FeatureFiles
from repro.system import logs

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    source, made = snakemake.input, snakemake.output
    parts = [
        FeatureFiles(*map(Path, files))
        for files in zip(source.features, source.ids, source.manifests, strict=True)
    ]
    manifest = join(parts, FeatureFiles(Path(made.features), Path(made.ids), Path(made.manifest)))
    logger.info("%d shards joined: %d images", len(parts), manifest["rows"])


if __name__ == "__main__":
    main()

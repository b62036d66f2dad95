"""Bring one file of the registry, proved by its hash. The only stage that uses the network.

The file goes to the folder of downloads, which runs may share, and the output is a link to it.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from repro.fetch.sources import fetch, load_registry
from repro.system import logs
from repro.system.files import link

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logs.set_up(snakemake.log[0])
    # From config and not a param: another source for the same bytes must not fetch them again.
    registry = load_registry([snakemake.params.registry], snakemake.config["downloads"])
    look_in = snakemake.config.get("look_in", [])
    name, target = snakemake.wildcards.file, Path(snakemake.output[0])
    if snakemake.params.downloads is None:
        fetch(registry[name], target, cache=target.parent / ".cache", look_in=look_in)
    else:
        downloads = Path(snakemake.params.downloads)
        fetch(registry[name], downloads / name, cache=downloads / ".cache", look_in=look_in)
        link(downloads / name, target)


if __name__ == "__main__":
    main()

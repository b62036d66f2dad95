"""Bring one file of the registry, proved by its hash. The only stage that uses the network."""

from typing import TYPE_CHECKING

from repro import logs
from repro.fetching import fetch, load_registry

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    logs.set_up(snakemake.log[0])
    # From config and not a param: another source for the same bytes must not fetch them again.
    registry = load_registry([snakemake.params.registry], snakemake.config["downloads"])
    fetch(registry[snakemake.wildcards.file], snakemake.output[0], cache=snakemake.params.cache)


if __name__ == "__main__":
    main()

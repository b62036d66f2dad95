"""Bring one file of the registry, proved by its hash. The only stage that uses the network."""

from typing import TYPE_CHECKING

from repro import logs
from repro.fetching import fetch, load_registry

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    logs.set_up(snakemake.log[0])
    registry = load_registry(snakemake.params.registry, snakemake.params.extra)
    fetch(
        registry[snakemake.params.name],
        snakemake.output[0],
        cache=snakemake.params.cache,
    )

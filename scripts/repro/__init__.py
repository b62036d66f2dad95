"""The library beneath the scripts: takes values, returns values, knows nothing of Snakemake."""

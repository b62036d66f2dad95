"""Snakemake, but its Slurm plugin looks at the jobs every two seconds, not ever more rarely."""

import sys

import snakemake_executor_plugin_slurm as plugin
from snakemake.cli import main

plugin.Executor.next_seconds_between_status_checks = property(lambda _: 2, lambda _, seconds: None)

if __name__ == "__main__":
    sys.exit(main())

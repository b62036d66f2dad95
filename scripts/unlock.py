"""Take off the lock of a run that was killed in this folder. Run by `make` before Snakemake."""

from pathlib import Path

from repro.system.run_lock import take_off

if __name__ == "__main__" and take_off(Path(".snakemake/locks")):
    print("The last run here was killed; its lock is taken off.")

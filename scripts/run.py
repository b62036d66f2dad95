"""Run Snakemake and show how far it is, then the table. For `make demo` and `make reproduce`."""

import csv
import os
import signal
import sys
from pathlib import Path

import yaml

from repro.system.run_lock import take_off
from repro.terminal.screen import Screen
from repro.terminal.table import fitted

TYPICAL = Path(__file__).parents[1] / "resources/seconds.csv"


def main(results: Path, arguments: list[str]) -> int:
    # Here, because it takes a while, in which a person can interrupt.
    from repro.terminal.run import Run  # noqa: PLC0415

    quiet = os.environ.get("QUIET", "") not in ("", "0")
    # A stream of its own: what jobs write to standard error goes another way.
    with open(os.dup(2), "w", encoding="utf-8") as stream:
        screen = Screen(stream)
        if take_off(Path(".snakemake/locks")) and not quiet:
            screen.say("The last run here was killed; its lock is taken off.")
        with TYPICAL.open(encoding="utf-8", newline="") as file:
            typical = {row["rule"]: float(row["seconds"]) for row in csv.DictReader(file)}
        status = Run(screen, typical, quiet=quiet).snakemake(arguments)
        width = screen.width()
    if status == 0:
        results = _laid_over(results, arguments)
        table = (results / "comparison.md").read_text(encoding="utf-8")
        print(fitted(table, width) if sys.stdout.isatty() else table.rstrip())
        print(f"\nReport: {results}/report.html")
    return status


def _laid_over(results: Path, arguments: list[str]) -> Path:
    """Return where the results are, by the last configuration on the command line that says so."""
    for file in arguments:
        if file.endswith((".yaml", ".yml")):
            said = yaml.safe_load(Path(file).read_text(encoding="utf-8")) or {}
            results = Path(said.get("results_dir", results))
    return results


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:  # the run is done, and who read its table has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

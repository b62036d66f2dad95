"""Check an archive: its hashes, and its metrics from its predictions. `make verify-archive`."""

import argparse
import sys
from pathlib import Path

from repro import archive
from repro.errors import UserError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", help="the zip that `make archive` wrote")
    name = parser.parse_args().archive
    if not name:
        parser.error("name the zip: make verify-archive ARCHIVE=results/archive.zip")
    path = Path(name)
    found = archive.verify(path, on_run=lambda run: print(f"metrics of {run} ..."))
    if found.problems:
        sys.exit("\n".join([*found.problems, f"{path}: {len(found.problems)} problem(s)"]))
    print(
        f"{path}: {found.files} files have the hashes they should have; {found.metrics} metrics of "
        f"{len(found.runs)} runs, computed anew from the predictions, are those of metrics.csv"
    )


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))

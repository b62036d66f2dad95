"""Check an archive: hashes, code, and metrics, comparison and claims. `make verify-archive`."""

import argparse
import sys
from pathlib import Path

from repro.errors import UserError
from repro.provenance import archive

PROJECT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", help="the zip that `make archive` wrote")
    name = parser.parse_args().archive
    if not name:
        parser.error("name the zip: make verify-archive ARCHIVE=results/archive.zip")
    path = Path(name)
    found = archive.verify(path, PROJECT, on_run=lambda run: print(f"metrics of {run} ..."))
    for note in found.notes:
        print(f"{path}: {note}")
    if found.problems:
        sys.exit("\n".join([*found.problems, f"{path}: {len(found.problems)} problem(s)"]))
    tables = ", ".join(f"{rows} rows of {name}" for name, rows in found.rows.items())
    print(
        f"{path}: {found.files} files have the hashes they should have; {len(found.runs)} runs, "
        f"computed anew from their predictions, give what is packed: {tables}"
    )


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))

"""Set two runs beside each other: what differs, and how far apart they are. `make compare`."""

import argparse
import sys
from pathlib import Path

from repro.errors import UserError
from repro.report.two_runs import Results, side_by_side


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("a", type=Path, help="folder of results")
    parser.add_argument("b", type=Path, help="another")
    arguments = parser.parse_args()
    print(side_by_side(Results.read(arguments.a), Results.read(arguments.b)), end="")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))

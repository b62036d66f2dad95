"""Print what a figure was made of, link by link. `make why FIGURE=model/set/metric`."""

import argparse
import sys
from pathlib import Path

from repro.errors import UserError
from repro.provenance.chain import chain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", help="MODEL/SET/METRIC as in comparison.csv")
    parser.add_argument("--results", type=Path, default=Path("results"), help="a run's folder")
    options = parser.parse_args()
    print("\n".join(chain(options.results, options.figure)))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))

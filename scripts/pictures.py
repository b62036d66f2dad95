"""Train on pictures of one's own and print what came of it. Run by `make pictures`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from repro.flowers.pictures import ON_SMALL

ROOT = Path(__file__).resolve().parents[1]


def configuration(asked: argparse.Namespace) -> dict[str, Any]:
    """Return what is laid over config/pictures.yaml."""
    flowers = {"folders": asked.folder, "table": asked.table, "on_small": asked.small}
    found: dict[str, Any] = {"flowers": {key: each for key, each in flowers.items() if each}}
    if asked.name:
        found["flowers"]["data"] = asked.name
        found |= {
            f"{kind}_dir": f"{kind}/{asked.name}" for kind in ("results", "logs", "benchmarks")
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="with a folder of pictures for each class")
    parser.add_argument("--table", help="CSV of file and class, in place of the folders' names")
    parser.add_argument("--name", help="of these pictures, in place of mine: results/NAME")
    parser.add_argument("--small", choices=ON_SMALL, help="what to do with too small a class")
    asked = parser.parse_args()
    if not asked.folder and not asked.table:
        sys.exit("Name the folder: make pictures FOLDER=~/my\\ flowers")
    said = [f"{key}={json.dumps(value)}" for key, value in configuration(asked).items()]
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "all", "--config", *said],
        cwd=ROOT,
        check=False,
    )
    if done.returncode:
        sys.exit(done.returncode)
    results = Path("results") / (asked.name or "mine")
    print((ROOT / results / "pictures.txt").read_text(encoding="utf-8"))
    print(f"Page: {results / 'report.html'}")


if __name__ == "__main__":
    main()

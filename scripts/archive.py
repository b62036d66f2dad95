"""Pack results, crate, configuration and code into one zip. Run by `make archive`."""

import argparse
import sys
from pathlib import Path

from repro import archive, provenance
from repro.errors import UserError
from repro.files import hash_of

PROJECT = Path(__file__).resolve().parents[1]


def default_results() -> Path:
    """Return the folder of the full run, or the demo's where only that has been run."""
    full, demo = Path("results"), Path("results/demo")
    return demo if not (full / archive.METADATA).exists() else full


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--results", type=Path, help="folder of results; the full run's or else the demo's"
    )
    parser.add_argument("--output", type=Path, help="the zip; archive.zip in the folder of results")
    arguments = parser.parse_args()
    results = arguments.results or default_results()
    target = arguments.output or results / "archive.zip"
    files = archive.results_files(results) | archive.code_files(PROJECT)
    count = archive.write(target, files)
    code = provenance.code(PROJECT)
    state = "with changes that are not committed" if code["dirty"] else "as committed"
    print(
        f"{target}: {count} files, {target.stat().st_size / 1e6:.1f} MB, sha256 {hash_of(target)}"
    )
    print(f"code: commit {code['commit']}, {state}")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))

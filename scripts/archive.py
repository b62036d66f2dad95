"""Pack results, crate, configuration and code into one zip. Run by `make archive`."""

import argparse
import sys
from pathlib import Path

from repro.errors import UserError
from repro.provenance import archive, record
from repro.system.files import hash_of

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
    parser.add_argument(
        "--as-it-is", action="store_true", help="also where the code was changed after the run"
    )
    arguments = parser.parse_args()
    results = arguments.results or default_results()
    target = arguments.output or results / "archive.zip"
    files = archive.results_files(results) | archive.code_files(PROJECT)
    changed = archive.changed_code(results, PROJECT)
    if changed and not arguments.as_it_is:
        raise UserError(
            f"{results}: the code was changed after this run: {some_of(changed)}. Run the workflow "
            "again, or archive both as they are: make archive AS_IT_IS=1 (--as-it-is)"
        )
    count = archive.write(target, files, changed)
    print(
        f"{target}: {count} files, {target.stat().st_size / 1e6:.1f} MB, sha256 {hash_of(target)}"
    )
    code = record.code(PROJECT)
    state = "with changes that are not committed" if code["dirty"] else "as committed"
    print(f"code: commit {code['commit']}, {state}" if code["commit"] else f"code: {code['note']}")
    if changed:
        print(f"code: not what has run; README.txt in it says so: {some_of(changed)}")


def some_of(names: list[str]) -> str:
    """Return names in a row, and how many more there are."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{', '.join(names[:5])}{more}"


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))

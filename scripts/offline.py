"""List the files that a run needs and that are here, missing or wrong. Run by `make offline`.

Nothing is fetched, copied or changed. Ends with 1 where one is missing or wrong.
"""

import argparse
import json
import shlex
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from snakemake.utils import update_config

from repro.config import check, fill_in
from repro.errors import UserError, unreadable
from repro.fetch.needed import FOUND, needed, table
from repro.fetch.registry import load_registry
from repro.plan import Plan

ROOT = Path(__file__).resolve().parents[1]


def read(file: Path) -> dict[str, Any]:
    try:
        return dict(yaml.safe_load(file.read_text(encoding="utf-8")) or {})
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise unreadable(file, "a configuration in YAML", "mend it", error) from error


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--from", dest="folders", nargs="+", metavar="FOLDER", help="look there, not in look_in"
    )
    parser.add_argument("--configfile", nargs="+", type=Path, default=[], metavar="FILE")
    parser.add_argument("--table", action="store_true", help="all needed files, as Markdown")
    arguments = parser.parse_args()
    config = read(ROOT / "config.yaml")
    for file in arguments.configfile:
        update_config(config, read(file))
    fill_in(config)
    check(config, read(ROOT / "config/schema.yaml"))
    registry = load_registry([ROOT / "resources/registry.yaml"], config["downloads"])
    plan = Plan(config)
    downloads = Path(config["data_dir"]).expanduser() / "downloads"
    if arguments.table:
        print(table(plan.needs, registry, downloads), end="")
        return 0
    folders = arguments.folders or config["look_in"]
    if gone := [folder for folder in folders if not Path(folder).expanduser().is_dir()]:
        raise UserError(f"{', '.join(gone)}: no such folder; name those that hold the files")
    files = needed(plan, registry, downloads, folders)
    for file in files:
        print(file)
    counts = Counter(file.state for file in files)
    print(f"\n{', '.join(f'{count} {state}' for state, count in counts.items())}.")
    if set(counts) - {FOUND}:
        return 1
    if arguments.folders:
        places = [str(Path(folder).expanduser().absolute()) for folder in folders]
        said = shlex.quote(f"look_in={json.dumps(places, ensure_ascii=False)}")
        print(f"A run takes them without a network with  --config {said}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(str(error))

"""Train many seeds of each MNIST net of a report; write their figures. Run by `make reference`.

A seed that is finished is not trained again: begun once, it goes on where it was interrupted.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from snakemake.utils import update_config
from threadpoolctl import threadpool_limits

from repro.comparison.reference import SEEDS
from repro.comparison.reported import load
from repro.config import fill_in
from repro.errors import UserError
from repro.mnist.images import load_splits
from repro.mnist.reference_runs import machine, made_by, train_missing
from repro.plan import Plan
from repro.provenance import record

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configfile", type=Path, help="laid over config.yaml: another report's")
    parser.add_argument("--output", type=Path, help="default: the folder that the report names")
    parser.add_argument("--workers", type=int, default=record.usable_cores())
    arguments = parser.parse_args()
    config = _read(ROOT / "config.yaml")
    if arguments.configfile:
        update_config(config, _read(arguments.configfile))
    fill_in(config)
    report = ROOT / config["report"]
    output = arguments.output or load(report).about.reference
    if output is None:
        raise UserError(f"{report}: names no folder of reference runs; add `reference` to it")
    prepared = ROOT / config["prepared_dir"] / "mnist"
    files = [prepared / name for name in ("images.npy", "labels.npy", "split.csv")]
    data, hashes = load_splits(*files), record.hashes_of(files, prepared)
    # Each seed in one thread, as in its rule; BLAS would start one for every core.
    threadpool_limits(1)
    for model in Plan(config).of("mnist"):
        if model.net["reported"] is None:
            continue
        about = {
            "made_by": made_by(model, config["mnist"]["split"], hashes),
            "machine": machine(),
        }
        started = time.perf_counter()
        for seed in train_missing(output, model, data, about, SEEDS, workers=arguments.workers):
            spent = time.perf_counter() - started
            print(f"{model.name}: seed {seed} after {spent:.0f} s", flush=True)


def _read(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))

"""Train twenty seeds of each MNIST net of the report; write their figures. Run by `make reference`.

A seed that is finished is not trained again: begun once, it goes on where it was interrupted.
"""

import argparse
import sys
import time
from pathlib import Path

import yaml
from threadpoolctl import threadpool_limits

from repro.comparison.reference import SEEDS
from repro.errors import UserError
from repro.mnist.images import load_splits
from repro.mnist.reference_runs import machine, made_by, train_missing
from repro.plan import Plan
from repro.provenance import record

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "resources/reference")
    parser.add_argument("--workers", type=int, default=record.usable_cores())
    arguments = parser.parse_args()
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    prepared = ROOT / config["prepared_dir"] / "mnist"
    files = [prepared / name for name in ("images.npy", "labels.npy", "split.csv")]
    data, hashes = load_splits(*files), record.hashes_of(files, prepared)
    # Each seed in one thread, as in its rule; BLAS would start one for every core.
    threadpool_limits(1)
    for model in Plan(config).described("mnist"):
        if model.net["reported"] is None:
            continue
        about = {
            "made_by": made_by(model, config["mnist"]["split"], hashes),
            "machine": machine(),
        }
        started = time.perf_counter()
        for seed in train_missing(
            arguments.output, model, data, about, SEEDS, workers=arguments.workers
        ):
            spent = time.perf_counter() - started
            print(f"{model.name}: seed {seed} after {spent:.0f} s", flush=True)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))

"""Rehearse the default run with stand-ins for what it fetches; print what it costs.

Run by `make rehearse`. The stand-ins are made once, in `data/rehearsal/stand-ins`; what an earlier
rehearsal left elsewhere is removed, so that every rule runs. Then the notebook's protocol is run on
fewer images.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from snakemake.utils import update_config

from repro.errors import UserError
from repro.features.extraction import CPU_BATCH
from repro.provenance import record as provenance
from repro.rehearsal import page, stand_ins
from repro.rehearsal import run as rehearsal
from repro.rehearsal.run import JOB, RUN, FeaturesJob, Rehearsal
from repro.system.files import write_json, write_text
from repro.system.logs import set_up

ROOT = Path(__file__).resolve().parents[1]
OVERLAY = ROOT / "config/rehearsal.yaml"
MODELS = ("resnet152", "convnext_large")
NOTEBOOK = tuple(f"{model}_notebook" for model in MODELS)
# Written before PyTorch 1.6 changed its files.
LEGACY = ("weights/resnet152-394f9c45.pth",)
THREADS = 4  # of the features rules, if there are as many cores
NOTEBOOK_EPOCHS = 3  # of the report's nine: each is as long as the other
FORWARD_BATCHES = 4  # a thread, for the rate of the forward pass alone
PACKAGES = ("torch", "torchvision", "numpy", "pillow", "snakemake")


def merged(onto: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with another laid over it."""
    found = copy.deepcopy(dict(onto))
    update_config(found, changes)
    return found


def read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return content


class Part:
    """One of the two runs: its stand-ins, its configuration, its folders."""

    def __init__(self, images: int, cores: int, changes: Mapping[str, Any] | None = None) -> None:
        """Take the number of images, and what is changed besides."""
        self.images, self.cores, self.changes = images, cores, dict(changes or {})
        self.config = merged(merged(read(ROOT / "config.yaml"), read(OVERLAY)), self.changes)
        self.stand_ins: Path = ROOT / read(OVERLAY)["data_dir"] / "stand-ins"
        official = pd.read_csv(ROOT / "resources/rehearsal_counts.csv", comment="#")["images"]
        self.counts = stand_ins.scaled_counts(images, official.tolist())

    def folder(self, key: str) -> Path:
        """Return a folder of the configuration."""
        return ROOT / str(self.config[key])

    @property
    def models(self) -> list[str]:
        """Return the flower nets that run."""
        nets = self.config["flowers"]["nets"]
        return [model for model in self.config["models"] if model in nets]

    def net(self, model: str) -> tuple[str, Path]:
        """Return a net's architecture and the stand-in for its weights."""
        net = self.config["flowers"]["nets"][model]
        return net["architecture"], self.stand_ins / net["weights"]

    def make(self) -> None:
        """Make the stand-ins, and write where they are as a configuration."""
        data = self.config["flowers"]["data"]
        folder = self.stand_ins / f"{self.images}-images"
        flowers = stand_ins.make_flowers(folder, self.counts, self.cores)
        files = {f"{data}/{name}": file for name, file in flowers.items()}
        for model in self.models:
            architecture, file = self.net(model)
            name = self.config["flowers"]["nets"][model]["weights"]
            stand_ins.make_weights(file, architecture, legacy=name in LEGACY)
            files[name] = file
        downloads = {**stand_ins.as_downloads(files), **self._mnist()}
        text = yaml.safe_dump({**self.changes, "downloads": downloads}, sort_keys=False)
        write_text(self.sources, text)
        self.archive = flowers["102flowers.tgz"]

    @property
    def sources(self) -> Path:
        """Return the configuration that names the stand-ins."""
        return self.stand_ins / f"{'-'.join(self.models)}-{self.images}.yaml"

    def _mnist(self) -> dict[str, Any]:
        """Return MNIST's files as sources where a run has fetched them: no need to do it again."""
        registry = read(ROOT / "resources/registry.yaml")["files"]
        downloads = ROOT / read(ROOT / "config.yaml")["data_dir"] / "downloads"
        return {
            name: {"sources": [{"path": str(downloads / name)}, *entry["sources"]]}
            for name, entry in registry.items()
            if name.startswith("mnist/") and (downloads / name).exists()
        }

    def clear(self) -> None:
        """Remove what an earlier rehearsal left, but for stand-ins and MNIST."""
        for key in ("results_dir", "logs_dir", "benchmarks_dir"):
            shutil.rmtree(self.folder(key), ignore_errors=True)
        data = self.config["flowers"]["data"]
        for name in ("fetched", "mnist", data, f"downloads/{data}", "downloads/weights"):
            shutil.rmtree(self.folder("prepared_dir") / name, ignore_errors=True)

    def command(self, *targets: str) -> list[str]:
        """Return the command that runs this part."""
        command = rehearsal.snakemake(self.cores, [OVERLAY, self.sources])
        return [*command, *(["--", *targets] if targets else [])]

    def features(self) -> dict[str, FeaturesJob]:
        """Return where the features jobs work."""
        folder = self.folder("prepared_dir") / self.config["flowers"]["data"] / "features"
        return {
            model: FeaturesJob(
                folder / f".{model}-all.partial",
                folder / f"{model}/all/features.npy",
                self.folder("logs_dir") / f"features_{model}/all.log",
            )
            for model in self.models
        }

    def costs(self, lives: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return what each rule cost, see :func:`repro.rehearsal.run.costs`."""
        disk = rehearsal.disk_by_rule(self.command(), ROOT)
        return rehearsal.costs(self.folder("benchmarks_dir"), lives, disk)


def rates(part: Part) -> dict[str, float]:
    """Return images a second of each net's forward pass alone."""
    # Of a small rehearsal it is the time that counts, not the rate.
    batches = max(1, min(FORWARD_BATCHES, part.images // 500))
    threads, images = min(THREADS, part.cores), max(2, min(CPU_BATCH, part.images // 16))
    return {
        model: rehearsal.forward_rate(
            *part.net(model), part.archive, threads=threads, batches=batches, images=images
        )
        for model in part.models
    }


def rehearse(part: Part, kills: Sequence[str]) -> dict[str, Any]:
    """Run the default configuration; return what was measured."""
    load, before = os.getloadavg()[0], rates(part)
    run = Rehearsal(part.command(), ROOT, part.features(), part.images, kills)
    run.run()
    load_after, after = os.getloadavg()[0], rates(part)
    record = run.record()
    return {
        **record,
        "cores": part.cores,
        "load": [load, load_after],
        "images": part.images,
        "labels": len(part.counts),
        "counts": [min(part.counts), max(part.counts)],
        "bytes": part.archive.stat().st_size,
        "asked": list(kills),
        "nets": {model: {"before": before[model], "after": after[model]} for model in part.models},
        "rules": part.costs(record["lives"]),
    }


def rehearse_notebook(part: Part) -> dict[str, Any]:
    """Run the notebook's protocol; return what was measured, and how much the whole would be."""
    results = Path(part.config["results_dir"])
    # As a path inside the folder it runs in, as the rules name it.
    run = Rehearsal(part.command((results / "comparison.md").as_posix()), ROOT)
    run.run()
    costs = {row["rule"]: row for row in part.costs(run.record()["lives"])}
    flowers = read(ROOT / "config.yaml")["flowers"]
    split, epochs = flowers["split"], flowers["head"]["epochs"]
    whole = int(pd.read_csv(ROOT / "resources/rehearsal_counts.csv", comment="#")["images"].sum())
    train = round(whole * (1 - split["validation"] - split["test"]))
    return {
        "images": part.images,
        "epochs": NOTEBOOK_EPOCHS,
        "whole_images": whole,
        "whole_epochs": epochs,
        "whole_passes": epochs * whole + train,
        "nets": {
            model: {
                "job_s": costs[f"train_{model}"]["wall_s"],
                "peak_rss_mib": costs[f"train_{model}"]["peak_rss_mib"],
                "epoch_s": rehearsal.seconds_an_epoch(
                    part.folder("logs_dir") / f"train_{model}.log"
                ),
            }
            for model in part.models
        },
    }


def machine() -> dict[str, Any]:
    """Describe the machine."""
    return {
        "processor": provenance.processor(),
        "cores": provenance.usable_cores(),
        "cards": ", ".join(provenance.graphics_cards()) or "none",
        "memory_gib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        "system": f"{platform.system()} on {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=8189, help="8 to 8189")
    parser.add_argument("--notebook", type=int, default=200, help="images for it; 0: leave it out")
    parser.add_argument(
        "--kill", action="store_true", help="a features job, then Snakemake with all its jobs"
    )
    parser.add_argument("--cores", type=int, default=provenance.usable_cores())
    parser.add_argument(
        "--parts",
        nargs="*",
        choices=("run", "notebook", "rates"),
        default=("run", "notebook"),
        help="what to run; the rest of the page is the last rehearsal's. rates: the forward passes "
        "alone once more, for a run that had not the machine to itself",
    )
    parser.add_argument("--output", type=Path, help="write the page there too")
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    logger = set_up(None)
    # So that what runs below is ended too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    overlay = read(OVERLAY)
    file = ROOT / overlay["data_dir"] / "record.json"
    record = json.loads(file.read_text()) if file.exists() else {}
    if "run" in options.parts:
        part = Part(options.images, options.cores)
        started = time.perf_counter()
        part.make()
        made = [f for f in part.stand_ins.rglob("*") if f.is_file()]
        record = {"machine": machine(), "made_s": time.perf_counter() - started}
        record["made_bytes"] = sum(f.stat().st_size for f in made)
        part.clear()
        record["run"] = rehearse(part, (JOB, RUN) if options.kill else ())
        write_json(file, record)
        for kill in page.unfinished(record):
            logger.warning("no features job was part done at a look: not killed: %s", kill)
    if "rates" in options.parts:
        part = Part(options.images, options.cores)
        part.make()
        for model, rate in rates(part).items():
            record["run"]["nets"][model]["at_rest"] = rate
        write_json(file, record)
    if "notebook" in options.parts and options.notebook:
        folders = {key: f"{overlay[key]}-notebook" for key in overlay if key.endswith("_dir")}
        short = {"head": {"epochs": NOTEBOOK_EPOCHS}}
        changes = {"models": list(NOTEBOOK), "flowers": short, **folders}
        part = Part(options.notebook, options.cores, changes)
        part.make()
        part.clear()
        record["notebook"] = rehearse_notebook(part)
        write_json(file, record)
    text = page.page(record)
    print(text, end="")
    if options.output:
        write_text(options.output, text)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))

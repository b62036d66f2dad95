"""Record how the run was made: provenance, and a card for each model."""

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from repro.comparison.compare import Model
from repro.provenance import cards, record, run_times
from repro.system import logs
from repro.system.files import write_json, write_text

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

MODEL_FILES = {"numpy": "model.npz", "torch": "model.safetensors"}


def main() -> None:
    logger = logs.set_up(snakemake.log[0])
    config = yaml.safe_load(Path(snakemake.input.config).read_text(encoding="utf-8"))
    stores = {store_name(file, config): file for file in snakemake.input.manifests}
    notebooks = {Path(file).stem: file for file in snakemake.input.notebooks}
    splits = {
        Path(file).relative_to(config["prepared_dir"]).as_posix(): record.split_hashes(file)
        for file in snakemake.input.splits
    }
    write_json(
        snakemake.output.provenance,
        {
            "identity": identity(config, stores, notebooks, splits),
            "circumstances": circumstances(config),
        },
    )
    write_cards(config, {**stores, **notebooks}, splits)
    logger.info("%s and %d cards", snakemake.output.provenance, len(snakemake.output.cards))


def store_name(manifest: str, config: dict[str, Any]) -> str:
    """Return the name of a feature store by its manifest: its net, and which splits it serves."""
    folder = Path(config["prepared_dir"]) / config["flowers"]["data"] / "features"
    return Path(manifest).relative_to(folder).parent.as_posix()


def identity(
    config: dict[str, Any],
    stores: dict[str, str],
    notebooks: dict[str, str],
    splits: dict[str, Any],
) -> dict[str, Any]:
    """Return what a second run of the same configuration on the same machine must share.

    Where networks of the protocols ``adapted`` and ``notebook`` run on a CPU, with as many threads:
    what BatchNorm takes from a batch is added up in as many parts.
    """
    source, params = snakemake.input, snakemake.params
    computed = record.what_is_computed(config)
    proofs = {
        name: {key: value for key, value in entry["proof"].items() if value is not None}
        for name, entry in params.sources.items()
    }
    features = {name: record.features(file) for name, file in stores.items()}
    made = [*source.tables, *source.metrics, *source.histories, *source.predictions]
    return {
        "code": record.code(Path(params.project)),
        "configuration": computed,
        "configuration_sha256": record.hash_of_value(computed),
        "models": {entry["name"]: entry for entry in params.models},
        "runs": {model: list(runs) for model, runs in params.runs.items()},
        "seeds": record.seeds(config),
        "downloads": proofs,
        "images": record.hashes_of(source.images, Path(config["prepared_dir"])),
        "damaged": damaged(),
        "splits": splits,
        "features": features,
        "notebooks": {name: record.read_manifest(file) for name, file in notebooks.items()},
        "forward_passes": forward_passes(config, features, splits),
        "python": record.python_version(),
        "packages": record.versions(record.packages_of(source.environments)),
        "results": record.hashes_of(made, Path(snakemake.output.provenance).parent),
    }


def damaged() -> list[int]:
    """Return the numbers of the images that do not open and are in no set."""
    file = snakemake.input.damaged
    return list(json.loads(Path(file).read_text(encoding="utf-8"))) if file else []


def forward_passes(
    config: dict[str, Any], features: dict[str, Any], splits: dict[str, Any]
) -> dict[str, int]:
    """Return how often an image went through the backbone of each flower net."""
    flowers, runs = config["flowers"], snakemake.params.runs
    passes = {}
    for model in [model for model in config["models"] if model in flowers["nets"]]:
        if flowers["nets"][model]["protocol"] == "notebook":
            files = [f"{flowers['data']}/splits/{split_of(run)}.csv" for run in runs[model]]
            passes[model] = sum(
                record.notebook_passes(counts(splits[file]), flowers["head"]["epochs"])
                for file in files
            )
        else:
            own = [found for name, found in features.items() if name.split("/")[0] == model]
            passes[model] = sum(found["forward_passes"] for found in own)
    return passes


def split_of(run: str) -> str:
    """Return the name of the split that a flower net's run is on: "split-2" is on "seed-2"."""
    kind, _, seed = run.partition("-")
    return f"seed-{seed}" if kind == "split" else "main"


def measured(value: float) -> float | None:
    """Return the value, or None where it could not be measured."""
    return None if math.isnan(value) else value


def circumstances(config: dict[str, Any]) -> dict[str, Any]:
    """Return what may differ between two runs of the same configuration."""
    params = snakemake.params
    nets = [*config["mnist"]["nets"], *config["flowers"]["nets"]]
    of_jobs = run_times.jobs(params.benchmarks, params.runs, nets, params.splits, params.unfinished)
    return {
        "recorded": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": record.machine(),
        "seconds_of_all_jobs": round(float(of_jobs["wall_s"].sum()), 2),
        "jobs": {
            f"{job.rule}/{job.job}".rstrip("/"): {
                "seconds": measured(job.wall_s),
                "peak_memory_mib": measured(job.peak_rss_mib),
                **({"of_earlier_pieces": measured(job.earlier_s)} if job.earlier_s else {}),
            }
            for job in of_jobs.itertuples()
        },
    }


def write_cards(config: dict[str, Any], manifests: dict[str, str], splits: dict[str, Any]) -> None:
    source, params = snakemake.input, snakemake.params
    comparison = pd.read_csv(source.comparison)
    metrics = pd.concat([pd.read_csv(file) for file in source.metrics], ignore_index=True)
    for entry, target in zip(params.models, snakemake.output.cards, strict=True):
        model = Model.of(entry)
        net = config[model.part]["nets"][model.name]
        flowers = model.part == "flowers"
        text = cards.card(
            model,
            config["flowers"]["head"] if flowers else net,
            flower_data(config, splits) if flowers else mnist_data(config, splits),
            backbone(model.name, net, manifests) if flowers else None,
            comparison=comparison,
            metrics=metrics,
            files=[f"{run}/{MODEL_FILES[model.framework]}" for run in params.runs[model.name]],
        )
        write_text(target, text)


def mnist_data(config: dict[str, Any], splits: dict[str, Any]) -> cards.Data:
    seed = config["mnist"]["split"]["seed"]
    return cards.Data(
        "MNIST",
        counts(splits["mnist/split.csv"]),
        f"stratified, seed {seed}",
        cards.MNIST_CLASSES,
        licences("mnist/"),
    )


def flower_data(config: dict[str, Any], splits: dict[str, Any]) -> cards.Data:
    flowers = config["flowers"]
    names = {"oxford102": "Oxford-102 flowers", "generated": "drawn flowers"}
    if config["rehearsal"]:
        names = dict.fromkeys(names, "drawn flowers in place of Oxford-102")
    split = flowers["split"]
    return cards.Data(
        names.get(flowers["data"], flowers["data"]),
        counts(splits[f"{flowers['data']}/splits/main.csv"]),
        split["kind"] if split["kind"] == "official" else f"{split['kind']}, seed {split['seed']}",
        int(pd.read_csv(snakemake.input.images)["label"].nunique()),
        licences(f"{flowers['data']}/"),
        damaged=len(damaged()),
    )


def backbone(model: str, net: dict[str, Any], manifests: dict[str, str]) -> cards.Backbone:
    weights = snakemake.params.sources.get(net["weights"], {})
    own = [file for name, file in manifests.items() if name.split("/")[0] == model]
    return cards.Backbone(
        net["architecture"],
        weights.get("description") or weights.get("name", ""),
        weights.get("licence", ""),
        net["protocol"],
        record.read_manifest(own[0]),
    )


def counts(split: dict[str, Any]) -> dict[str, int]:
    return {name: found["images"] for name, found in split.items()}


def licences(prefix: str) -> list[str]:
    """Return the licences of the downloads under a name, each once."""
    sources = snakemake.params.sources
    found = [entry["licence"] for name, entry in sources.items() if name.startswith(prefix)]
    return [licence for licence in dict.fromkeys(found) if licence]


if __name__ == "__main__":
    main()

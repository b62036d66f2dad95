"""What a run was made of and what came of it, gathered for provenance.json and the model cards."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from repro.comparison import compare
from repro.evaluation.names_of_classes import read_names
from repro.plan import OFFICIAL, Model, Plan
from repro.provenance import cards, record

Paths = Sequence[str | os.PathLike[str]]


@dataclass(frozen=True)
class Left:
    """The files a run has left, and where it took others from.

    Attributes:
        splits: every split file.
        manifests: of kept features, each in the folder NET/SPLIT, with "all" for every split.
        notebooks: of nets trained as the notebook did, each named after its net.
        images: the table of flower images that open, or None where there are none.
        damaged: the list of those that do not.
        names: the table of the names of one's own classes, or None.
        left_out: what of one's own pictures was left out besides, or None.
        data_title: what the report calls the images of its flower nets; empty where those here are
            others.
        results: files whose hashes are written down.
        environments: conda environment files.
        project: the folder of the code.
        sources: what is known of each download that was used, by its name.
    """

    splits: Paths
    manifests: Paths
    notebooks: Paths
    images: str | None
    damaged: str | None
    results: Paths
    environments: Paths
    project: Path
    sources: Mapping[str, Mapping[str, Any]]
    names: str | None = None
    left_out: str | None = None
    data_title: str = ""


class RunRecord:
    """A finished run, read: what a second run must share with it, and a card for each model."""

    def __init__(
        self, plan: Plan, models: Sequence[Mapping[str, Any]], left: Left, results: Path
    ) -> None:
        """Read manifests and splits.

        Args:
            plan: what was asked for.
            models: the fields of each :class:`repro.comparison.compare.Model`.
            left: the files.
            results: the folder of results, to which hashes name their files.
        """
        self.plan, self.models, self.left, self.results = plan, models, left, results
        prepared = Path(plan.config["prepared_dir"])
        features = prepared / plan.config["flowers"]["data"] / "features"
        self.stores = {
            Path(file).relative_to(features).parent.as_posix(): file for file in left.manifests
        }
        self.notebooks = {Path(file).stem: file for file in left.notebooks}
        self.splits = {
            Path(file).relative_to(prepared).as_posix(): record.split_hashes(file)
            for file in left.splits
        }
        damaged = left.damaged and Path(left.damaged).read_text(encoding="utf-8")
        self.damaged: list[int | str] = json.loads(damaged) if damaged else []

    def identity(self) -> dict[str, Any]:
        """Return what a second run of the same configuration on the same machine must share.

        Where networks of the protocols ``adapted`` and ``notebook`` run on a CPU, with as many
        threads: what BatchNorm takes from a batch is added up in as many parts.
        """
        plan, left = self.plan, self.left
        computed = record.what_is_computed(plan.config)
        for part in ("mnist", "flowers"):
            if not plan.of(part):
                del computed[part]  # none of its nets runs
        features = {name: record.features(file) for name, file in self.stores.items()}
        prepared = Path(plan.config["prepared_dir"])
        return {
            "code": record.code(left.project),
            "configuration": computed,
            "configuration_sha256": record.hash_of_value(computed),
            "models": {entry["name"]: entry for entry in self.models},
            "runs": {model.name: [run.name for run in model.runs] for model in plan.models},
            "seeds": record.seeds(plan),
            "downloads": {
                name: {key: each for key, each in entry["proof"].items() if each is not None}
                for name, entry in left.sources.items()
            },
            "images": record.hashes_of([left.images] if left.images else [], prepared),
            "damaged": self.damaged,
            "splits": self.splits,
            "features": features,
            "notebooks": {
                name: record.read_manifest(file) for name, file in self.notebooks.items()
            },
            "forward_passes": {
                model.name: self._forward_passes(model, features) for model in plan.of("flowers")
            },
            "python": record.python_version(),
            "packages": record.versions(record.packages_of(left.environments)),
            "results": record.hashes_of(left.results, self.results),
        }

    def _forward_passes(self, model: Model, features: Mapping[str, Any]) -> int:
        """Return how often an image went through the backbone of a flower net."""
        if model.keeps_features:
            own = [found for name, found in features.items() if _net_of(name) == model.name]
            return sum(found["forward_passes"] for found in own)
        epochs = self.plan.config["flowers"]["head"]["epochs"]
        return sum(
            record.notebook_passes(self._counts(model.part, run.split), epochs)
            for run in model.runs
        )

    def card(
        self, entry: Mapping[str, Any], comparison: pd.DataFrame, metrics: pd.DataFrame
    ) -> str:
        """Return the card of a model, Markdown.

        Args:
            entry: its fields, one of ``models``.
            comparison: comparison.csv.
            metrics: metrics.csv.
        """
        judged = compare.Model.of(entry)
        model = self.plan.nets[judged.name]
        flowers = model.part == "flowers"
        return cards.card(
            judged,
            self.plan.config["flowers"]["head"] if flowers else model.net,
            self._flowers() if flowers else self._mnist(),
            self._backbone(model) if flowers else None,
            comparison=comparison,
            metrics=metrics,
            files=[f"{run.name}/{model.file}" for run in model.runs],
        )

    def _mnist(self) -> cards.Data:
        knobs = self.plan.config["mnist"]["split"]
        official = "official; validation " if knobs.get("kind") == OFFICIAL else ""
        return cards.Data(
            "MNIST",
            self._counts("mnist"),
            f"{official}stratified, seed {knobs['seed']}",
            cards.MNIST_CLASSES,
            self._licences("mnist"),
        )

    def _flowers(self) -> cards.Data:
        flowers = self.plan.config["flowers"]
        name, split = flowers["data"], flowers["split"]
        drawn = self.plan.generated or self.plan.config["rehearsal"]
        return cards.Data(
            "drawn images" if drawn else self.left.data_title or name,
            self._counts("flowers"),
            self._drawn(split),
            int(pd.read_csv(self.left.images)["label"].nunique()),
            self._licences(name),
            damaged=len(self.damaged),
            own=self.plan.own_data,
            names=self._names(),
            only_trained_on=self._left_out().get("only_trained_on", {}),
        )

    def _drawn(self, split: Mapping[str, Any]) -> str:
        sets = pd.read_csv(self.left.images).get("split", pd.Series(dtype=str))
        if len(sets) and sets.notna().all():
            return "as the pictures lie in their sets"
        if self.plan.official_split:
            return str(split["kind"])
        return f"{split['kind']}, seed {split['seed']}"

    def _left_out(self) -> dict[str, Any]:
        file = self.left.left_out
        return dict(json.loads(Path(file).read_text(encoding="utf-8"))) if file else {}

    def _names(self) -> list[str]:
        """Return the names of one's own classes, by label."""
        if not self.left.names:
            return []
        names, images = read_names(self.left.names), pd.read_csv(self.left.images)
        return [names[label] for label in sorted(set(images["label"]))]

    def _backbone(self, model: Model) -> cards.Backbone:
        known = [self.left.sources[name] for name in model.weights]
        manifests = {**self.stores, **self.notebooks}
        own = [file for name, file in manifests.items() if _net_of(name) == model.name]
        return cards.Backbone(
            model.net["architecture"],
            known[0]["description"] or known[0]["name"] if known else "",
            known[0]["licence"] if known else "",
            model.protocol,
            record.read_manifest(own[0]),
        )

    def _counts(self, part: str, split: str = "main") -> dict[str, int]:
        """Return the number of images by set."""
        data = self.plan.config["flowers"]["data"]
        name = "mnist/split.csv" if part == "mnist" else f"{data}/splits/{split}.csv"
        return {each: found["images"] for each, found in self.splits[name].items()}

    def _licences(self, folder: str) -> list[str]:
        """Return the licences of the downloads in a folder, each once."""
        found = [
            entry["licence"]
            for name, entry in self.left.sources.items()
            if Path(name).parts[0] == folder
        ]
        return [licence for licence in dict.fromkeys(found) if licence]


def _net_of(store: str) -> str:
    """Return the net of a manifest by its name: of kept features "net/all", of a notebook "net"."""
    return Path(store).parts[0]


def circumstances(of_jobs: pd.DataFrame) -> dict[str, Any]:
    """Return what may differ between two runs of the same configuration.

    Args:
        of_jobs: run time and memory, see :func:`repro.provenance.run_times.jobs`.
    """
    return {
        "recorded": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": record.machine(),
        "seconds_of_all_jobs": round(float(of_jobs["wall_s"].sum()), 2),
        "jobs": {
            f"{job.rule}/{job.job}".rstrip("/"): {
                "seconds": _measured(job.wall_s),
                "peak_memory_mib": _measured(job.peak_rss_mib),
                **({"of_earlier_pieces": _measured(job.earlier_s)} if job.earlier_s else {}),
            }
            for job in of_jobs.itertuples()
        },
    }


def _measured(value: float) -> float | None:
    """Return the value, or None where it could not be measured."""
    return None if math.isnan(value) else value

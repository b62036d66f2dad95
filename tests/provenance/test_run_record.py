"""What the rule that records a run puts together: each net's own splits, features and card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from repro.evaluation.names import METRIC_COLUMNS
from repro.plan import Plan
from repro.provenance import cards
from repro.system.files import hash_of
from scripts_support import run_rule
from support import ROOT, merged

NETS = ["numpy_1hidden", "resnet152", "lite", "resnet152_notebook"]
CHANGES = {
    "models": NETS,
    "mnist": {"nets": {"numpy_1hidden": {"seeds": [3, 4]}}},
    "flowers": {
        "head": {"epochs": 2},
        "split": {"seed": 5},
        "seeds": [7],
        "split_seeds": [6],
        "nets": {
            "lite": {"like": "efficientnet_lite0", "title": "Lite", "protocol": "adapted"},
            "resnet152": {"split_seeds": []},
            "resnet152_notebook": {"split_seeds": [6]},
        },
    },
}
SIZES = {
    "mnist/splits": (50, 20, 10),
    "oxford102/splits/main": (12, 5, 4),
    "oxford102/splits/seed-6": (11, 6, 4),
}
# Of each network: images, and those that its statistics were adapted on.
STORES = {"resnet152/all": (21, 0), "lite/main": (21, 8), "lite/seed-6": (21, 4)}
WEIGHTS = {
    "resnet152": "weights/resnet152-394f9c45.pth",
    "lite": "weights/efficientnet-lite0-57934424.pth",
    "resnet152_notebook": "weights/resnet152-394f9c45.pth",
}
SOURCES = {
    name: {
        "name": name,
        "description": f"what {name} is",
        "licence": f"licence of {name}",
        "proof": {"sha256": str(digit) * 64, "md5": None},
    }
    for digit, name in enumerate(
        ["mnist/file", "oxford102/file", *sorted(set(WEIGHTS.values()))], start=1
    )
}


def leave(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def manifest(file: Path, name: str, protocol: dict[str, Any], images: int = 0) -> Path:
    keys = ("weights_sha256", "weights_loaded", "parameters", "width", "preprocess", "device")
    about = dict.fromkeys((*keys, "images_sha256", "batch_size", "features_sha256"), "")
    about |= {"architecture": f"that of {name}", "protocol": protocol, "images": images}
    return leave(file, json.dumps(about | {"damaged": {"9": "cut off"} if images else {}}))


@pytest.fixture
def plan(monkeypatch, tmp_path) -> Plan:
    from repro.config import fill_in

    monkeypatch.chdir(tmp_path)
    config = merged(yaml.safe_load((ROOT / "config.yaml").read_text()), CHANGES)
    fill_in(config)
    leave(Path("results/config.yaml"), yaml.safe_dump(config))
    return Plan(config)


def test_each_net_has_its_own_splits_features_and_card(plan, monkeypatch):
    told: dict[str, tuple[Any, ...]] = {}

    def card(judged: Any, recipe: Any, data: Any, backbone: Any, **more: Any) -> str:
        told[judged.name] = recipe, data, backbone, more["files"]
        return f"card of {judged.name}"

    monkeypatch.setattr(cards, "card", card)
    data, results = Path("data"), Path("results")
    splits = []
    for name, sizes in SIZES.items():
        sets = [
            s for s, n in zip(("train", "validation", "test"), sizes, strict=True) for _ in range(n)
        ]
        table = pd.DataFrame({"id": range(len(sets)), "label": 1, "split": sets})
        splits.append(
            leave(data / name.replace("mnist/splits", "mnist/split"), "").with_suffix(".csv")
        )
        table.to_csv(splits[-1], index=False)
    stores = [
        manifest(
            data / f"oxford102/features/{store}/manifest.json",
            store.partition("/")[0],
            {"name": "x", **({"adapted_on": adapted} if adapted else {})},
            images + 1,
        )
        for store, (images, adapted) in STORES.items()
    ]
    notebook = manifest(
        data / "oxford102/notebook/resnet152_notebook.json",
        "resnet152_notebook",
        {"name": "notebook"},
    )
    images = leave(data / "oxford102/images.csv", "id,label\n1,3\n2,4\n")
    tables = {
        name: leave(results / f"{name}.csv", f"{name}\n") for name in ("comparison", "claims")
    }
    runs = [(model.name, run.name) for model in plan.models for run in model.runs]
    metrics = [
        leave(results / f"runs/{model}/{run}/metrics.csv", ",".join(METRIC_COLUMNS) + "\n")
        for model, run in runs
    ]
    models = [
        {"name": name, "title": name, "framework": "torch", "reported": None, "recipe": "own"}
        | {"runs": {"x": "main"}, "comparable": False, "why_not": "made up"}
        for name in NETS
    ]
    run_rule(
        "record_run",
        Path(),
        input={
            "comparison": tables["comparison"],
            "tables": [*tables.values()],
            "metrics": metrics,
            "splits": splits,
            "images": images,
            "damaged": leave(data / "oxford102/damaged.json", "[17]"),
            "manifests": stores,
            "notebooks": [notebook],
            "config": results / "config.yaml",
            **{name: [] for name in ("histories", "predictions", "names", "left_out")},
            "environments": sorted(ROOT.glob("envs/*.yaml")),
        },
        output={
            "provenance": results / "provenance.json",
            "cards": [results / f"runs/{name}/model_card.md" for name in NETS],
        },
        params={
            **{"project": ROOT, "models": models, "data_title": "", "sources": SOURCES},
            **{"benchmarks": {}, "unfinished": {}, "runs": {}, "splits": []},
        },
    )
    for name in NETS:
        text = (results / f"runs/{name}/model_card.md").read_text()
        assert text == f"card of {name}"
    found = json.loads((results / "provenance.json").read_text())["identity"]
    assert found["forward_passes"] == {
        "resnet152": 21,
        "lite": 21 + 8 + 21 + 4,
        "resnet152_notebook": 2 * 21 + 12 + 2 * 21 + 11,  # the second run on another split
    }
    assert list(found["notebooks"]) == ["resnet152_notebook"]
    assert found["features"]["lite/main"]["damaged"] == [9]
    assert found["damaged"] == [17]
    assert found["downloads"]["mnist/file"] == {"sha256": "1" * 64}
    assert found["images"] == {"oxford102/images.csv": hash_of(images)}
    assert found["results"]["claims.csv"] == hash_of(tables["claims"])
    assert set(found["results"]) == {
        *("comparison.csv", "claims.csv"),
        *(f"runs/{model}/{run}/metrics.csv" for model, run in runs),
    }
    assert {file: each["test"]["images"] for file, each in found["splits"].items()} == {
        "mnist/split.csv": 10,
        "oxford102/splits/main.csv": 4,
        "oxford102/splits/seed-6.csv": 4,
    }
    assert found["seeds"]["flowers.nets.lite.split_seeds"] == [6]
    assert found["seeds"]["flowers.nets.lite.seeds"] == [7]
    assert found["seeds"]["flowers.nets.resnet152.split_seeds"] == []

    recipe, of_mnist, backbone, files = told["numpy_1hidden"]
    assert (recipe["hidden"], backbone) == ([50], None)
    assert of_mnist.images == {"train": 50, "validation": 20, "test": 10}
    assert list(of_mnist.licences) == ["licence of mnist/file"]
    assert files == ["seed-3/model.npz", "seed-4/model.npz"]
    for name in NETS[1:]:
        recipe, of_flowers, backbone, files = told[name]
        assert recipe["epochs"] == 2
        assert backbone.manifest["architecture"] == f"that of {name}"
        assert backbone.weights == f"what {WEIGHTS[name]} is"
        assert backbone.licence == f"licence of {WEIGHTS[name]}"
        assert of_flowers.images == {"train": 12, "validation": 5, "test": 4}
        assert (of_flowers.classes, of_flowers.damaged) == (2, 1)
        assert list(of_flowers.licences) == ["licence of oxford102/file"]
        assert files[0] == "seed-7/model.safetensors"

"""The report's two backbones through the very rules of the full run, on a handful of images."""

import json

import pandas as pd
import pytest


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("model", "parameters", "width"),
    [("resnet152", 60_192_808, 2048), ("convnext_large", 197_767_336, 1536)],
)
def test_backbone_with_random_weights(project, model, parameters, width):
    changes = {
        "models": [model],
        "flowers": {
            "generated": {"kinds": 2, "images_per_kind": 8},
            "split_seeds": [],
            "nets": {model: {"weights": "none"}},
        },
    }
    metrics = f"results/runs/{model}/seed-1/metrics.csv"
    project.snakemake("--", metrics, changes=changes)
    features = project.folder / f"data/generated/features/{model}/all"
    manifest = json.loads((features / "manifest.json").read_text())
    assert manifest["parameters"] == parameters
    assert manifest["width"] == width
    history = pd.read_csv(project.folder / f"results/runs/{model}/seed-1/history.csv")
    assert set(history["split"]) == {"train", "validation", "test"}
    assert history["loss"].notna().all()

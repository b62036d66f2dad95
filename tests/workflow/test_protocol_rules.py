"""Each protocol of the flower nets through the rules, on tiny data."""

import json

import pandas as pd
import pytest


@pytest.mark.heavy
def test_every_protocol_runs_through_the_rules(project):
    protocols = ("frozen", "adapted", "notebook")
    tiny = {
        "architecture": "timm:test_resnet",
        "weights": "none",
        "preprocess": "report",
        "reported": None,
        "recipe": "own",
    }
    nets = {f"tiny_{name}": {**tiny, "title": name, "protocol": name} for name in protocols}
    files = [
        f"results/runs/{net}/{run}/metrics.csv" for net in nets for run in ("seed-1", "split-2")
    ]
    record = "results/provenance.json"
    project.snakemake(
        "--", *files, record, changes={"models": list(nets), "flowers": {"nets": nets}}
    )

    losses = {}
    for net in nets:
        for run in ("seed-1", "split-2"):
            history = pd.read_csv(project.folder / f"results/runs/{net}/{run}/history.csv")
            assert set(history["split"]) == {"train", "validation", "test"}
            losses[net, run] = history["loss"].tolist()
    # A net with BatchNorm: each protocol gives figures of its own, and so does each split.
    assert len({tuple(loss) for loss in losses.values()}) == len(losses)

    features = project.folder / "data/generated/features"
    assert [folder.name for folder in (features / "tiny_frozen").iterdir()] == ["all"]
    adapted = {folder.name for folder in (features / "tiny_adapted").iterdir()}
    assert adapted == {"main", "seed-2"}
    manifest = json.loads((features / "tiny_adapted/main/manifest.json").read_text())
    assert manifest["protocol"]["name"] == "adapted"
    assert not (features / "tiny_notebook").exists()
    notebook = json.loads((features.parent / "notebook/tiny_notebook.json").read_text())
    network = ("architecture", "weights_sha256", "weights_loaded", "width", "preprocess")
    assert {key: notebook[key] for key in network} == {key: manifest[key] for key in network}
    assert json.loads((project.folder / record).read_text())["identity"]["notebooks"] == {
        "tiny_notebook": notebook
    }
    card = (project.folder / "results/runs/tiny_notebook/model_card.md").read_text()
    assert f"random weights; {notebook['parameters']:,} parameters" in card

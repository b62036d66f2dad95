"""Feature extraction in shards, through the rules, on tiny data."""

import shutil

import pytest
import yaml

TINY = {
    "architecture": "timm:test_resnet",
    "weights": "none",
    "preprocess": "report",
    "reported": None,
    "recipe": "own",
}
NETS = {name: {**TINY, "title": name, "protocol": name} for name in ("frozen", "adapted")}
STORES = ("frozen/all", "adapted/main")
PREDICTIONS = [f"results/runs/{net}/seed-1/predictions.npz" for net in NETS]


def changes(shards):
    return {
        "models": list(NETS),
        "flowers": {"shards": shards, "split_seeds": [], "batch_size": 8, "nets": NETS},
    }


def test_shards_can_be_asked_for_by_snakemakes_own_option(project):
    asked = project.planned("--set-scatter", "features=3", "--", *PREDICTIONS, changes=changes(1))
    assert asked["features_frozen"] == asked["features_adapted"] == 3
    assert asked["join_frozen"] == asked["join_adapted"] == asked["adapt_adapted"] == 1
    assert "adapt_frozen" not in asked


def made(project):
    files = [
        project.folder / f"data/generated/features/{store}/{name}"
        for store in STORES
        for name in ("features.npy", "ids.npy", "manifest.json")
    ]
    files += [project.folder / file for file in PREDICTIONS]
    return {str(file.relative_to(project.folder)): file.read_bytes() for file in files}


@pytest.mark.heavy(minutes=3)
def test_one_and_four_shards_give_the_same_bytes(project):
    project.snakemake("--", *PREDICTIONS, changes=changes(1))
    whole = made(project)
    shutil.rmtree(project.folder / "results")
    shutil.rmtree(project.folder / "data/generated/features")

    said = project.snakemake("--", *PREDICTIONS, changes=changes(4))
    assert "frozen on drawn images (all, 3-of-4)" in said
    split = made(project)
    assert [name for name in whole if whole[name] != split[name]] == []
    # What shards left for the join is gone once it is joined.
    assert not list((project.folder / "data/generated/features").rglob("*-of-4/*.npy"))
    assert project.planned("--", *PREDICTIONS, changes=changes(4)) == {}
    benchmarks = project.folder / "benchmarks/features_frozen"
    assert {file.name for file in benchmarks.iterdir()} >= {f"all-{k}-of-4.tsv" for k in (1, 2, 3)}


def test_the_number_of_shards_is_part_of_no_result(project):
    """It says how a run is cut into jobs; provenance compares what is computed."""
    from repro.provenance.record import what_is_computed

    config = yaml.safe_load((project.folder / "config.yaml").read_text())
    more = {**config, "flowers": {**config["flowers"], "shards": 4}}
    assert what_is_computed(more) == what_is_computed(config)
    assert "shards" not in what_is_computed(config)["flowers"]

"""What grows with the number of images, and what does not: jobs, planning, memory."""

import time

import pytest
import yaml

from bench import load

SEEDS = list(range(1, 51))
PLANNING = 15  # seconds


def test_jobs_do_not_depend_on_the_number_of_images(project):
    def planned(images):
        kinds = {"generated": {"kinds": 3, "images_per_kind": images, "seed": 1}}
        return project.planned(changes={"flowers": kinds})

    few = planned(12)
    assert few["features_tiny"] == few["extract_images"] == 1
    assert planned(10_000) == few


@pytest.mark.heavy
def test_fifty_seeds_of_every_default_model_are_planned_in_seconds(project):
    config = yaml.safe_load((project.folder / "config.yaml").read_text())
    nets = {net: {"seeds": SEEDS} for net in config["mnist"]["nets"]}
    changes = {"mnist": {"nets": nets}, "flowers": {"seeds": SEEDS}}
    project.config.write_text("{}")
    started = time.monotonic()
    planned = project.planned("--resources", "gpu=1", "--", "all", changes=changes)
    seconds = time.monotonic() - started
    print(f"{sum(planned.values())} jobs planned in {seconds:.1f} s")
    mnist = [model for model in config["models"] if model in config["mnist"]["nets"]]
    assert [planned[f"train_{model}"] for model in mnist] == [len(SEEDS)] * len(mnist)
    # A flower net's heads, of every seed and split, are one job.
    assert planned["train_resnet152"] == planned["features_resnet152"] == 1
    splits = len(config["flowers"]["split_seeds"])
    assert planned["evaluate"] == len(config["models"]) * len(SEEDS) + 2 * splits
    assert seconds < PLANNING


@pytest.mark.heavy
def test_ten_times_the_images_take_the_same_jobs_and_about_the_same_memory(tmp_path):
    few, many = 2000, 20000
    table = load.run([few, many], tmp_path / "load", 2)
    jobs = load.by_count(table, "jobs").loc["plan"]
    assert jobs[few] == jobs[many]
    grown = {}
    for rule in ("extract_images", "split_images", "layout_images", "features_tiny"):
        peaks = load.by_count(table, "peak_rss_mib").loc[rule]
        grown[rule] = peaks[many] - peaks[few]
    print(f"peak memory grew by, MiB: {grown}")
    # 18,000 more decoded images of the network's input would be 1318 MiB. From run to run a peak
    # differs by a hundred: the C library keeps freed memory in pieces of 64 MiB a thread.
    assert max(grown.values()) < 250
    assert load.page(table, "- A machine.").count("| features_tiny") == 2

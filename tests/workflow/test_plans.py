"""Plans of the shipped configurations, and how mistakes are met."""

import pytest


def test_the_full_run_plans_every_model(project):
    project.config.write_text("{}")
    planned = project.planned("--resources", "gpu=1")
    for model in (
        "numpy_1hidden",
        "numpy_2hidden",
        "torch_2hidden",
        "resnet152",
        "convnext_large",
    ):
        assert planned[f"train_{model}"] >= 1
    assert planned["fetch"] == 8
    assert planned["layout_flowers"] == planned["report"] == 1


def test_demo_plans_without_official_sources(project):
    project.config.write_text((project.folder / "config/demo.yaml").read_text())
    planned = project.planned()
    assert planned["draw_flowers"] == 1
    assert planned["fetch"] == 5
    assert not [rule for rule in planned if "resnet" in rule or "convnext" in rule]


@pytest.mark.fault(
    "configuration", "a wrong key or value", "named with what is allowed, without a traceback"
)
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"modles": 1}, ["unknown key 'modles'", "known are", "models"]),
        ({"models": ["resnet"]}, ["'resnet' is described nowhere"]),
        ({"flowers": {"data": "roses"}}, ["flowers.data: 'roses' needs"]),
        ({"downloads": {"a/b": {"sha": 1}}}, ["a/b", "sha"]),
    ],
)
def test_a_wrong_configuration_is_refused_in_words(project, changes, words, happened):
    output = project.snakemake("-n", changes=changes, ok=False)
    assert "Traceback" not in output
    for word in words:
        assert word in output
    happened("; ".join(words))


@pytest.mark.fault(
    "network",
    "no network, through the workflow with -k",
    "the flowers stop in words; MNIST is finished",
)
def test_no_network_stops_the_flowers_and_not_mnist(project, happened):
    """With every road closed the fetch says so in one message; -k still finishes MNIST."""
    closed = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    changes = {"models": ["numpy_1hidden", "resnet152"], "flowers": {"data": "oxford102"}}
    output = project.snakemake("-k", ok=False, env=closed, changes=changes)
    assert "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/102flowers.tgz" in output
    assert "by hand" in output
    assert "Traceback" not in output
    results = project.folder / "results"
    assert (results / "runs/numpy_1hidden/seed-123/metrics.csv").exists()
    assert (results / "figures/numpy_1hidden/accuracy.png").exists()
    assert not (results / "comparison.csv").exists()
    happened("the message lists the sources and the way by hand; MNIST has its metrics and figures")


def test_runs_from_another_folder(project, tmp_path):
    here = tmp_path / "elsewhere"
    output = project.snakemake("-n", "--directory", str(here), "mnist")
    assert "train_numpy_1hidden" in output

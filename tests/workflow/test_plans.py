"""Plans of the shipped configurations, and how mistakes are met."""

import pytest

from planning import plan
from support import ROOT


def test_the_demo_needs_no_official_source(tmp_path):
    demo = plan(tmp_path / "demo", (ROOT / "config/demo.yaml").read_text())
    assert len(demo.of("draw_flowers")) == 1
    assert len(demo.of("fetch")) == 5
    assert not [job.rule for job in demo.jobs if "resnet" in job.rule or "convnext" in job.rule]


@pytest.mark.fault(
    "configuration", "a wrong key or value", "named with what is allowed, without a traceback"
)
def test_a_wrong_configuration_is_refused_in_words(project, happened):
    changes = {"modles": 1, "flowers": {"batch_size": 0}}
    output = project.snakemake("-n", changes=changes, ok=False)
    assert "Traceback" not in output
    words = ["unknown key 'modles'", "flowers.batch_size: 0"]
    for word in words:
        assert word in output
    happened("; ".join(words))


@pytest.mark.heavy
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

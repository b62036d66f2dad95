import pytest

import bench_flowers
from bench_flowers import Task, Times, flops, page, parse
from photos import make_photos
from repro.features.fusion import TOLERANCE


def test_ratios_are_taken_within_a_round():
    times = Times({"slow": [2.0, 40.0, 6.0], "fast": [1.0, 10.0, 3.0]}, {})
    assert times.ratio("slow", "fast") == 2
    assert times.rate("slow", 12) == 2


@pytest.mark.parametrize(
    ("architecture", "billions"),
    # torchvision's documentation gives 11.51 and 34.36 billion multiply-adds.
    [("torchvision:resnet152", 2 * 11.51), ("torchvision:convnext_large", 2 * 34.36)],
)
def test_operations_are_those_torchvision_states(architecture, billions):
    assert flops(architecture) / 1e9 == pytest.approx(billions, rel=0.01)


def test_the_kept_ways_compute_the_same_features(tmp_path):
    task = Task("torchvision:resnet18", make_photos(tmp_path, 3), 1)
    for contender in (
        bench_flowers.ours,
        bench_flowers.folded,
        bench_flowers.layers_fused,
        bench_flowers.fewer_products,
    ):
        run, error = contender(task)
        run()
        assert error <= TOLERANCE
    assert bench_flowers.bfloat16(task)[1] > TOLERANCE


@pytest.mark.heavy
def test_the_page_has_every_part(tmp_path):
    options = parse(["--nets", "torchvision:resnet18", "--count", "4", "--tried", "bfloat16"])
    options.rounds = options.tried_rounds = options.threads = 1
    options.memory_counts = [4, 8]
    text, seconds = page(options, make_photos(tmp_path, 4))
    assert {row["contender"] for row in seconds} == set(bench_flowers.PASSES)
    assert "| torchvision:resnet18 |" in text
    assert "| bfloat16 " in text
    assert "MiB at 4 images" in text

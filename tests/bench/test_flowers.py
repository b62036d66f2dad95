"""The benchmark of the flower networks: all it compares computes the same, its page is whole."""

import importlib.util

import pandas as pd
import pytest

from bench.flowers import (
    FORWARD,
    FUSED,
    NOTEBOOK,
    ONE_STREAM,
    OPENVINO,
    OURS,
    PLAIN,
    STREAMS,
    Task,
    beside,
    engine,
    engines,
    flops,
    notebook,
    page,
    parse,
    turn,
)
from photos import make_photos
from repro.features.fusion import TOLERANCE, relative_error

NO_OPENVINO = importlib.util.find_spec("openvino") is None


@pytest.mark.parametrize(
    ("architecture", "billions"),
    # torchvision's documentation gives 11.51 and 34.36 billion multiply-adds.
    [("torchvision:resnet152", 2 * 11.51), ("torchvision:convnext_large", 2 * 34.36)],
)
def test_operations_are_those_torchvision_states(architecture, billions):
    assert flops(architecture) / 1e9 == pytest.approx(billions, rel=0.01)


@pytest.mark.parametrize(
    "name",
    [
        PLAIN,
        FUSED,
        pytest.param(
            OPENVINO, marks=pytest.mark.skipif(NO_OPENVINO, reason="OpenVINO is not installed")
        ),
    ],
)
def test_every_engine_computes_the_notebook_s_features(tmp_path, name):
    task = Task("torchvision:resnet18", make_photos(tmp_path, 3), 2)
    ready = engine(name, task)
    for run in ready.turns.values():
        run()
    assert {turn(name, ONE_STREAM), turn(name, STREAMS)} <= set(ready.turns)
    assert relative_error(ready.features, notebook(task).features) <= TOLERANCE


def test_engines_are_compared_each_at_its_better_way():
    seconds = {PLAIN: (8.0, 6.0), FUSED: (4.0, 9.0), OPENVINO: (2.0, 3.0)}
    rows = [
        (number, turn(name, way), number * value)
        for number in (1, 2, 3)
        for name, values in seconds.items()
        for way, value in zip((ONE_STREAM, STREAMS), values, strict=True)
    ]
    times = pd.DataFrame(rows, columns=["round", "contender", "seconds"])
    slower = times.assign(seconds=times["seconds"] * (1 + times["contender"].str.match(OPENVINO)))
    said = beside([times, slower], OPENVINO, [PLAIN, FUSED])
    assert "2.00, 1.00 times as fast, geometric mean 1.41" in said


@pytest.mark.heavy
def test_the_page_has_every_part(tmp_path):
    options = parse(["--nets", "torchvision:resnet18", "--count", "4", "--rounds", "1"])
    options.threads, options.memory_counts = 1, [4, 8]
    text, measured = page(options, make_photos(tmp_path, 4))
    assert set(measured["contender"]) == {NOTEBOOK, OURS, FORWARD}
    assert text.count("| torchvision:resnet18 |") == 1 + len(engines())
    assert ("OpenVINO is not installed here and was left out" in text) == NO_OPENVINO
    assert "MiB at 4 images" in text

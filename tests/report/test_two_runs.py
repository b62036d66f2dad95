"""Two runs beside each other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from repro.differences import differences
from repro.evaluation.names import METRIC_COLUMNS
from repro.predictions import Predictions
from repro.report.two_runs import Results, side_by_side
from support import ROOT, merged

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text()) | {"models": ["numpy_1hidden"]}


def results(
    folder: Path, right: list[int], *, ids: int = 0, changes: dict | None = None
) -> Results:
    """Leave a run of ten test images, of which those named are right; return it as it is read."""
    config = merged(CONFIG, changes or {})
    ours = folder / "runs/numpy_1hidden/seed-123"
    ours.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    taken = np.ones(10, int)
    taken[right] = 0
    Predictions(
        ids=ids + np.arange(10),
        labels=np.zeros(10, int),
        splits=np.full(10, "test"),
        scores=np.eye(2)[taken],
        kind="linear",
        classes=np.arange(2),
    ).save(ours / "predictions.npz")
    accuracy = len(right) / 10
    metrics = [
        ("numpy_1hidden", run, 1, "test", "accuracy", value, 10)
        for run, value in (("seed-1", 0.0), ("seed-123", accuracy))
    ]
    pd.DataFrame(metrics, columns=METRIC_COLUMNS).to_csv(folder / "metrics.csv", index=False)
    row = {"model": "numpy_1hidden", "split": "test", "metric": "accuracy"}
    wilson = {"wilson_low": accuracy - 0.1, "wilson_high": accuracy + 0.1}
    pd.DataFrame([row | wilson]).to_csv(folder / "comparison.csv", index=False)
    return Results.read(folder)


def cells(text: str, name: str) -> list[str]:
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {name} "))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_on_the_same_images_the_difference_has_a_paired_interval(tmp_path):
    nets = {"numpy_1hidden": {"momentum": 0.9}, "wide": {"title": "Wide", "seeds": [1]}}
    changes = {"mnist": {"nets": nets}, "results_dir": "x"}
    a = results(tmp_path / "a", [0, 1, 2, 3])
    b = results(tmp_path / "b", [1, 2, 3, 4, 5, 6], changes=changes)
    text = side_by_side(a, b)
    assert cells(text, "mnist.nets.numpy_1hidden.momentum") == ["", "0.9"]
    assert cells(text, "mnist.nets.wide") == ["", "Wide"]
    assert "results_dir" not in text
    # 3 against 1 of 10: of 12 then 4 and 2.
    half = 195.9964 * np.sqrt((6 / 12 - (2 / 12) ** 2) / 12)
    interval = f"{100 / 6 - half:+.2f} to {100 / 6 + half:+.2f}"
    said = ["40.00", "60.00", "+20.00", interval, "the same images, p = 0.62"]
    assert cells(text, "NumPy, one hidden layer") == said


def test_on_other_images_each_has_its_own(tmp_path):
    a, b = results(tmp_path / "a", [0, 1]), results(tmp_path / "b", [0, 1, 2], ids=5)
    text = side_by_side(a, b)
    assert "The same, but for folders and sources of downloads." in text
    intervals = "10.00\u201330.00 and 20.00\u201340.00"
    said = ["20.00", "30.00", "+10.00", intervals, "other images"]
    assert cells(text, "NumPy, one hidden layer") == said


def test_the_same_numbers_of_another_data_set_are_other_images(tmp_path):
    mine = {"downloads": {"mnist/t10k-images-idx3-ubyte": {"sha256": "0" * 64, "sources": []}}}
    a, b = results(tmp_path / "a", [0]), results(tmp_path / "b", [1], changes=mine)
    assert cells(side_by_side(a, b), "NumPy, one hidden layer")[-1] == "other images"


def test_a_net_of_one_run_alone_is_named(tmp_path):
    a = results(tmp_path / "a", [0, 1])
    b = Results(a.folder, {**a.config, "models": []}, a.comparison, a.metrics)
    said = cells(side_by_side(a, b), "NumPy, one hidden layer")
    assert said == ["20.00", "", "", "", "run in A alone"]
    said = cells(side_by_side(b, a), "NumPy, one hidden layer")
    assert said == ["", "20.00", "", "", "run in B alone"]


def test_differences_are_named_by_their_keys():
    found = differences({"a": {"b": [1], "c": 2}}, {"a": {"b": [1, 2], "c": 2}, "d": 0})
    assert found == [("a.b", ([1], [1, 2])), ("d", (None, 0))]


def test_what_is_no_run_is_named(tmp_path):
    command = [sys.executable, str(ROOT / "scripts/compare_runs.py"), str(tmp_path), "x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (
        f"{tmp_path}/config.yaml: there is no such file; name a folder that a whole run"
        in done.stderr
    )
    assert "Traceback" not in done.stderr

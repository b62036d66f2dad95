"""From a figure back to what it was made of, by `make why`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import yaml

from repro.plan import Plan
from support import ROOT, TELLING

NET = "numpy_2hidden"
PREDICTIONS = f"runs/{NET}/seed-123/predictions.npz"


@pytest.fixture
def results(tmp_path):
    """A folder in which every number and every hash is another."""
    row = {**TELLING, "model": NET, "title": "Two layers", "predictions": PREDICTIONS}
    others = [
        {**row, "split": "train", "mean": 0.7, "where": "part 2"},
        {**row, "metric": "error", "mean": 0.6, "where": "part 3"},
        {**row, "model": "other", "mean": 0.5, "where": "part 4"},
    ]
    pd.DataFrame([*others, row]).to_csv(tmp_path / "comparison.csv", index=False)
    metrics = [
        (NET, "seed-123", "test", "accuracy", 0.92),
        (NET, "seed-1", "test", "accuracy", 0.94),
        (NET, "seed-1", "train", "accuracy", 0.11),
        (NET, "seed-1", "test", "error", 0.12),
        ("other", "seed-1", "test", "accuracy", 0.13),
    ]
    columns = ["model", "run", "split", "metric", "value"]
    pd.DataFrame(metrics, columns=columns).to_csv(tmp_path / "metrics.csv", index=False)
    shutil.copy(ROOT / "config.yaml", tmp_path)
    files = {"mnist/images": "1", "oxford102/102flowers.tgz": "2", "weights/a.pth": "3"}
    identity = {
        "models": {NET: {}},
        "downloads": {name: {"sha256": digit * 64} for name, digit in files.items()},
        "results": {"comparison.csv": "4" * 64, PREDICTIONS: "5" * 64},
        "code": {"commit": "6" * 40, "note": "", "dirty": True, "sha256": "7" * 64},
    }
    (tmp_path / "overview.json").write_text(json.dumps({"report": "The report."}))
    (tmp_path / "provenance.json").write_text(json.dumps({"identity": identity}))
    return tmp_path


def why(results, figure: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts/why.py", figure, "--results", results]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_each_link_is_the_figure_s_own(results):
    said = why(results, f"{NET}/test/accuracy").stdout.splitlines()
    recipe = Plan(yaml.safe_load((ROOT / "config.yaml").read_text())).nets[NET].recipe
    assert f"learning_rate {recipe['learning_rate']}" in said.pop(5)
    assert said == [
        f"{NET}/test/accuracy: differs: higher",
        "The report.",
        "Reported: 91.00, part 1",
        "Runs: seed-123 92.00, seed-1 94.00; mean 93.00",
        "Difference: +2.00 \u00b1 1.30, spread of 20 reference runs; matters from 1.60",
        "Seed and split of the headline: 123, main",
        f"Made of: mnist/images {'1' * 12}",
        f"Predictions: {results}/{PREDICTIONS}, sha256 {'5' * 12}",
        f"Card: {results}/runs/{NET}/model_card.md",
        f"Log: {results}/workflow/logs/train_net/seed-7.log",
        f"Make it again: snakemake --configfile {results}/config.yaml --cores 4 "
        f"--forcerun train_{NET} -- {results}/runs/{NET}/seed-123/metrics.csv",
        f"Code: {'6' * 40}, with changes that are not committed; sha256 {'7' * 12}",
    ]


def test_a_figure_that_is_not_there_is_told_with_those_that_are(results):
    done = why(results, f"{NET}/accuracy/test")
    assert done.returncode == 1
    assert f"has no figure '{NET}/accuracy/test'" in done.stderr
    assert f"  {NET}/test/accuracy" in done.stderr.splitlines()

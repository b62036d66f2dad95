"""The benchmark runs and says what it has to; its figures are another matter."""

from __future__ import annotations

import re
import sys

import pandas as pd
import pytest

import bench_mnist
from bench_mnist import Ratio
from small_mnist import write_small


def test_it_prints_and_writes_times_ratios_and_accuracies(tmp_path, monkeypatch, capsys):
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    write_small(tmp_path / "mnist", {}, train=350, validation=200)
    document, csv = tmp_path / "bench.md", tmp_path / "bench.csv"
    options = ["--data", str(tmp_path / "mnist"), "--epochs", "2"]
    options += ["--output", str(document), "--csv", str(csv)]
    monkeypatch.setattr(sys, "argv", ["bench_mnist.py", *options])

    bench_mnist.main()

    torch.set_num_threads(threads)
    text = document.read_text()
    assert capsys.readouterr().out == text + "\n"
    times = pd.read_csv(csv)
    assert times.groupby("contender").size().tolist() == [2] * 9
    assert (times["epoch"] > 0).all()
    for name in times["contender"].unique():
        assert f"| {name} |" in text
    assert len(re.findall(r"\| (yes|no) \|", text)) == 5
    # The three nets of the same protocol end with the same figures.
    rows = re.findall(r"\| .*float(?:64|32) \| (\d+\.\d\d \| \d+\.\d\d \| \d+\.\d\d) \|", text)
    assert len(rows) == 3
    assert len(set(rows)) == 1


@pytest.mark.parametrize(
    ("ratio", "target", "verdict"),
    [
        (Ratio("", 1.3, at_least=1.3), "at least 1.3", "yes"),
        (Ratio("", 1.29, at_least=1.3), "at least 1.3", "no"),
        (Ratio("", 1.4, at_most=1.4), "at most 1.4", "yes"),
        (Ratio("", 1.41, at_most=1.4), "at most 1.4", "no"),
        (Ratio("", 1.41), "–", "–"),
    ],
)
def test_a_ratio_keeps_to_its_limit(ratio, target, verdict):
    assert (ratio.target, ratio.verdict) == (target, verdict)

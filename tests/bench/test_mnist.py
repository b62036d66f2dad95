"""The benchmark runs and says what it has to; its figures are another matter."""

from __future__ import annotations

import re
import sys

import pandas as pd
import torch

from bench import mnist
from small_mnist import write_small


def test_it_prints_and_writes_times_ratios_and_accuracies(tmp_path, monkeypatch, capsys):
    threads = torch.get_num_threads()
    write_small(tmp_path / "mnist", {}, train=350, validation=200)
    document, csv = tmp_path / "bench.md", tmp_path / "bench.csv"
    options = ["--data", str(tmp_path / "mnist"), "--rounds", "2"]
    options += ["--output", str(document), "--csv", str(csv)]
    monkeypatch.setattr(sys, "argv", ["mnist.py", *options])

    mnist.main()

    torch.set_num_threads(threads)
    text = document.read_text()
    assert capsys.readouterr().out == text
    times = pd.read_csv(csv)
    assert times.groupby("contender").size().tolist() == [2] * 9
    assert (times["epoch"] > 0).all()
    for name in times["contender"].unique():
        assert f"| {name} " in text
    assert len(re.findall(r"\| +(not )?met \|", text)) == 5
    # The three nets of the same protocol end with the same figures.
    rows = re.findall(r"\| .*float(?:64|32) +\| +(\d+\.\d\d \| +\d+\.\d\d \| +\d+\.\d\d) \|", text)
    assert len(rows) == 3
    assert len(set(rows)) == 1


def test_a_ratio_keeps_to_its_limit():
    seconds = {
        mnist.DIRECT: 2.6,
        mnist.OURS64: 2.0,
        mnist.OURS32: 1.0,
        mnist.SKLEARN: 1.4,
        mnist.TORCH: 1.6,
        mnist.FLOOR64: 1.4,
        mnist.FLOOR32: 0.8,
        mnist.SLABS64: 1.0,
        mnist.SLABS32: 1.0,
    }
    rows = [(1, name, value, value) for name, value in seconds.items()]
    times = pd.DataFrame(rows, columns=["round", "contender", "training", "epoch"])
    found = [[row["ratio"], row.get("target"), row.get("verdict")] for row in mnist.ratios(times)]
    assert found == [
        ["1.30", "at least 1.3", "met"],
        ["2.60", "at least 2.2", "met"],
        ["1.40", "at least 1.5", "not met"],
        ["1.43", "at most 1.4", "not met"],
        ["1.25", "at most 1.4", "met"],
        ["2.00", None, None],
        ["1.00", None, None],
    ]

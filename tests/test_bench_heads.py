import numpy as np
import pandas as pd
import pytest

import bench_heads
from bench_heads import RUNS, Case, job_seconds, page, prepare, row_of
from repro.predictions import Predictions
from repro.splits import SPLITS


def test_ratios_are_taken_within_a_round():
    case = Case("net", 2000, 16)
    row = row_of(case, [2.0, 40.0, 6.0], [4.0, 40.0, 24.0])
    assert row == ["net", "2,000", "16", "6.0", "24.0", "2.00", "met", "5.0"]
    assert row_of(case, [1.0], [2.5])[5:7] == ["2.50", "not met"]


def test_every_split_has_its_shares_of_every_image(tmp_path):
    prepare(tmp_path, Case("net", 102, 8), 1)
    tables = [pd.read_csv(tmp_path / f"split_{k}.csv") for k in range(RUNS)]
    for table in tables:
        assert sorted(table["id"]) == list(range(1, 103))
        assert table["split"].value_counts()[list(SPLITS)].tolist() == [51, 25, 26]
    assert not tables[0].equals(tables[1])


@pytest.mark.heavy
def test_the_jobs_train_as_many_heads_as_they_say(tmp_path, monkeypatch):
    case = Case("net", 120, 8)
    prepare(tmp_path, case, 2)
    for runs in (1, 3):
        assert 0 < job_seconds(tmp_path, runs, 2) < 120
        found = [Predictions.load(file) for file in sorted(tmp_path.glob("run_*/predictions.npz"))]
        assert [len(np.unique(one.ids)) for one in found] == [120] * runs
    monkeypatch.setattr(bench_heads, "RUNS", 2)
    text = page([case], threads=2, rounds=1)
    assert "| net " in text
    assert "| 2 runs, s |" in text

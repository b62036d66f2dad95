"""The benchmark of the heads: what its jobs are given, and what they train."""

import numpy as np
import pandas as pd
import pytest

from bench.heads import RUNS, Case, job, measured, page, prepare, row_of
from repro.predictions import Predictions
from repro.splits import SPLITS


def test_a_row_has_the_ratio_of_ten_runs_to_one():
    rows = [
        (number, name, value)
        for name, values in (("one", (2.0, 40.0, 6.0)), ("many", (4.0, 40.0, 24.0)))
        for number, value in enumerate(values)
    ]
    times = pd.DataFrame(rows, columns=["round", "contender", "seconds"])
    row = row_of(Case("net", 2000, 16), times)
    assert list(row.values()) == ["net", "2,000", "16", "6.0", "24.0", "2.00", "met", "5.0"]


def test_every_split_has_its_shares_of_every_image(tmp_path):
    prepare(tmp_path, Case("net", 102, 8), 1)
    tables = [pd.read_csv(tmp_path / f"split_{k}.csv") for k in range(RUNS)]
    for table in tables:
        assert sorted(table["id"]) == list(range(1, 103))
        assert table["split"].value_counts()[list(SPLITS)].tolist() == [51, 25, 26]
    assert not tables[0].equals(tables[1])


@pytest.mark.heavy
def test_the_jobs_train_as_many_heads_as_they_say(tmp_path):
    case = Case("net", 120, 8)
    prepare(tmp_path, case, 2)
    for runs in (1, 3):
        assert 0 < job(tmp_path, runs, 2)["seconds"] < 120
        found = [Predictions.load(file) for file in sorted(tmp_path.glob("run_*/predictions.npz"))]
        assert [len(np.unique(one.ids)) for one in found] == [120] * runs
    times = measured(case, threads=2, rounds=1)
    assert times["contender"].tolist() == ["one", "many"]
    assert f" {RUNS} runs, s " in page([row_of(case, times)], "- A machine.", 1)

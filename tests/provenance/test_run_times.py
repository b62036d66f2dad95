"""Run times from Snakemake's benchmark files: of this run alone, missing values and all."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from repro.errors import UserError
from repro.figures import style as figures
from repro.figures.run_times import duration, run_times
from repro.provenance.run_times import COLUMNS, by_rule, jobs
from scripts_support import run_rule

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
RUNS = {"net": ["seed-1", "seed-2"], "net_long": ["seed-1"]}
OF_ONE_MODEL = {
    "train_net": "net",
    "features_net": "net",
    "train_net_long": "net_long",
    "train_old": "old",
}


def write(folder, name, seconds, rss="100.5", cpu="1.5"):
    file = folder / f"{name}.tsv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{HEADER}{seconds}\t0:00:01\t{rss}\t1\t1\t1\t0\t0\t50\t{cpu}\n")


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, "compare", 1.25, rss="-", cpu="NA")
    write(tmp_path, "fetch/mnist/labels", 1)
    write(tmp_path, "train_net/seed-1", 60, rss="570")
    write(tmp_path, "train_net/seed-2", 64, rss="580")
    write(tmp_path, "train_net_long/seed-1", 180)
    write(tmp_path, "evaluate/net/seed-1", 2)
    write(tmp_path, "plot_mnist/net", 2)
    write(tmp_path, "split_images/main", 0.5)
    # left by other settings, or by a rule that is no more
    write(tmp_path, "train_net/seed-7", 1000)
    write(tmp_path, "evaluate/net/seed-7", 1000)
    write(tmp_path, "evaluate/old/seed-1", 1000)
    write(tmp_path, "train_old", 1000)
    write(tmp_path, "split_images/seed-9", 1000)
    write(tmp_path, "plot_mnist/old", 1000)
    write(tmp_path, "gone", 1000)
    write(tmp_path, "train_net", 1000)
    (tmp_path / "evaluate/net/seed-1.txt").write_text("not a benchmark")
    return tmp_path


def patterns(folder):
    return {
        "compare": f"{folder}/compare.tsv",
        "evaluate": f"{folder}/evaluate/{{model}}/{{run}}.tsv",
        "train_net": f"{folder}/train_net/{{run,seed-[0-9]+}}.tsv",
        "train_net_long": f"{folder}/train_net_long/{{run}}.tsv",
        "train_old": f"{folder}/train_old.tsv",
        "split_images": f"{folder}/split_images/{{split}}.tsv",
        "plot_mnist": f"{folder}/plot_mnist/{{model}}.tsv",
        "fetch": f"{folder}/fetch/{{file}}.tsv",
        "features_net": f"{folder}/features_net/{{cover,all|(seed)-[0-9]{{1,9}}}}.tsv",
    }


def unfinished(folder):
    return {"train_net": f"{folder}/kept/net-{{run}}.npz", "features_net": f"{folder}/{{cover}}"}


def resumed(folder, earlier):
    """Leave what a job leaves whose earlier pieces took so long."""
    (folder / "kept").mkdir(exist_ok=True)
    note = {"earlier_s": earlier, "began": 0}
    (folder / "kept/.net-seed-2.npz.pieces").write_text(json.dumps(note))


def test_a_wildcards_constraint_holds(folder):
    """As where features were made in shards and for another split before, and not any more."""
    for job in ("all", "seed-12", "seed-13", "all-1-of-4"):
        write(folder, f"features_net/{job}", 3)
    jobs_of = found(folder)
    assert list(jobs_of.loc[jobs_of["rule"] == "features_net", "job"]) == ["all", "seed-12"]


def found(folder, runs=RUNS):
    return jobs(patterns(folder), unfinished(folder), runs, ["main", "seed-12"], OF_ONE_MODEL)


class TestJobs:
    def test_only_of_this_run(self, folder):
        table = found(folder)
        assert list(table.columns) == COLUMNS
        assert list(zip(table["rule"], table["job"], strict=True)) == [
            ("compare", ""),
            ("evaluate", "net/seed-1"),
            ("fetch", "mnist/labels"),
            ("plot_mnist", "net"),
            ("split_images", "main"),
            ("train_net", "seed-1"),
            ("train_net", "seed-2"),
            ("train_net_long", "seed-1"),
        ]
        assert table["wall_s"].sum() == pytest.approx(310.75)

    def test_a_model_whose_name_begins_like_an_absent_one_stays(self, folder):
        table = found(folder, {"net_long": ["seed-1"]})
        assert set(table["rule"]) == {"compare", "fetch", "split_images", "train_net_long"}

    def test_a_job_too_short_to_be_sampled(self, folder):
        first = found(folder).iloc[0]
        assert first["wall_s"] == 1.25
        assert np.isnan(first["peak_rss_mib"])
        assert np.isnan(first["cpu_s"])

    def test_a_resumed_job_took_what_all_its_pieces_took(self, folder):
        resumed(folder, 35.25)
        table = found(folder).set_index(["rule", "job"])
        assert table.loc[("train_net", "seed-2"), ["wall_s", "earlier_s"]].tolist() == [
            99.25,
            35.25,
        ]
        assert table.loc[("train_net", "seed-1"), ["wall_s", "earlier_s"]].tolist() == [60, 0]

    def test_a_resumed_job_of_which_only_the_last_piece_is_known(self, folder):
        resumed(folder, None)
        row = found(folder).set_index(["rule", "job"]).loc[("train_net", "seed-2")]
        assert row["wall_s"] == 64
        assert np.isnan(row["earlier_s"])

    def test_no_benchmarks(self, tmp_path):
        assert found(tmp_path / "none").empty

    def test_another_table_is_refused(self, tmp_path):
        (tmp_path / "compare.tsv").write_text("a\tb\n1\t2\n")
        with pytest.raises(UserError, match=r"compare\.tsv: column .* is missing"):
            found(tmp_path)


class TestByRule:
    def test_sum_of_time_and_highest_memory(self, folder):
        table = by_rule(found(folder)).set_index("rule")
        assert table.loc["train_net"].tolist() == [2, 124, 0, 580]
        assert table.index[:2].tolist() == ["train_net_long", "train_net"]


@pytest.mark.usefixtures("style")
class TestFigure:
    def test_longest_on_top_with_its_number_of_jobs(self, folder, tmp_path):
        figure = run_times(by_rule(found(folder)))
        time, memory = figure.axes
        labels = [label.get_text() for label in time.get_yticklabels()]
        assert labels[:2] == ["train_net_long", "train_net \u00d7 2"]
        assert time.yaxis_inverted()
        widths = [bar.get_width() for bar in time.patches]
        assert widths == sorted(widths, reverse=True)
        assert widths[:2] == [180, 124]
        assert [bar.get_width() for bar in memory.patches][:2] == [100.5, 580]
        assert [text.get_text() for text in time.texts][:2] == ["3 min 0 s", "2 min 4 s"]
        assert "(s)" in time.get_xlabel()
        assert "(MiB)" in memory.get_xlabel()
        figures.save(figure, tmp_path / "a.png")

    @pytest.mark.parametrize(
        ("earlier", "text"),
        [(36, "2 min 40 s, resumed"), (None, "2 min 4 s, last piece")],
    )
    def test_a_resumed_job_is_marked(self, folder, earlier, text):
        resumed(folder, earlier)
        time, _ = run_times(by_rule(found(folder))).axes
        assert text in [label.get_text() for label in time.texts]

    def test_nothing_to_draw_is_said(self):
        empty = by_rule(pd.DataFrame(columns=COLUMNS))
        assert "no benchmark" in run_times(empty).texts[0].get_text()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 0 s"),
        (3599.4, "59 min 59 s"),
        (3720, "1 h 2 min"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_the_rule_writes_and_draws_the_jobs_of_this_run(root, folder, tmp_path):
    run_rule(
        "plot_runtime",
        tmp_path,
        input={"style": root / "resources/style.mplstyle"},
        output={"table": tmp_path / "runtime.csv", "runtime": tmp_path / "runtime.png"},
        params={
            "benchmarks": patterns(folder),
            "unfinished": unfinished(folder),
            "runs": RUNS,
            "splits": ["main"],
            "models": OF_ONE_MODEL,
        },
    )
    found = pd.read_csv(tmp_path / "runtime.csv", keep_default_na=False, na_values=[""])
    wanted = jobs(patterns(folder), unfinished(folder), RUNS, ["main"], OF_ONE_MODEL)
    assert found["wall_s"].tolist() == wanted["wall_s"].tolist()
    assert found["job"].fillna("").tolist() == wanted["job"].tolist()
    drawn = (tmp_path / "runtime.svg").read_text()
    assert "train_net \u00d7 2" in drawn
    assert "train_old" not in drawn

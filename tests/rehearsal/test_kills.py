"""A rehearsal's kills and figures, with a small program in Snakemake's place."""

import sys
from pathlib import Path

import pytest

from repro.errors import UserError
from repro.rehearsal import page
from repro.rehearsal.run import JOB, RUN, FeaturesJob, Rehearsal, costs, seconds_an_epoch

# Works on two nets in turn as Snakemake and its jobs do, ten images at a time.
PROGRAM = """
import json, os, sys, time
from pathlib import Path

if "--unlock" in sys.argv:
    sys.exit(0)
for number, net in enumerate("ab"):
    made = Path(net, "features.npy")
    if made.exists():
        continue
    print(f"Job {number}: Features of {net}", flush=True)
    child = os.fork()
    if child:
        if os.waitpid(child, 0)[1]:
            sys.exit(1)
        print(f"Finished jobid: {number} (Rule: features_{net})", flush=True)
        continue
    work = Path(net, "work")
    work.mkdir(parents=True, exist_ok=True)
    Path(net, ".features.npy.lock").write_text(json.dumps({"process": os.getpid()}))
    progress, rows = work / "progress.json", 0
    if progress.exists():
        rows = json.loads(progress.read_text())["rows"]
        Path(net, "log").write_text(f"going on at image {rows} of 100")
    while rows < 100:
        time.sleep(0.15)
        rows += 10
        aside = work / "aside"
        aside.write_text(json.dumps({"rows": rows}))
        aside.replace(progress)
    made.touch()
    progress.unlink()
    os._exit(0)
"""


def rehearsal_in(folder: Path, program: str, kills: tuple[str, ...]) -> Rehearsal:
    file = folder / "program.py"
    file.write_text(program)
    jobs = {
        net: FeaturesJob(folder / net / "work", folder / net / "features.npy", folder / net / "log")
        for net in "ab"
    }
    return Rehearsal([sys.executable, str(file)], folder, jobs, 100, kills, pause=0.05)


def test_each_kill_hits_a_net_that_is_part_done_and_its_cost_is_timed(tmp_path):
    run = rehearsal_in(tmp_path, PROGRAM, (JOB, RUN))
    run.run()
    assert [(kill.what, kill.net) for kill in run.killed] == [(JOB, "a"), (RUN, "b")]
    for kill in run.killed:
        assert 25 <= kill.rows < 100
        assert 0.05 <= kill.lost < 1
        assert kill.at < kill.restarted < kill.went_on <= kill.new_rows < run.ended
    lives = [(life.rule, life.finished) for life in run.lives]
    assert lives == [(f"features_{net}", done) for net in "ab" for done in (False, True)]
    assert all(life.ended > life.started for life in run.lives)


def test_without_kills_there_is_one_start(tmp_path):
    run = rehearsal_in(tmp_path, PROGRAM, ())
    run.run()
    assert run.killed == []
    assert [life.finished for life in run.lives] == [True, True]


def test_a_failure_that_is_no_kill_ends_the_rehearsal(tmp_path):
    with pytest.raises(UserError, match="ended with status 3"):
        rehearsal_in(tmp_path, "raise SystemExit(3)", (JOB,)).run()


def test_a_rules_seconds_are_its_benchmarks_and_its_lives_that_were_killed(tmp_path):
    (tmp_path / "features_a").mkdir()
    (tmp_path / "features_a/all.tsv").write_text("s\tcpu_time\tmax_rss\n50\t90\t1234.5\n")
    lives = [
        {"rule": rule, "message": "", "started": 100.0, "ended": end, "finished": done}
        for rule, end, done in (
            ("features_a", 130.0, False),
            ("features_a", 152.0, True),
            ("report", 107.0, True),
            ("all", 100.0, True),
        )
    ]
    rows = {row["rule"]: row for row in costs(tmp_path, lives, {"report": 9})}
    assert rows["features_a"]["wall_s"] == 80
    assert rows["features_a"]["killed_s"] == 30
    assert (rows["features_a"]["jobs"], rows["features_a"]["peak_rss_mib"]) == (1, 1234.5)
    assert (rows["report"]["wall_s"], rows["report"]["bytes"]) == (7, 9)
    assert rows["report"]["peak_rss_mib"] is None
    assert "all" not in rows


def test_seconds_an_epoch_are_those_between_lines_also_over_midnight(tmp_path):
    log = tmp_path / "log"
    lines = [
        "23:59:00 INFO rehearsal/train_net: seed-1: 8 images",
        "23:59:30 INFO rehearsal/train_net: seed-1 epoch 1: train loss 1",
        "00:00:00 INFO rehearsal/train_net: seed-1 epoch 2: train loss 1",
        "00:00:40 INFO rehearsal/train_net: seed-1 epoch 3: train loss 1",
    ]
    log.write_text("\n".join(lines))
    assert seconds_an_epoch(log) == 35


RECORD = {
    "machine": {
        "processor": "A processor",
        "cores": 2,
        "cards": "none",
        "memory_gib": 8.0,
        "system": "Linux on x86_64",
        "python": "3.11.7",
        "versions": {"torch": "2.0"},
    },
    "made_s": 5.0,
    "made_bytes": 2_500_000_000,
    "run": {
        "wall_s": 1000.0,
        "cores": 2,
        "load": [0.5, 2.0],
        "images": 1000,
        "labels": 102,
        "counts": [4, 30],
        "bytes": 40_000_000,
        "asked": [JOB, RUN],
        "kills": [
            {
                "what": JOB,
                "net": "a",
                "at": 100.0,
                "rows": 250,
                "lost": 8.0,
                "restarted": 104.0,
                "went_on": 120.0,
                "new_rows": 131.5,
            }
        ],
        "nets": {"a": {"before": 4.0, "after": 6.0}},
        "rules": [
            {
                "rule": "features_a",
                "jobs": 1,
                "wall_s": 250.0,
                "killed_s": 30.0,
                "peak_rss_mib": 3000.4,
                "bytes": 8_000_000,
            }
        ],
    },
    "notebook": {
        "images": 100,
        "epochs": 9,
        "whole_images": 8189,
        "whole_epochs": 9,
        "whole_passes": 72000,
        "nets": {"a_notebook": {"job_s": 400.0, "peak_rss_mib": 5000.0, "epoch_s": 50.0}},
    },
}


def test_the_page_holds_what_was_measured():
    text = page.page(RECORD)
    # 1000 images at 5 a second are 200 of 1000 seconds.
    assert "Forward passes are 20 % of that: 3.3 min" in text
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert ["features_a", "1", "250.0", "30.0", "3000", "8.0"] in rows
    assert ["a", "1,000", "250", "4.00", "4.00", "6.00", "80 %"] in rows
    assert [JOB, "a", "250 of 1,000", "8.0", "40", "4.0", "16.0", "27.5"] in rows
    # 72,000 images at 2 a second.
    assert ["a_notebook", "400", "5000", "50.0", "2.00", "10.0 h"] in rows
    assert page.unfinished(RECORD) == [RUN]


def test_without_kills_and_notebook_their_parts_are_left_out():
    text = page.page({**RECORD, "run": {**RECORD["run"], "kills": []}, "notebook": {}})
    assert "What the kills cost" not in text
    assert "notebook" not in text.lower()

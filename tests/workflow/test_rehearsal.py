"""`make rehearse` on some dozens of images: the default run with both big nets, and its page."""

import json
import re
import subprocess
import sys

import pandas as pd
import pytest
import yaml

import rehearse
from repro.comparison.verdict import ClaimVerdict, Verdict
from support import ROOT, merged

IMAGES, NOTEBOOK = 48, 8
# What a rehearsal may change.
OF_SOURCES_AND_FOLDERS = {
    "downloads",
    "data_dir",
    "prepared_dir",
    "results_dir",
    "logs_dir",
    "benchmarks_dir",
    "rehearsal",
}


def test_the_rehearsal_changes_nothing_but_sources_folders_and_the_word():
    default = yaml.safe_load((ROOT / "config.yaml").read_text())
    overlay = yaml.safe_load((ROOT / "config/rehearsal.yaml").read_text())
    found = merged(default, overlay)
    assert {key for key in found if found[key] != default.get(key)} <= OF_SOURCES_AND_FOLDERS
    assert (default["rehearsal"], found["rehearsal"]) == (False, True)
    # Nothing of a real run is touched.
    folders = [key for key in default if key.endswith("_dir")]
    assert all("rehearsal" in found[key].split("/") for key in folders)


@pytest.mark.heavy(minutes=10)
def test_the_default_run_is_rehearsed_with_both_big_nets(project):
    """On a small MNIST, with few epochs and splits."""
    config = small(project)
    (project.folder / "config.yaml").write_text(yaml.safe_dump(config))
    project.config.write_text("{}")
    done = subprocess.run(
        [
            *(sys.executable, "scripts/rehearse.py", "--cores", "2", "--kill"),
            *("--images", str(IMAGES), "--notebook", str(NOTEBOOK), "--output", "REHEARSAL.md"),
        ],
        cwd=project.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    record = json.loads((project.folder / "data/rehearsal/record.json").read_text())
    every_rule_has_run(record, project.planned())
    nothing_is_held_against_the_report(project.folder / "results/rehearsal", config["models"])
    kills_are_timed(record["run"])
    text = (project.folder / "REHEARSAL.md").read_text()
    assert done.stdout.endswith(text)
    tables_are_whole(text, record)


def small(project):
    """Return the default configuration with a small MNIST, few epochs and two splits."""
    tiny = yaml.safe_load(project.config.read_text())
    config = rehearse.read(project.folder / "config.yaml")
    nets = {net: {"epochs": 2, "batch_size": 20, "seeds": [123]} for net in config["mnist"]["nets"]}
    changes = {
        "downloads": tiny["downloads"],
        "mnist": {"split": tiny["mnist"]["split"], "nets": nets},
        "flowers": {"head": {"epochs": 2}, "split_seeds": [2]},
    }
    return merged(config, changes)


def every_rule_has_run(record, planned):
    ran = {row["rule"]: row["jobs"] for row in record["run"]["rules"]}
    assert {"features_resnet152", "features_convnext_large", "write_crate", "report"} <= set(ran)
    assert ran == {rule: jobs for rule, jobs in planned.items() if rule != "all"}


def nothing_is_held_against_the_report(results, models):
    run = pd.read_csv(results / "comparison.csv")
    assert set(run["verdict"]) == {Verdict.NOT_COMPARABLE}
    assert set(run["why_not"]) == {"rehearsal"}
    assert set(run["model"]) == set(models)
    assert all(title.endswith(" (rehearsal)") for title in run["title"])
    assert set(pd.read_csv(results / "claims.csv")["verdict"]) == {ClaimVerdict.CANNOT}
    for model in rehearse.MODELS:
        card = (results / f"runs/{model}/model_card.md").read_text()
        assert "A rehearsal: photographs are drawn" in card
        assert "Drawn images: " in card
        assert "a stand-in for" in card
    page = (results / "REPORT.md").read_text()
    assert "(rehearsal)" in page
    assert "(rehearsal) (rehearsal)" not in page


def kills_are_timed(run):
    # At the faster of its rates: what else the machine does comes and goes.
    rates = run["nets"]["convnext_large"]
    seconds = IMAGES / max(rates["before"], rates["after"])
    print(f"ConvNeXt-Large: {seconds:.0f} s for {IMAGES} images; kills: {run['kills']}")
    # Features are on disk after every ten seconds of work, and a look must fall before the end.
    assert run["kills"] or seconds < 25
    for kill in run["kills"]:
        assert 0 < kill["rows"] < IMAGES
        assert kill["at"] < kill["restarted"] < kill["went_on"] <= kill["new_rows"]


def tables_are_whole(text, record):
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    cells = {row[0]: row[1:] for row in rows if len(row) > 1}
    for row in record["run"]["rules"]:
        jobs, seconds, _, _, disk = cells[row["rule"]]
        assert int(jobs) == row["jobs"]
        assert float(seconds) > 0
        assert float(disk) >= 0
    for model in rehearse.MODELS:
        count, *figures, share = cells[model]
        assert int(count) == IMAGES
        assert all(float(figure) > 0 for figure in figures)
        assert re.fullmatch(r"\d+ %", share)
        *figures, whole = cells[f"{model}_notebook"]
        assert all(float(figure) > 0 for figure in figures)
        assert re.fullmatch(r"\d+\.\d h", whole)

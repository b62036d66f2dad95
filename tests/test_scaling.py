import dataclasses

import pandas as pd
import pytest
import torch

import scaling
from bench_load import COLUMNS
from repro.features import backbones
from scaling import Heads, gathered, hours, limits, page, parse, rates, rounded, size
from support import ROOT


def test_the_document_is_what_the_script_prints():
    """After new measurements: make scaling."""
    assert (ROOT / "docs/SCALING.md").read_text(encoding="utf-8") == page(gathered(parse([])))


def test_rates_are_medians_of_our_own_pass():
    rows = [("resnet152", "this project", n, s) for n, s in enumerate((2.0, 4.0, 32.0))]
    rows.append(("resnet152", "notebook's way", 0, 8.0))
    table = pd.DataFrame(rows, columns=["network", "contender", "round", "seconds"])
    assert rates(table) == {"resnet152": scaling.bench_flowers.NETS["torchvision:resnet152"] / 4}


def test_the_widths_are_those_of_the_networks():
    with torch.device("meta"):
        resnet = backbones.create("torchvision:resnet152")
        convnext = backbones.create("torchvision:convnext_large")
    widths = (resnet.fc.in_features, convnext.classifier[2].in_features)
    assert tuple(scaling.WIDTHS.values()) == widths


def test_memory_of_heads_by_hand():
    # 3 features twice, 2 runs of 5 labels, twice 4 hidden units and twice 5 scores, 4 bytes each.
    assert Heads(runs=2, labels=5, hidden=4).memory(3) == 4 * (3 + 3 + 10 + 8 + 10)


@pytest.mark.parametrize(
    ("count", "text"),
    [(5, "5 B"), (999, "999 B"), (42_113, "42.1 kB"), (8.2e13, "82 TB"), (4.2e16, "42 PB")],
)
def test_sizes_in_words(count, text):
    assert size(count) == text


def test_hours_and_counts_in_words():
    assert [hours(0.014), hours(12.34), hours(123.4)] == ["0.014", "12", "123"]
    assert hours(87_660) == "87,660 (10.0 years)"
    assert rounded(1_234_567) == "1,200,000"


@pytest.fixture
def given():
    """Two counts on exact lines: a second and a MiB for each thousand images."""
    rows = []
    for count in (1000, 3000):
        for rule in (
            "extract_flowers",
            "layout_flowers",
            "features_tiny",
            "train_tiny",
            "evaluate",
        ):
            rows += [
                (count, rule, "wall_s", 5 + count / 1000),
                (count, rule, "peak_rss_mib", 100 + count / 1000),
            ]
        for left in ("images.csv", "predictions.npz"):
            rows.append((count, left, "bytes", 100.0 * count))
        rows += [(count, "data", "inodes", count), (count, "data", "names", 2 * count)]
        rows.append((count, "features.npy", "width", 96))
    known = gathered(parse(["--rate", "resnet152=10", "--shards", "4"]))
    return dataclasses.replace(
        known, load=pd.DataFrame(rows, columns=COLUMNS), cpu={"resnet152": 10.0}
    )


def cell(text, row, column):
    line = next(line for line in text.splitlines() if line.startswith(f"| {row}"))
    return line.split("|")[2 + column].strip()


def test_the_costs_follow_from_the_measurements(given):
    text = page(given)
    assert cell(text, "features of resnet152, 2,048 wide", 0) == "819 MB"
    assert cell(text, "features of convnext_large, 1,536 wide", 2) == "6.14 TB"
    assert cell(text, "features of resnet152, one CPU job", 1) == "278"
    assert cell(text, "the same, resnet152, 4 shards", 1) == "69"
    assert cell(text, "unpack and open (", 1) == "2.8"
    assert cell(text, "unpack and open ", 1) == "2.8"
    assert cell(text, "`images.csv`", 1) == "1 GB"
    assert "No GPU was measured" in text


def test_a_features_job_grows_by_no_less_than_the_table_of_images(given):
    level = given.load["part"].eq("features_tiny") & given.load["quantity"].eq("peak_rss_mib")
    steady = given.load.assign(value=given.load["value"].mask(level, 100.0))
    text = page(dataclasses.replace(given, load=steady))
    assert cell(text, "features, each shard", 2) == "100 GB"
    assert cell(page(given), "features, each shard", 2) == "1.05 TB"


def test_a_gpu_rate_adds_its_rows(given):
    text = page(dataclasses.replace(given, gpu={"resnet152": 1000.0}))
    assert cell(text, "features of resnet152, one GPU", 1) == "2.8"
    assert "No GPU was measured" not in text


def test_a_missing_rate_is_said(given):
    text = page(dataclasses.replace(given, cpu={}))
    assert "docs/bench_flowers.csv` is missing" in text
    assert "one CPU job" not in text


def test_what_gives_way_first_stands_first(given):
    found = limits(given)
    assert [count for count, *_ in found] == sorted(count for count, *_ in found)
    by_name = {(what, why): count for count, what, why in found}
    assert by_name["extract_flowers", "24 hours"] == pytest.approx(1000 * (24 * 3600 - 5))
    assert by_name["extract_flowers", "64 GiB of memory"] == pytest.approx(1000 * (64 * 1024 - 100))
    assert by_name["features of resnet152, one CPU job", "24 hours"] == 864_000
    wide = given.heads.memory(2048)
    assert by_name["heads of resnet152", "64 GiB of memory"] == 64 * 2**30 / wide


def test_a_missing_measurement_is_named(tmp_path):
    with pytest.raises(SystemExit, match="make load"):
        gathered(parse(["--load", str(tmp_path / "absent.csv")]))

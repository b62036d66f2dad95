"""Tables: aligned, narrow, and the same from memory as from a CSV."""

from __future__ import annotations

import io
import math

import pandas as pd
import pytest

from repro.comparison import claims, compare, reported
from repro.comparison.compare import Model
from repro.evaluation.names import METRIC_COLUMNS
from repro.report import markdown
from support import TELLING

ABOVE = {"another_protocol": "Said of another protocol."}


@pytest.fixture(scope="module")
def rows(root) -> pd.DataFrame:
    """A comparison with a run of each kind: compared twice, not comparable, not run."""
    metrics = pd.DataFrame(
        [
            ("net", "seed-1", 1, "test", "accuracy", 0.9454, 10_000),
            ("net", "seed-2", 2, "test", "accuracy", 0.9474, 10_000),
            ("net", "seed-1", 1, "validation", "auc_ovr_softmax", 0.99614, 5_000),
            ("own", "seed-1", 1, "test", "accuracy", 0.875, 1_000),
        ],
        columns=METRIC_COLUMNS,
    )
    runs = {"seed-1": "main", "seed-2": "main"}
    net = Model("net", "Net", "numpy", "numpy_1hidden", "replayed", runs, True, "")
    own = Model("own", "Own", "torch", None, "own", runs, False, "generated data")
    report = reported.load(root / "resources/reported.yaml")
    return compare.compare(metrics, [net, own], report, {})


def test_a_bar_in_a_cell_does_not_end_it():
    table = markdown.markdown(["a", "b"], [["x | y", "1"]], numbers=(1,))
    assert table.splitlines()[-1] == "| x \\| y |  1 |"


def test_markdown_is_aligned():
    table = markdown.markdown(["", "name"], [["1", "a"], ["12345", "bcdef"]], numbers=(0,))
    assert table == ("|       | name  |\n| ----: | ----- |\n|     1 | a     |\n| 12345 | bcdef |\n")


def test_comparison(rows):
    text = markdown.comparison(rows, ABOVE)
    found = [line for line in text.splitlines() if line.startswith("| test accuracy %")]
    cells = [cell.strip() for cell in found[0].split("|")[1:-1]]
    assert cells == [
        "test accuracy %",
        "94.54",
        "94.54",
        "0.00",
        "94.08\u201394.97",
        "to the digit",
    ]
    lines = text.splitlines()
    for title, about in (("Net", "recipe replayed"), ("Own", "generated data")):
        [heading] = [line for line in lines if f"**{title}**" in line and f"*{about}*" in line]
        assert heading.split("|")[1].strip() == f"**{title}**"
    assert " 0.996 |     0.9961 |    +0.0001 |" in text
    assert text.count("not comparable here") == 1
    assert "94.64 \u00b1 0.14" in text


def test_the_legend_is_of_the_metrics_that_are_there(rows):
    own = markdown.comparison(rows, ABOVE)
    assert "of accuracies in percentage points, with what chance\nexplains" in own
    assert "AUC: macro" in own
    errors = rows[rows["metric"] == "accuracy"].assign(metric="error")
    text = markdown.comparison(errors, ABOVE)
    assert "of errors in percentage points" in text
    assert "headline run's error, by" in text
    for word in ("accuracies", "AUC"):
        assert word not in text


def test_what_was_changed_is_shortened_in_the_table_and_whole_below_it(rows):
    long = "other data; changed: hidden [50] → [100]; epochs 50 → 2; split.seed 123 → 7"
    own = rows["title"] == "Own"
    text = markdown.comparison(rows.assign(why_not=rows["why_not"].where(~own, long)), ABOVE)
    assert "| *other data and 3 more*" in text
    assert text.endswith(f"- Own: {long}.\n")
    assert max(len(line) for line in text.splitlines() if line.startswith("|")) <= 115


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("generated data", "generated data"),
        ("changed: hidden [50] → [100]", "changed: hidden [50] → [100]"),
        ("changed: epochs 50 → 2; dtype a → b", "changed: epochs 50 → 2 and 1 more"),
        ("one part, however long it is, stays", "one part, however long it is, stays"),
    ],
)
def test_brief(reason, text):
    assert markdown.brief(reason) == text


def test_each_column_shows_its_own_number():
    text = markdown.comparison(pd.DataFrame([TELLING]), ABOVE)
    figure, spread = (
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in text.splitlines()
        if line.startswith("| test accuracy %")
    )
    shown = ["91.00", "93.00", "+2.00 \u00b1 1.30", "87.00\u201395.00", "differs: higher"]
    assert figure[1:] == shown
    assert spread[1:] == ["3", "92.00", "93.00 \u00b1 0.50", "90.00\u201396.00"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "cannot tell; 7 runs would"),
        ({"runs_needed": math.nan}, "cannot tell, nor would more runs"),
        ({"half_width": math.nan}, "cannot tell: one split"),
        ({"half_width": math.nan, "n_runs": 1}, "cannot tell: one run"),
        ({"verdict": "by another protocol", "protocol": "x"}, "by another protocol: x"),
    ],
)
def test_what_would_tell_stands_with_the_verdict(changes, text):
    row = {**TELLING, "verdict": "cannot tell", "runs_needed": 7.0, **changes}
    assert markdown.figure_cells(row).verdict == text


def test_a_figure_to_the_digit_is_the_headline_s_own():
    row = {**TELLING, "verdict": "to the digit", "difference": 0.01, "half_width": None}
    assert markdown.figure_cells(row)[2:4] == ("92.00", "+1.00")


def test_fits_a_terminal(rows):
    table = [line for line in markdown.comparison(rows, ABOVE).splitlines() if line.startswith("|")]
    assert max(map(len, table)) <= 115


def test_the_same_from_a_csv(rows):
    read_back = pd.read_csv(io.StringIO(rows.to_csv(index=False)))
    assert markdown.comparison(read_back, ABOVE) == markdown.comparison(rows, ABOVE)


def test_no_spread_of_single_runs(rows):
    assert "spread" in markdown.comparison(rows, ABOVE)
    assert "spread" not in markdown.comparison(rows.assign(n_runs=1), ABOVE)


def test_notes_are_of_what_was_run(rows):
    text = markdown.comparison(rows, ABOVE)
    assert "- Net, validation AUC: the report says macro AUC" in text
    assert "ConvNeXt-Large, test" not in text


def test_claims(root):
    judged = claims.judge(reported.load(root / "resources/reported.yaml"), [])
    text = markdown.claims(judged)
    assert text.startswith("|    | verdict")
    assert "**9. ConvNeXt-Large beats ResNet-152: cannot be judged.**" in text
    assert "Needed to judge it: ConvNeXt-Large and ResNet-152 on the report's data, by" in text
    read_back = pd.read_csv(io.StringIO(judged.to_csv(index=False)))
    assert markdown.claims(read_back) == text


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (0.00126, "accuracy", "+0.13"),
        (-0.00126, "accuracy", "-0.13"),
        (-0.00001, "accuracy", "0.00"),
        (0.0, "accuracy", "0.00"),
        (0.00126, "auc_ovr_softmax", "+0.0013"),
        (math.nan, "accuracy", ""),
    ],
)
def test_signed(value, metric, text):
    assert markdown.signed(value, metric) == text


@pytest.mark.parametrize(
    ("value", "metric", "precision", "text"),
    [
        (0.9454, "accuracy", None, "94.54"),
        (0.9, "accuracy", 0.01, "90"),
        (0.9043, "running_accuracy", 0.0001, "90.43"),
        (0.0546, "error", None, "5.46"),
        (0.99614, "auc_ovr_softmax", None, "0.9961"),
        (0.996, "auc_ovr_softmax", 0.001, "0.996"),
        (None, "accuracy", None, ""),
        (math.nan, "accuracy", 0.01, ""),
    ],
)
def test_number(value, metric, precision, text):
    assert markdown.number(value, metric, precision) == text

"""The page of one's own pictures."""

from __future__ import annotations

import pandas as pd
import pytest

from repro.report import pages, pictures

NAMES = {1: "NA", 2: "a$b$", 3: "Zwerg"}
RECORD = {"identity": {"damaged": ["NA/cut.jpg"], "features": {}}}


@pytest.fixture
def told(tmp_path):
    """Two classes with four test pictures each, a third in training only; three mistakes."""
    rows = [(1, 1), (1, 2), (1, 2), (1, 1), (2, 2), (2, 2), (2, 1), (2, 2)]
    test = [("test", *row) for row in rows]
    every = pd.DataFrame([*test, ("train", 3, 3)], columns=["split", "true", "predicted"])
    counts = pd.DataFrame(rows, columns=["true", "taken_for"]).value_counts()
    confusion = counts.rename("count").reset_index().assign(n=4)
    per_class = pd.DataFrame(
        {"label": [1, 2, 3], "precision": [2 / 3, 0.6, None], "recall": [0.5, 0.75, None]}
    )
    tables = {
        "predictions": every,
        "confusion": confusion.assign(taken_for_name=confusion["taken_for"].map(NAMES)),
        "per_class": per_class.assign(f1=per_class["recall"], n=[4, 4, 0]),
    }
    for name, table in tables.items():
        for column, names in (("true", "true_name"), ("label", "name")):
            if column in table:
                table[names] = table[column].map(NAMES)
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    return pictures.read(
        "Net", *(tmp_path / f"{name}.csv" for name in ("predictions", "per_class", "confusion"))
    )


def test_what_it_says_first(told):
    aside = {"skipped": {}, "only_trained_on": {"Zwerg": 1}, "passed_over": {".db": 2}}
    assert pictures.sentences([told], RECORD, aside) == [
        "9 pictures of 3 classes: 1 to train on, 0 for validation, 8 to test on.",
        "Net gives 5 of 8 test pictures the right name: 62.5 % (95 % interval 30.6–86.3 %).",
        "Most often confused: NA taken for a$b$ (2 of 4).",
        "In training only, too few pictures for three sets, so no figure tells how well they are "
        "known: Zwerg (1).",
        "Files passed over, being no pictures or in no class: 2 .db.",
        "Left out of the data as damaged: 1 image (NA/cut.jpg).",
        pictures.NONE_OF_THEM,
    ]


def test_its_table(told, root):
    assert [[cell.text for cell in row] for row in told.rows()] == [
        ["NA", "0", "0", "4", "50", "67", "a$b$ (2)"],
        ["a$b$", "0", "0", "4", "75", "60", "NA (1)"],
        ["Zwerg", "1", "0", "0", "–", "–", ""],
    ]
    look = pages.templates((root / "resources/page").glob("*"))
    page = pictures.page([told], ["All <is> well."], look)
    assert pictures.TITLE in page
    assert "All &lt;is&gt; well." in page
    assert page.count("<tr data-sort") == 3

"""The page of one's own pictures: how many get the right name, class by class, and which do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from jinja2 import Environment

from repro.comparison.statistics import wilson
from repro.report import markdown as tables
from repro.report.pages import Cell
from repro.report.summary import left_out, listed
from repro.splits import SPLITS
from repro.system.tables import read_csv

TITLE = "Your pictures, and the names they get"
NONE_OF_THEM = (
    "A picture that shows none of these classes gets one of their names all the same: nothing here "
    "tells that it shows none."
)
_MOST_PAIRS = 5
_NAMED = 20


@dataclass(frozen=True)
class Told:
    """What a net's headline run has left on the pictures.

    Attributes:
        title: the net's.
        predictions: predictions.csv, every picture.
        per_class: per_class.csv, of the test set.
        confusion: confusion.csv, of the test set.
    """

    title: str
    predictions: pd.DataFrame
    per_class: pd.DataFrame
    confusion: pd.DataFrame

    def counts(self) -> dict[str, int]:
        """Return the number of pictures in each set."""
        sets = self.predictions["split"].value_counts()
        return {name: int(sets.get(name, 0)) for name in SPLITS}

    def accuracy(self) -> str:
        """Return the test accuracy in a sentence."""
        test = self.predictions[self.predictions["split"] == "test"]
        right, n = int((test["true"] == test["predicted"]).sum()), len(test)
        low, high = wilson(right / n, n)
        return (
            f"{self.title} gives {right:,} of {n:,} test pictures the right name: "
            f"{100 * right / n:.1f} % (95 % interval {100 * low:.1f}\u2013{100 * high:.1f} %)."
        )

    def pairs(self) -> list[str]:
        """Return the confusions that happened most often, each in words."""
        wrong = self.confusion[self.confusion["true"] != self.confusion["taken_for"]]
        wrong = wrong[wrong["count"] > 1].sort_values(
            ["count", "n", "true"], ascending=[False, True, True]
        )
        return [
            f"{_name(row, 'true')} taken for {_name(row, 'taken_for')} "
            f"({row['count']} of {row['n']})"
            for row in wrong.head(_MOST_PAIRS).to_dict("records")
        ]

    def rows(self) -> list[list[Cell]]:
        """Return a line of the table for each class."""
        sets = pd.crosstab(self.predictions["true"], self.predictions["split"])
        sets = sets.reindex(columns=SPLITS, fill_value=0)
        wrong = self.confusion[self.confusion["true"] != self.confusion["taken_for"]]
        found = []
        for row in self.per_class.to_dict("records"):
            label = row["label"]
            own = wrong[wrong["true"] == label].sort_values("count", ascending=False)
            others = [
                f"{_name(each, 'taken_for')} ({each['count']})" for each in own.to_dict("records")
            ]
            found.append(
                [
                    Cell(str(row.get("name", label)), label),
                    *(Cell(f"{sets.loc[label, name]:,}") for name in SPLITS),
                    _share(row["recall"]),
                    _share(row["precision"]),
                    Cell(", ".join(others), int(own["count"].sum())),
                ]
            )
        return found


def read(title: str, predictions: str, per_class: str, confusion: str) -> Told:
    """Read a run's tables."""
    return Told(title, *map(read_csv, (predictions, per_class, confusion)))


def _name(row: Mapping[str, Any], side: str) -> str:
    return str(row.get(f"{side}_name", row[side]))


def _share(value: float) -> Cell:
    return Cell("\u2013", -1) if tables.missing(value) else Cell(f"{100 * value:.0f}", value)


def sentences(
    told: Sequence[Told], record: Mapping[str, Any], aside: Mapping[str, Any]
) -> list[str]:
    """Return what came of it, in sentences.

    Args:
        told: a net each.
        record: provenance.json.
        aside: what was passed over, skipped or only trained on (``left_out.json``), or nothing.
    """
    first = told[0]
    sets, classes = first.counts(), first.predictions["true"].nunique()
    found = [
        f"{sum(sets.values()):,} pictures of {classes:,} classes: {sets['train']:,} to train on, "
        f"{sets['validation']:,} for validation, {sets['test']:,} to test on."
    ]
    for net in told:
        pairs = net.pairs()
        worst = f"Most often confused: {listed(pairs)}." if pairs else "No two are confused twice."
        found += [net.accuracy(), worst]
    return [*found, *_aside(aside), *left_out(record), NONE_OF_THEM]


def _aside(aside: Mapping[str, Any]) -> list[str]:
    found = []
    if skipped := aside.get("skipped"):
        found.append(f"Left out, too few pictures for three sets: {_counted(skipped)}.")
    if only := aside.get("only_trained_on"):
        found.append(
            f"In training only, too few pictures for three sets, so no figure tells how well they "
            f"are known: {_counted(only)}."
        )
    if passed := aside.get("passed_over"):
        each = ", ".join(f"{count:,} {what}" for what, count in sorted(passed.items()))
        found.append(f"Files passed over, being no pictures or in no class: {each}.")
    return found


def _counted(classes: Mapping[str, int]) -> str:
    named = ", ".join(f"{name} ({count})" for name, count in [*classes.items()][:_NAMED])
    return named + (f" and {len(classes) - _NAMED} more" if len(classes) > _NAMED else "")


def page(told: Sequence[Told], said: Sequence[str], look: Environment) -> str:
    """Return the page: the sentences, then a table of classes for each net."""
    return look.get_template("pictures.html.j2").render(
        title=TITLE, sentences=said, nets=[(net.title, net.rows()) for net in told]
    )


def markdown(
    told: Sequence[Told],
    said: Sequence[str],
    figures: Mapping[str, Mapping[str, str]],
    origin: Sequence[str],
) -> str:
    """Return the same as one plain Markdown document, figures linked."""
    parts = [f"# {TITLE}", "\n".join(f"- {sentence}" for sentence in said)]
    for net in told:
        header = ["class", *SPLITS, "found %", "right %", "taken for"]
        lines = [[cell.text for cell in row] for row in net.rows()]
        parts += [
            f"## {net.title}",
            tables.markdown(header, lines, numbers=range(1, 6)).rstrip(),
            "\n".join(f"- [{name}]({path})" for name, path in figures.get(net.title, {}).items()),
        ]
    parts += ["## Provenance", "\n".join(f"- {sentence}" for sentence in origin)]
    return "\n\n".join(part for part in parts if part) + "\n"

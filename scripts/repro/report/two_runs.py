"""Two runs beside each other: what of the configuration differs, and what of the figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd
import yaml

from repro.comparison import against
from repro.differences import differences
from repro.errors import unreadable
from repro.plan import PREDICTIONS, Model, Plan
from repro.predictions import Predictions
from repro.provenance.record import what_is_computed
from repro.report.markdown import between, markdown, number
from repro.report.summary import plain
from repro.system.tables import read_csv


@dataclass(frozen=True)
class Results:
    """What a run has left in a folder."""

    folder: Path
    config: Mapping[str, Any]
    comparison: pd.DataFrame
    metrics: pd.DataFrame

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a folder of results; raise UserError where it is none."""
        try:
            config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
            tables = (read_csv(folder / f"{name}.csv") for name in ("comparison", "metrics"))
            return cls(folder, config, *tables)
        except OSError as error:
            way_out = "name a folder that a whole run has left"
            raise unreadable(folder, "the results of a whole run", way_out, error) from error

    @property
    def models(self) -> dict[str, Model]:
        """The models that ran, by name."""
        return {model.name: model for model in Plan(self.config).models}

    def predictions(self, model: Model) -> Predictions:
        """Return those of a model's headline run."""
        run = self.folder / "runs" / model.name / model.headline.name
        return Predictions.load(run / PREDICTIONS)

    def accuracy(self, model: Model) -> float:
        """Return the test accuracy of a model's headline run, a fraction."""
        rows = self.metrics.set_index(["model", "run", "split", "metric"])["value"]
        return float(rows[(model.name, model.headline.name, "test", "accuracy")])

    def interval(self, model: Model) -> str:
        """Return Wilson's interval of it, in percent; nothing where the table has none."""
        rows = self.comparison
        row = rows[(rows["model"] == model.name) & (rows["split"] == "test")]
        row = row[row["metric"] == "accuracy"]
        if row.empty:
            return ""
        low, high = row[["wilson_low", "wilson_high"]].iloc[0]
        return between(low, high, "accuracy")


def side_by_side(a: Results, b: Results) -> str:
    """Return as Markdown what of the configuration and of the test accuracies differs."""
    keys = differences(what_is_computed(a.config), what_is_computed(b.config))
    parts = [
        f"# {a.folder} beside {b.folder}",
        "## Configuration",
        markdown(["key", "A", "B"], [[key, *map(_said, pair)] for key, pair in keys], ())
        if keys
        else "The same, but for folders and sources of downloads.",
        "## Test accuracy %, headline runs",
        markdown(
            ["net", "A", "B", "B minus A", "95 % interval", "of"], _accuracies(a, b), (1, 2, 3, 4)
        ),
        "Of the same images: the paired interval of the difference (Bonett and Price 2012), "
        "McNemar's exact p.\nOf other images: Wilson's interval of each; where the two do not "
        "meet, the draw of the images does not explain it.",
    ]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _said(value: Any) -> str:
    """Return a value in words; of a net that only one run describes, its title."""
    if isinstance(value, Mapping) and "title" in value:
        return str(value["title"])
    return "" if value is None else plain(value)


def _accuracies(a: Results, b: Results) -> list[list[str]]:
    ours, theirs = a.models, b.models
    rows = [_row(a, ours[name], b, theirs[name]) for name in ours if name in theirs]
    for run, own, others, column in ((a, ours, theirs, 0), (b, theirs, ours, 1)):
        for name in [name for name in own if name not in others]:
            cells = ["", ""]
            cells[column] = number(run.accuracy(own[name]), "accuracy")
            rows.append([own[name].title, *cells, "", "", f"run in {'AB'[column]} alone"])
    return rows


def _row(a: Results, one: Model, b: Results, other: Model) -> list[str]:
    first, second = a.accuracy(one), b.accuracy(other)
    cells = [one.title, number(first, "accuracy"), number(second, "accuracy")]
    cells.append(f"{100 * (second - first):+.2f}")
    pair = b.predictions(other), a.predictions(one)
    if _same_images(a, b, one.part, *pair):
        found = against.row({}, *pair)
        interval = f"{found['low_pp']:+.2f} to {found['high_pp']:+.2f}"
        return [*cells, interval, f"the same images, p = {found['p']:.2g}"]
    return [*cells, f"{a.interval(one)} and {b.interval(other)}", "other images"]


def _same_images(a: Results, b: Results, part: str, *predictions: Predictions) -> bool:
    """Whether two runs tested on the same images: of the same files, with the same numbers."""
    files = [
        (what_is_computed(run.config)["downloads"], run.config[part].get("data")) for run in (a, b)
    ]
    tests = [each.of("test") for each in predictions]
    sets = [sorted(zip(test.ids, test.classes[test.labels], strict=True)) for test in tests]
    return files[0] == files[1] and sets[0] == sets[1]

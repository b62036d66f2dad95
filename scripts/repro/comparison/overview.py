"""What stands above the figures: the report's order of models, and whether machines agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from repro.comparison.compare import Model
from repro.comparison.reference import Reference, agreement
from repro.comparison.reported import Figure, Report
from repro.evaluation.names import ERROR


def overview(
    metrics: pd.DataFrame,
    models: Sequence[Model],
    report: Report,
    references: Mapping[str, Reference],
) -> dict[str, Any]:
    """Return what is judged, ``orders``, one a part of it, ``agreement`` by the model's title.

    Args:
        metrics: metrics.csv, all runs.
        models: those that were run.
        report: what is held against them.
        references: reference runs by the reported model's id.
    """
    own = [model for model in models if model.comparable and model.reported]
    orders = [_order(metrics, [m for m in own if m.part == part], report) for part in report.parts]
    return {
        "report": report.about.sentence,
        "another_protocol": report.about.another_protocol,
        "orders": [order for order in orders if order],
        "agreement": {
            model.title: agreement(
                reference,
                _shown(metrics, model, report),
                model.framework == "numpy",
            )
            for model in own
            if (reference := references.get(model.reported or ""))
        },
        "made_on": list(dict.fromkeys(references[key].machine for key in references)),
    }


def _shown(metrics: pd.DataFrame, model: Model, report: Report) -> pd.DataFrame:
    """Return the headline's figures that the report has too."""
    own = metrics[(metrics["model"] == model.name) & (metrics["run"] == model.headline)]
    figures = pd.DataFrame(
        [(figure.split, figure.metric) for figure in report.figures_of(model.reported or "")],
        columns=["split", "metric"],
    )
    return own.merge(figures)


def _order(metrics: pd.DataFrame, models: Sequence[Model], report: Report) -> dict[str, Any] | None:
    """Return in how many combinations of runs the models of a part are in the report's order.

    They are ordered by the report's first figure of the test set, the best first. Runs on the same
    split are set beside each other in every combination.

    Returns:
        ``models`` (titles, the best first), ``metric``, ``held`` in how many ``of``
        combinations; None where the report orders fewer than two of them.
    """
    ranked = _ranked(models, report)
    if len(ranked) < 2:
        return None
    metric = ranked[0][1].metric
    test = metrics[(metrics["split"] == "test") & (metrics["metric"] == metric)]
    values = test.set_index(["model", "run"])["value"]
    held = of = 0
    for split in dict.fromkeys(split for model, _ in ranked for split in model.runs.values()):
        on_it = [
            [values[model.name, run] for run, on in model.runs.items() if on == split]
            for model, _ in ranked
        ]
        grids = np.meshgrid(*on_it, indexing="ij")
        leads = [_sign(metric) * (better - worse) > 0 for better, worse in pairwise(grids)]
        held += int(np.logical_and.reduce(leads).sum())
        of += grids[0].size
    titles = [model.title for model, _ in ranked]
    return {"models": titles, "metric": metric, "held": held, "of": of}


def _ranked(models: Sequence[Model], report: Report) -> list[tuple[Model, Figure]]:
    found: list[tuple[Model, Figure]] = []
    for model in models:
        figures = [
            figure
            for figure in report.figures_of(model.reported or "")
            if figure.split == "test"
            and figure.protocol == model.protocol
            and figure.metric == (found[0][1].metric if found else figure.metric)
        ]
        found += [(model, figure) for figure in figures[:1]]
    return sorted(found, key=lambda pair: -_sign(pair[1].metric) * pair[1].value)


def _sign(metric: str) -> int:
    """Return 1 where more is better, -1 where less is."""
    return -1 if metric == ERROR else 1

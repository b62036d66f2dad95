"""From a figure back to what it was made of: report, recipe, runs, hashes, code, log."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from repro.errors import UserError
from repro.plan import Plan
from repro.report import markdown
from repro.report.summary import plain
from repro.system.files import read_json
from repro.system.tables import read_csv

_WAY_OUT = "name the folder of a finished run: make why FIGURE=... RESULTS=results"
_SHOWN = 12  # digits of a hash


def chain(results: Path, figure: str) -> list[str]:
    """Return the links of a figure's chain, a line each.

    Args:
        results: the folder of a finished run.
        figure: MODEL/SET/METRIC as in comparison.csv, e.g. "torch_2hidden/test/accuracy".

    Raises:
        UserError: the folder holds no finished run, or the run has no such figure.
    """
    record = read_json(results / "provenance.json", _WAY_OUT)
    identity = record["identity"]
    rows = read_csv(results / "comparison.csv")
    names = rows["model"] + "/" + rows["split"] + "/" + rows["metric"]
    if figure not in set(names):
        known = "\n".join(f"  {name}" for name in names)
        raise UserError(f"{results} has no figure {figure!r}; it has\n{known}")
    row = rows[names == figure].iloc[0].to_dict()
    said = [f"{figure}: {markdown.verdict(row)}", *_of_report(results, row)]
    if row["model"] not in identity["models"]:
        return said
    metrics = read_csv(results / "metrics.csv")
    plan = Plan(yaml.safe_load((results / "config.yaml").read_text(encoding="utf-8")))
    return [
        *said,
        *_of_runs(row, metrics),
        *_of_making(results, row, plan, identity),
        *_of_code(identity["code"]),
    ]


def _of_report(results: Path, row: Mapping[str, Any]) -> list[str]:
    if markdown.missing(row["reported"]):
        return [f"Report: has no such figure ({row['why_not']})"]
    about = read_json(results / "overview.json", _WAY_OUT)["report"]
    printed = markdown.number(row["reported"], row["metric"], row["reported_precision"])
    note = "" if markdown.missing(row["note"]) else f"; {row['note']}"
    why = "" if markdown.missing(row["why_not"]) else f"; not held against it: {row['why_not']}"
    return [about, f"Reported: {printed}, {row['where']}{note}{why}"]


def _of_runs(row: Mapping[str, Any], metrics: pd.DataFrame) -> list[str]:
    own = metrics[
        (metrics["model"] == row["model"])
        & (metrics["split"] == row["split"])
        & (metrics["metric"] == row["metric"])
    ]
    runs = [
        f"{run} {markdown.number(each, row['metric'])}"
        for run, each in own[["run", "value"]].values
    ]
    lines = [f"Runs: {', '.join(runs)}; mean {markdown.number(row['mean'], row['metric'])}"]
    if not markdown.missing(row["difference"]):
        matters = markdown.number(row["margin"], row["metric"])
        spread = "" if markdown.missing(row["spread_of"]) else f", spread of {row['spread_of']}"
        lines.append(f"Difference: {markdown.difference(row)}{spread}; matters from {matters}")
    return lines


def _of_making(
    results: Path, row: Mapping[str, Any], plan: Plan, identity: Mapping[str, Any]
) -> list[str]:
    name = row["model"]
    model = plan.nets[name]
    net = ", ".join(f"{key} {plain(value)}" for key, value in model.recipe.items())
    head = plan.config["flowers"]["head"] if model.part == "flowers" else {}
    data = "mnist" if model.part == "mnist" else plan.config["flowers"]["data"]
    hashes = [
        f"{file} {known['sha256'][:_SHOWN]}"
        for file, known in identity["downloads"].items()
        if Path(file).parts[0] == data or file in model.weights
    ]
    again = f"{results}/runs/{name}/{model.headline.name}/metrics.csv"
    return [
        f"Recipe: {net}{f'; head {plain(head)}' if head else ''}",
        f"Seed and split of the headline: {model.headline.seed}, {model.headline.split}",
        f"Made of: {', '.join(hashes) or 'drawn data'}",
        f"Predictions: {results}/{row['predictions']}, sha256 "
        f"{identity['results'][row['predictions']][:_SHOWN]}",
        f"Card: {results}/runs/{name}/model_card.md",
        f"Log: {results}/{row['log']}",
        f"Make it again: snakemake --configfile {results}/config.yaml --cores 4 "
        f"--forcerun train_{name} -- {again}",
    ]


def _of_code(code: Mapping[str, Any]) -> list[str]:
    commit = code["commit"] or code["note"]
    state = ", with changes that are not committed" if code["dirty"] else ""
    return [f"Code: {commit}{state}; sha256 {code['sha256'][:_SHOWN]}"]

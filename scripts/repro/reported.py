"""The report as data: its figures, its curves, its claims in words."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from repro.errors import UserError
from repro.predictions import SPLITS

RECIPES = ("stated", "replayed", "inferred")
_UNITS = {"percent": 100.0, "fraction": 1.0}


@dataclass(frozen=True)
class ReportedModel:
    """A model of the report: its title, part, number of epochs and, where known, its curve."""

    id: str
    title: str
    part: str
    epochs: int
    recipe: str
    curve: Path | None
    curve_note: str


@dataclass(frozen=True)
class Figure:
    """One number of the report.

    Attributes:
        printed: as it stands in the report, e.g. "94.54".
        value: the same as a fraction, e.g. 0.9454.
        precision: size of its last printed digit as a fraction, e.g. 0.0001; None where the
            report gave the value in words.
    """

    id: str
    model: str
    split: str
    metric: str
    printed: str
    value: float
    precision: float | None
    where: str
    recipe: str
    note: str


@dataclass(frozen=True)
class Claim:
    """One claim in words, with the parameters that its test needs."""

    number: int
    text: str
    models: tuple[str, ...]
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Report:
    """All that the report states, as far as this project judges it."""

    models: dict[str, ReportedModel]
    figures: tuple[Figure, ...]
    claims: tuple[Claim, ...]

    def figures_of(self, model: str) -> tuple[Figure, ...]:
        """Return the figures of one model in the order of the file."""
        return tuple(figure for figure in self.figures if figure.model == model)


def load(path: str | os.PathLike[str]) -> Report:
    """Read ``reported.yaml``.

    Paths of curves in it are relative to its folder.

    Raises:
        UserError: where the file cannot be read or an entry is not what it must be.
    """
    path = Path(path)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read as YAML ({error}); restore it from git") from error
    try:
        models = {key: _model(key, entry, path.parent) for key, entry in data["models"].items()}
        figures = tuple(_figure(entry) for entry in data["figures"])
        claims = tuple(_claim(entry) for entry in data.get("claims", ()))
        _check(models, figures, claims)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: {_reason(error)}; see the comment at its head") from error
    return Report(models, figures, claims)


def _reason(error: Exception) -> str:
    return f"key {error} is missing" if isinstance(error, KeyError) else str(error)


def _model(key: str, entry: dict[str, Any], folder: Path) -> ReportedModel:
    curve = entry.get("curve")
    return ReportedModel(
        id=key,
        title=entry["title"],
        part=entry["part"],
        epochs=int(entry["epochs"]),
        recipe=_one_of(entry["recipe"], RECIPES, f"recipe of {key}"),
        curve=folder / curve if curve else None,
        curve_note=entry.get("curve_note", ""),
    )


def _figure(entry: dict[str, Any]) -> Figure:
    name = entry["id"]
    unit = _UNITS[_one_of(entry["unit"], tuple(_UNITS), f"unit of {name}")]
    printed = entry["printed"]
    if not isinstance(printed, str):
        raise ValueError(f"printed of {name} is {printed!r}, expected text in quotes")
    precision = entry["precision"]
    digits = len(printed.partition(".")[2])
    if precision is not None and abs(precision - 10.0**-digits) > 1e-12:
        raise ValueError(f"precision of {name} is {precision}, but it is printed as {printed}")
    return Figure(
        id=name,
        model=entry["model"],
        split=_one_of(entry["split"], SPLITS, f"split of {name}"),
        metric=entry["metric"],
        printed=printed,
        value=float(printed) / unit,
        precision=None if precision is None else precision / unit,
        where=entry["where"],
        recipe=_one_of(entry["recipe"], RECIPES, f"recipe of {name}"),
        note=entry.get("note", ""),
    )


def _claim(entry: dict[str, Any]) -> Claim:
    return Claim(
        number=int(entry["number"]),
        text=entry["text"],
        models=tuple(entry["models"]),
        parameters=dict(entry.get("parameters", {})),
    )


def _one_of(value: str, allowed: tuple[str, ...], what: str) -> str:
    if value not in allowed:
        raise ValueError(f"{what} is {value!r}, expected one of {', '.join(allowed)}")
    return value


def _check(
    models: dict[str, ReportedModel], figures: tuple[Figure, ...], claims: tuple[Claim, ...]
) -> None:
    named = {figure.model for figure in figures}.union(*(claim.models for claim in claims))
    if strange := named - set(models):
        raise ValueError(f"unknown model {sorted(strange)[0]!r}, expected one of {list(models)}")
    everything: dict[str, list[Any]] = {
        "figure id": [figure.id for figure in figures],
        "figure": [(figure.model, figure.split, figure.metric) for figure in figures],
        "claim number": [claim.number for claim in claims],
    }
    for what, keys in everything.items():
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise ValueError(f"{what} {twice[0]!r} stands twice")


def read_history(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a history or curve CSV.

    Returns:
        Columns epoch (int), split (str), accuracy (fraction) and loss (NaN where not known).

    Raises:
        UserError: where the file is not that.
    """
    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as CSV ({error})") from error
    if missing := {"epoch", "split", "accuracy"} - set(frame.columns):
        raise UserError(f"{path}: column {sorted(missing)[0]!r} is missing; found {list(frame)}")
    if strange := set(frame["split"]) - set(SPLITS):
        raise UserError(f"{path}: unknown split {sorted(strange)[0]!r}, expected one of {SPLITS}")
    if "loss" not in frame.columns:
        frame["loss"] = float("nan")
    return frame

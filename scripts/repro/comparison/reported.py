"""A report as data: its figures, its curves, its claims in words."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

from repro.errors import UserError, own_words, unreadable
from repro.evaluation.names import in_percent, reportable
from repro.splits import SPLITS

RECIPES = ("stated", "replayed", "inferred")
PARTS = ("mnist", "flowers")
PROTOCOLS = ("frozen", "adapted", "notebook")
# What a claim's `test` may name, with the parameters each takes. The tests are in
# repro.comparison.claims, which needs libraries that reading this file does not.
CLAIM_TESTS: dict[str, dict[str, type]] = {
    "stay_close": {"points": float},
    "keep_rising": {},
    "level_off": {"epochs": int, "points": float},
    "aucs_about": {"auc": float, "within": float},
    "losses_fall": {
        "rise_of": str,
        "rise_on": list,
        "before": int,
        "after": int,
        "evened_out": int,
    },
    "accuracies_grow": {},
    "reasonable_gap": {"percent": float},
    "spread_over_splits": {"points": float},
    "beats": {"metric": str},
    "about_equal": {"metric": str, "points": float},
}
_OF_TWO = ("beats", "about_equal")
_KINDS = {float: "a number", int: "a whole number", str: "a text", list: "a list"}
_UNITS = {"percent": 100.0, "fraction": 1.0}
_EPSILON = 1e-9
_SHA256 = re.compile("[0-9a-f]{8,64}")


@dataclass(frozen=True)
class About:
    """The report itself.

    Attributes:
        reference: folder of the reference runs of its models, where there are any.
        another_protocol: what is said where a figure stands beside one by another protocol.
    """

    title: str
    authors: str = ""
    year: int | None = None
    link: str = ""
    licence: str = ""
    reference: Path | None = None
    another_protocol: str = ""

    @property
    def sentence(self) -> str:
        """What is judged, e.g. "The report: “A title”, by its authors (1998), https://…."."""
        year = f" ({self.year})" if self.year else ""
        by = f", by {self.authors}" if self.authors else ""
        more = [each for each in (self.link, self.licence and f"licence {self.licence}") if each]
        return f"The report: \u201c{self.title}\u201d{by}{year}{''.join(f'; {x}' for x in more)}."

    @property
    def reference_files(self) -> list[Path]:
        """The files of its reference runs."""
        return sorted(self.reference.glob("*.*")) if self.reference else []


@dataclass(frozen=True)
class Part:
    """What the models of one part share and their figures depend on.

    Attributes:
        data: sha256, or the first digits of it, by the file's name.
        split: by the configuration's keys; a list: any of these.
        head: of flower nets, by the configuration's keys.
        title: of the data, for a model's card.
    """

    data: dict[str, str]
    split: dict[str, Any]
    head: dict[str, Any]
    title: str = ""


@dataclass(frozen=True)
class ReportedModel:
    """A model of the report: its title, its part, what reproduces it, its curve where known.

    Attributes:
        net: by the configuration's keys; ``weights`` by their sha256 or the first digits of it.
    """

    title: str
    part: str
    net: dict[str, Any] = field(default_factory=dict)
    curve: Path | None = None
    curve_note: str = ""


@dataclass(frozen=True)
class Figure:
    """One number of the report.

    Attributes:
        value: as a fraction, e.g. 0.9454 for a printed "94.54".
        precision: size of its last printed digit as a fraction, e.g. 0.0001; None where the
            report gave the value in words.
        margin: a smaller difference does not matter, as a fraction.
        protocol: of a flower net, one of ``PROTOCOLS``; else empty.
    """

    id: str
    model: str
    split: str
    metric: str
    value: float
    precision: float | None
    margin: float
    where: str
    protocol: str
    recipe: str
    note: str


@dataclass(frozen=True)
class Claim:
    """One claim in words: its test by name, the test's parameters, and the nets' protocol."""

    number: int
    text: str
    models: tuple[str, ...]
    test: str
    parameters: dict[str, Any]
    protocol: str


@dataclass(frozen=True)
class Report:
    """All that the report states, as far as this project judges it."""

    about: About
    parts: dict[str, Part]
    models: dict[str, ReportedModel]
    figures: tuple[Figure, ...]
    claims: tuple[Claim, ...]

    def figures_of(self, model: str) -> tuple[Figure, ...]:
        """Return the figures of one model in the order of the file."""
        return tuple(figure for figure in self.figures if figure.model == model)

    def gives_split(self, model: str) -> bool:
        """Whether the report's split of a model is known: by its seed, or as the official one."""
        split = self.parts[self.models[model].part].split
        return "seed" in split or split.get("kind") == "official"


def load(path: str | os.PathLike[str]) -> Report:
    """Read the report's file.

    Paths in it are relative to its folder.

    Raises:
        UserError: where the file cannot be read or an entry is not what it must be.
    """
    path = Path(path)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise unreadable(path, "YAML", "mend it, or restore it from git", error) from error
    try:
        about = _about(data["report"], path.parent)
        parts = {
            _one_of(key, PARTS, "part"): _part(key, part) for key, part in data["parts"].items()
        }
        models = {key: _model(key, entry, path.parent) for key, entry in data["models"].items()}
        figures = tuple(_figure(entry) for entry in data["figures"])
        claims = tuple(_claim(entry) for entry in data.get("claims", ()))
        _check(parts, models, figures, claims)
        figures = _with_margins(figures, models)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path}: {_reason(error)}; mend it as the comment at its head says"
        ) from error
    return Report(about, parts, models, figures, claims)


def _reason(error: Exception) -> str:
    if isinstance(error, TypeError | AttributeError):
        return f"something in it is not of the form it must be ({own_words(error)})"
    return f"key {error} is missing" if isinstance(error, KeyError) else str(error)


def _about(entry: dict[str, Any], folder: Path) -> About:
    if strange := set(entry) - set(About.__dataclass_fields__):
        raise ValueError(f"unknown key {sorted(strange)[0]!r} under report")
    reference = entry.get("reference")
    return About(**{**entry, "reference": folder / reference if reference else None})


def _part(key: str, entry: dict[str, Any]) -> Part:
    data = {name: _sha256(value, f"{name} of {key}") for name, value in entry["data"].items()}
    return Part(data, dict(entry["split"]), dict(entry.get("head", {})), entry.get("title", ""))


def _model(key: str, entry: dict[str, Any], folder: Path) -> ReportedModel:
    net, curve = dict(entry["net"]), entry.get("curve")
    if "weights" in net:
        _sha256(net["weights"], f"weights of {key}")
    return ReportedModel(
        title=entry["title"],
        part=entry["part"],
        net=net,
        curve=folder / curve if curve else None,
        curve_note=entry.get("curve_note", ""),
    )


def _sha256(value: object, what: str) -> str:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError(f"{what} is {value!r}, expected 8 to 64 hexadecimal digits of its sha256")
    return value


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
        value=float(printed) / unit,
        precision=None if precision is None else precision / unit,
        margin=float(entry["margin"]) / unit if "margin" in entry else math.nan,
        where=entry["where"],
        protocol=entry.get("protocol", ""),
        recipe=_one_of(entry["recipe"], RECIPES, f"recipe of {name}"),
        note=entry.get("note", ""),
    )


def _with_margins(
    figures: tuple[Figure, ...], models: dict[str, ReportedModel]
) -> tuple[Figure, ...]:
    """Give each figure without a margin half of the smallest gap that the report tells apart.

    That is the gap between two models of a part on the same metric and set. A gap of one printed
    digit or less may be none at all: rounding alone makes it.
    """

    def alike(one: Figure) -> list[Figure]:
        where = (models[one.model].part, one.split, one.metric)
        return [
            each for each in figures if (models[each.model].part, each.split, each.metric) == where
        ]

    found = []
    for figure in figures:
        margin = figure.margin
        if math.isnan(margin):
            gaps = [
                abs(one.value - other.value)
                for one, other in combinations(alike(figure), 2)
                if abs(one.value - other.value)
                > max(one.precision or 0, other.precision or 0) + _EPSILON
            ]
            if not gaps:
                raise ValueError(
                    f"{figure.id} has no margin: no other model differs from it in "
                    f"{figure.metric} on {figure.split}; say with `margin`, in the printed unit, "
                    "what difference would matter"
                )
            margin = min(gaps) / 2
        found.append(replace(figure, margin=margin))
    return tuple(found)


def _claim(entry: dict[str, Any]) -> Claim:
    where = f"claim {entry['number']}"
    test = _one_of(entry["test"], tuple(CLAIM_TESTS), f"test of {where}")
    parameters = dict(entry.get("parameters", {}))
    _check_parameters(parameters, CLAIM_TESTS[test], f"{where}, test {test}")
    return Claim(
        number=int(entry["number"]),
        text=entry["text"],
        models=tuple(entry["models"]),
        test=test,
        parameters=parameters,
        protocol=entry.get("protocol", ""),
    )


def _check_parameters(given: Mapping[str, Any], wanted: Mapping[str, type], where: str) -> None:
    if set(given) != set(wanted):
        raise ValueError(
            f"{where}: its parameters are {', '.join(given) or 'none'}, "
            f"expected {', '.join(wanted) or 'none'}"
        )
    for key, kind in wanted.items():
        # A whole number is a number too.
        if not isinstance(given[key], (int, float) if kind is float else kind):
            raise ValueError(f"{where}: {key} is {given[key]!r}, expected {_KINDS[kind]}")


def _one_of(value: str, allowed: tuple[str, ...], what: str) -> str:
    if value not in allowed:
        raise ValueError(f"{what} is {value!r}, expected one of {', '.join(allowed)}")
    return value


def _check(
    parts: dict[str, Part],
    models: dict[str, ReportedModel],
    figures: tuple[Figure, ...],
    claims: tuple[Claim, ...],
) -> None:
    for key, model in models.items():
        _one_of(model.part, tuple(parts), f"part of {key}")
    for figure in figures:
        part = models[_known(figure.model, models)].part
        _one_of(
            figure.metric,
            reportable(part, figure.split),
            f"metric of {figure.id} ({part}, {figure.split})",
        )
        _check_protocol(figure.protocol, {part}, figure.id)
    for claim in claims:
        _check_claim(claim, models)
    everything: dict[str, list[Any]] = {
        "figure id": [figure.id for figure in figures],
        "figure": [(figure.model, figure.split, figure.metric) for figure in figures],
        "claim number": [claim.number for claim in claims],
    }
    for what, keys in everything.items():
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise ValueError(f"{what} {twice[0]!r} stands twice")


def _check_claim(claim: Claim, models: dict[str, ReportedModel]) -> None:
    where = f"claim {claim.number}"
    if not claim.models:
        raise ValueError(f"{where} names no model")
    parts = {models[_known(key, models)].part for key in claim.models}
    _check_protocol(claim.protocol, parts, where)
    if claim.test in _OF_TWO:
        if len(claim.models) != 2 or len(parts) != 1:
            raise ValueError(f"{where}: test {claim.test} takes two models of one part")
        (part,) = parts
        metrics = tuple(name for name in reportable(part, "test") if in_percent(name))
        _one_of(claim.parameters["metric"], metrics, f"metric of {where}")
    if claim.test == "losses_fall":
        _one_of(claim.parameters["rise_of"], claim.models, f"rise_of of {where}")
        for split in claim.parameters["rise_on"]:
            _one_of(split, SPLITS, f"rise_on of {where}")


def _known(model: str, models: dict[str, ReportedModel]) -> str:
    if model not in models:
        raise ValueError(f"unknown model {model!r}, expected one of {list(models)}")
    return model


def _check_protocol(protocol: str, parts: set[str], where: str) -> None:
    if "flowers" in parts:
        _one_of(protocol, PROTOCOLS, f"protocol of {where}")
    elif protocol:
        raise ValueError(f"protocol of {where} is {protocol!r}, but only flower nets have one")

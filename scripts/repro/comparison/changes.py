"""What of a run is not the report's, and so keeps its figures from being held against the report.

What the report's figures were made with stands in ``resources/reported.yaml``: the configuration is
the user's to change. A further seed of a run, or of a split the report gives no seed of, is no
change. A protocol of the flower nets is no change either: it makes another experiment, which
:mod:`repro.comparison.compare` sets beside the report's under its own name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from repro.comparison.reported import Report
from repro.comparison.verdict import WhyNot
from repro.fetch.proof import Proof
from repro.fetch.registry import Entry
from repro.plan import NO_WEIGHTS, OFFICIAL, Model, Plan

# What of a split its authors have drawn already, where it is theirs.
_UNUSED = {"mnist": ("test",), "flowers": ("validation", "test")}


def why_not(model: Model, plan: Plan, registry: Mapping[str, Entry], report: Report) -> str:
    """Return why a model's figures say nothing about the report's; empty where they do.

    It is a plain text, no member of an enumeration: rules have it among their parameters.

    Args:
        model: a net of the plan.
        plan: what the configuration asks for.
        registry: every download, the user's own over those that ship.
        report: what ships.
    """
    if plan.config["rehearsal"]:
        return WhyNot.REHEARSAL.value
    data = _other_data(model.part, plan, registry, report)
    if data == WhyNot.GENERATED:
        return data
    found = [data] if data else []
    if model.net["reported"] is None:
        found += [WhyNot.RANDOM.value] if model.net.get("weights") == NO_WEIGHTS else []
        return "; ".join(found) or WhyNot.NOT_THERE.value
    changed = changes(model, plan, registry, report)
    return "; ".join(found + ([f"changed: {'; '.join(changed)}"] if changed else []))


def model_table(plan: Plan, registry: Mapping[str, Entry], report: Report) -> list[dict[str, Any]]:
    """Return what the comparison needs to know of each model that runs.

    Each entry has the fields of :class:`repro.comparison.compare.Model`.
    """
    table = []
    for model in plan.models:
        reason = why_not(model, plan, registry, report)
        reported = model.net["reported"]
        table.append(
            {
                "name": model.name,
                "title": model.title,
                "part": model.part,
                "longer_of": _longer_of(model, plan, registry, report),
                "framework": model.framework,
                "reported": reported,
                "recipe": "own" if reported and reason else model.net["recipe"],
                "protocol": model.protocol,
                "runs": {run.name: run.split for run in model.runs},
                "comparable": not reason,
                "why_not": reason,
            }
        )
    return table


def _longer_of(
    model: Model, plan: Plan, registry: Mapping[str, Entry], report: Report
) -> str | None:
    """Return the reported model of which this is the same net with more epochs."""
    shorter = plan.nets.get(model.net.get("longer_of", ""))
    reported = shorter and shorter.net["reported"]
    if not reported or reported not in report.models:
        return None
    unlike = changes(model, plan, registry, report, of=reported, but=("epochs",))
    return None if unlike else str(reported)


def data_title(plan: Plan, registry: Mapping[str, Entry], report: Report) -> str:
    """Return what the report calls the images of its flower nets; empty where those are others."""
    other = _other_data("flowers", plan, registry, report)
    return "" if other else report.parts["flowers"].title


def _other_data(part: str, plan: Plan, registry: Mapping[str, Entry], report: Report) -> str:
    """Return in words what of a part's data is not the report's; empty where all of it is."""
    folder = plan.config["flowers"]["data"] if part == "flowers" else part
    if part == "flowers" and plan.generated:
        return WhyNot.GENERATED.value
    shipped = report.parts[part].data if part in report.parts else {}
    other = [
        f"{folder}/{name}"
        for name, sha256 in shipped.items()
        if f"{folder}/{name}" not in registry or not _is(registry[f"{folder}/{name}"].proof, sha256)
    ]
    if len(other) == len(shipped):
        return WhyNot.OTHER_DATA.value
    return f"{WhyNot.OTHER_DATA}: {', '.join(other)}" if other else ""


def changes(
    model: Model,
    plan: Plan,
    registry: Mapping[str, Entry],
    report: Report,
    *,
    of: str | None = None,
    but: Collection[str] = (),
) -> tuple[str, ...]:
    """Return what of a model's weights, recipe and split is not the reported model's.

    Args:
        model: a net of the plan.
        plan: what the configuration asks for.
        registry: every download, the user's own over those that ship.
        report: what ships.
        of: the reported model, where it is not the one that the net is there to reproduce.
        but: keys of the net that may differ.

    Returns:
        One text a change, e.g. "hidden [50] → [100]", "split.validation 5000 → 50",
        "random weights", "other weights: weights/mine.pth".
    """
    net, part = model.net, report.parts[model.part]
    config = plan.config[model.part]
    shipped = dict(report.models[of or net["reported"]].net)
    texts = _of_weights(net, shipped.pop("weights", None), registry)
    wanted = {key: value for key, value in shipped.items() if key not in but}
    texts += _unlike(wanted, net, "")
    unused = _UNUSED[model.part] if config["split"].get("kind") == OFFICIAL else ()
    split = {key: value for key, value in part.split.items() if key not in unused}
    texts += _unlike(split, config["split"], "split.")
    texts += _unlike(part.head, config.get("head", {}), "head.")
    return tuple(texts)


def _of_weights(
    net: Mapping[str, Any], sha256: str | None, registry: Mapping[str, Entry]
) -> list[str]:
    name = net.get("weights")
    if name is None or sha256 is None:
        return []
    if name == NO_WEIGHTS:
        return [WhyNot.RANDOM.value]
    return [] if _is(registry[name].proof, sha256) else [f"other weights: {name}"]


def _is(proof: Proof, sha256: str) -> bool:
    """Whether a file's proof is that of a known one, as far as both hashes are known."""
    found = proof.sha256 or proof.sha256_prefix
    return found is not None and (found.startswith(sha256) or sha256.startswith(found))


def _unlike(shipped: Mapping[str, Any], found: Mapping[str, Any], place: str) -> list[str]:
    """Return each value that is not the shipped one, nor one of several that are as good."""
    return [
        f"{place}{key} {_shown(wanted)} → {_shown(found.get(key))}"
        for key, wanted in shipped.items()
        if found.get(key) != wanted and not (isinstance(wanted, list) and found.get(key) in wanted)
    ]


def _shown(value: Any) -> str:
    if isinstance(value, list) and any(isinstance(one, str) for one in value):
        return " or ".join(value)
    return "none" if value is None else str(value)

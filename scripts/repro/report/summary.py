"""A run in sentences: what was reproduced, what holds, what was not judged; how it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from repro.comparison.verdict import ClaimVerdict, Verdict, WhyNot
from repro.evaluation.names import ERROR
from repro.features.loaded import Loaded
from repro.report import markdown

_OPEN = [verdict for verdict in Verdict if verdict.kind == "open"]
_MISSES = (Verdict.TOO_LITTLE, Verdict.HIGHER, Verdict.LOWER)
# What one figure does, and what several do.
_DO = {
    Verdict.TO_THE_DIGIT: ("comes out to the digit", "come out to the digit"),
    Verdict.AGREES: ("agrees", "agree"),
    Verdict.CANNOT_TELL: ("cannot be told", "cannot be told"),
    Verdict.TOO_LITTLE: ("differs too little to matter", "differ too little to matter"),
    Verdict.HIGHER: ("is higher", "are higher"),
    Verdict.LOWER: ("is lower", "are lower"),
}
_PLURAL = {
    ClaimVerdict.HOLDS: "hold",
    ClaimVerdict.IN_PART: "hold in part",
    ClaimVerdict.FAILS: "do not hold",
}
_SHOWN = 12  # digits of a hash that are enough to tell it from others
_SHOWN_IMAGES = 20  # provenance.json has all
_EN_DASH = "\u2013"
_NO_BREAK = "\u00a0"


def sentences(rows: pd.DataFrame, judged: pd.DataFrame, above: Mapping[str, Any]) -> list[str]:
    """Return the sentences that sum up what a run found.

    Args:
        rows: comparison.csv.
        judged: claims.csv.
        above: overview.json.
    """
    return [*of_figures(rows, above), _of_claims(judged), _of_what_is_open(rows)]


def of_figures(rows: pd.DataFrame, above: Mapping[str, Any]) -> list[str]:
    """Return what of the figures holds, what chance makes of it, and what else stands above them.

    Args:
        rows: comparison.csv.
        above: overview.json.
    """
    orders = [_of_order(**order) for order in above["orders"]]
    return [*_counts(rows), *orders, *_of_reference(above["agreement"])]


def _counts(rows: pd.DataFrame) -> list[str]:
    reported = rows[rows["reported"].notna()]
    compared = reported[~reported["verdict"].isin(_OPEN)]
    if compared.empty:
        count = len(reported)
        return [f"None of the report's {count} figures can be compared with what was run here."]
    counts = compared["verdict"].value_counts()
    parts = [
        f"{counts[verdict]} {one if counts[verdict] == 1 else several}"
        for verdict, (one, several) in _DO.items()
        if verdict in counts
    ]
    found = [
        f"Of the report's {len(reported)} figures {len(compared)} can be compared with what was "
        f"run here: {listed(parts)}."
    ]
    # A figure to the digit has no interval: nothing is left to chance.
    if judged := int(compared["half_width"].notna().sum()):
        misses = int(compared["verdict"].isin(_MISSES).sum())
        verb = "differs" if misses == 1 else "differ"
        found.append(
            f"{judged} of them {'is' if judged == 1 else 'are'} held against what chance makes of "
            f"one run to the next, at 95 %: if the whole report holds, {0.05 * judged:.1f} of them "
            f"differ all the same; here {misses or 'none'} {verb}."
        )
    return found


def _of_order(models: Sequence[str], metric: str, held: int, of: int) -> str:
    order = f" {'below' if metric == ERROR else 'above'} ".join(_quoted(models))
    how_many = f"all {of}" if held == of and of > 1 else f"{held} of {of}"
    combinations = "combination" if of == 1 else "combinations"
    return (
        f"The report's order by test {metric.replace('_', ' ')}, {order}, is found in {how_many} "
        f"{combinations} of their runs."
    )


def _quoted(titles: Sequence[str]) -> list[str]:
    return [f"\u201c{title}\u201d" for title in titles]


def _of_reference(agreement: Mapping[str, str]) -> list[str]:
    titles: dict[str, list[str]] = {}
    for title, sentence in agreement.items():
        titles.setdefault(sentence, []).append(title)
    return [f"{listed(_quoted(names))}: {_small(sentence)}" for sentence, names in titles.items()]


def _small(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _of_claims(judged: pd.DataFrame) -> str:
    protocols = judged["protocol"].map(lambda value: "" if markdown.missing(value) else value)
    texts = [
        (f"by another protocol ({protocol}) " if protocol else "") + _counted(group)
        for protocol, group in judged.groupby(protocols)
    ]
    return f"Of its {len(judged)} claims in words {'; '.join(texts)}."


def _counted(judged: pd.DataFrame) -> str:
    parts = []
    for verdict in ClaimVerdict:
        numbers = judged.loc[judged["verdict"] == verdict, "claim"].tolist()
        if numbers:
            words = verdict if len(numbers) == 1 else _PLURAL.get(verdict, verdict)
            words = f"{words} here" if verdict == ClaimVerdict.CANNOT else words
            parts.append(f"{len(numbers)} {words} ({ranges(numbers)})")
    return listed(parts)


def _of_what_is_open(rows: pd.DataFrame) -> str:
    open_rows = rows[rows["verdict"].isin(_OPEN)]
    if open_rows.empty:
        return "Nothing of the report was left out."
    why = [_reason(row) for row in open_rows.to_dict("records")]
    reasons: dict[str, list[str]] = {}
    for (_, title, reason), group in open_rows.groupby(["model", "title", why], sort=False):
        whole = len(group) == int((rows["title"] == title).sum())
        # Said once for all of them, below.
        name = title.removesuffix(f" ({reason})")
        names = [name] if whole else [_figure_of(name, row) for row in group.to_dict("records")]
        reasons.setdefault(reason, []).extend(names)
    parts = [f"{' and '.join(names)} ({reason})" for reason, names in reasons.items()]
    text = f"Not held against the report: {'; '.join(parts)}"
    if WhyNot.GENERATED in reasons:
        text += f" {_EN_DASH} such data are drawn by a script, and say nothing about photographs"
    return f"{text}."


def _reason(row: dict[str, Any]) -> str:
    return (
        markdown.verdict(row)
        if markdown.missing(row["why_not"])
        else markdown.brief(row["why_not"])
    )


def _figure_of(title: str, row: dict[str, str]) -> str:
    return f"the {row['split']} {row['metric'].replace('_', ' ')} of {title}"


def listed(parts: Sequence[str]) -> str:
    """Return "a", "a and b", or "a, b and c"."""
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)


def ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers with three or more in a row joined: "1, 2, 4\u20137"."""
    groups: list[list[int]] = []
    for number in numbers:
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    texts: list[str] = []
    for group in groups:
        joined = [f"{group[0]}{_EN_DASH}{group[-1]}"]
        texts += joined if len(group) > 2 else [str(number) for number in group]
    return ", ".join(texts)


def origin(record: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what of provenance.json a reader asks first: code, configuration, machine."""
    identity, machine = record["identity"], record["circumstances"]["machine"]
    code = identity["code"]
    if code["commit"]:
        state = "with changes that are not committed" if code["dirty"] else "unchanged"
        commit = f"commit {code['commit'][:_SHOWN]}, {state}"
    else:
        commit = code["note"]
    gpus = plain(machine["gpus"]) if machine["gpus"] else "no GPU"
    cores = f"{machine['cores']} core{'' if machine['cores'] == 1 else 's'}"
    networks = {**identity["features"], **identity["notebooks"]}
    ordered = [
        name for name, found in networks.items() if found["weights_loaded"] == Loaded.BY_ORDER
    ]
    by_order = (
        f"Weights: those of {', '.join(ordered)} are loaded by order, not by name: no name in "
        "their file is one of the network's."
    )
    return [
        f"Code: {commit}; sha256 {code['sha256'][:_SHOWN]}.",
        f"Configuration: config.yaml, sha256 {identity['configuration_sha256'][:_SHOWN]}.",
        *left_out(record),
        f"Machine: {machine['processor']}, {cores}, {gpus}; {machine['system']}, "
        f"Python {identity['python']}; recorded {record['circumstances']['recorded']}.",
        *([by_order] if ordered else []),
        "Everything else, data, weights, results and versions by name and hash: provenance.json.",
    ]


def left_out(record: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return which images were left out as damaged: of the data, and of a network's features."""
    identity = record["identity"]
    found = {"the data": identity["damaged"]}
    found |= {f"the features of {name}": of["damaged"] for name, of in identity["features"].items()}
    return [
        f"Left out of {where} as damaged: {len(images):,} image{'' if len(images) == 1 else 's'} "
        f"({_numbers(images)})."
        for where, images in found.items()
        if images
    ]


def _numbers(images: Sequence[int]) -> str:
    more = ", \u2026" if len(images) > _SHOWN_IMAGES else ""
    return ", ".join(map(str, images[:_SHOWN_IMAGES])) + more


def plain(value: Any) -> str:
    """Return a value of provenance.json in words."""
    if value in (None, "", {}, []):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return " ".join(f"{name} {plain(item)}" for name, item in value.items())
    return ", ".join(map(plain, value)) if isinstance(value, list) else str(value)

"""The files that the jobs of a run leave, one a job: logs and benchmarks."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

# As {name} or {name,constraint}; a constraint may hold braces of its own, as in [0-9]{5}.
_WILDCARD = re.compile(r"\{(\w+)(?:,((?:[^{}]|\{[^{}]*\})*))?\}")


def files_of_jobs(
    patterns: Mapping[str, str],
    runs: Mapping[str, Collection[str]] | None = None,
    splits: Collection[str] = (),
    models: Mapping[str, str] | None = None,
) -> Iterator[tuple[str, Path, dict[str, str]]]:
    """Yield rule, file and wildcards of each file that a job of a run has left.

    Files that earlier runs left behind, of other models, runs or splits, are passed over.

    Args:
        patterns: where each rule writes its file, with wildcards in braces.
        runs: the runs of each model that runs, by its name; held against the wildcards ``model``
            and ``run``. Without them every file counts.
        splits: the splits of this run; held against the wildcards ``split`` and ``cover``, of which
            the latter may also be "all".
        models: the model of each rule that one model has for itself.
    """
    for rule, pattern in patterns.items():
        for file, wildcards in _matching(pattern):
            model = wildcards.get("model") or (models or {}).get(rule)
            if runs is None or _is_of(model, wildcards, runs, splits):
                yield rule, file, wildcards


def filled(pattern: str, wildcards: Mapping[str, str]) -> str:
    """Return a pattern with its wildcards filled in."""
    return _WILDCARD.sub(lambda match: wildcards[match[1]], pattern)


def _matching(pattern: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield the files of a pattern such as ``folder/{model}-{figure}.tsv``, with its wildcards."""
    # Text, name and constraint in turn, and a last text.
    parts = _WILDCARD.split(pattern)
    texts, names, constraints = parts[::3], parts[1::3], parts[2::3]
    groups = [f"(?P<{name}>{each or '.+'})" for name, each in zip(names, constraints, strict=True)]
    shape = re.compile(
        "".join(re.escape(text) + group for text, group in zip(texts, [*groups, ""], strict=True))
    )
    if not names:
        files = [Path(pattern)] if Path(pattern).exists() else []
    else:
        files = sorted(Path(f"{texts[0]}x").parent.rglob("*"))
    for file in files:
        if match := shape.fullmatch(file.as_posix()):
            yield file, {name: match[name] for name in names}


def _is_of(
    model: str | None,
    wildcards: Mapping[str, str],
    runs: Mapping[str, Collection[str]],
    splits: Collection[str],
) -> bool:
    """Whether a job is one of these models, runs and splits, as far as it is of any."""
    of_model = model is None or model in runs
    of_run = "run" not in wildcards or wildcards["run"] in runs.get(model or "", ())
    of_split = {wildcards.get("split"), wildcards.get("cover")} <= {*splits, "all", None}
    return of_model and of_run and of_split

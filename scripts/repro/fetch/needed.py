"""What a run needs to be fetched: which of it is here, which is missing, which is another file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from repro.fetch.offline import found_in
from repro.fetch.registry import Entry, Registry, Source
from repro.fetch.sources import why_wrong
from repro.plan import Plan
from repro.report.markdown import markdown

FOUND, MISSING, WRONG = "found", "missing", "wrong"
_SHOWN = 12  # digits of a hash


@dataclass(frozen=True)
class Needed:
    """A file that a run needs.

    Attributes:
        entry: what it is.
        target: where it goes.
        models: who needs it.
        state: "found", "missing" or "wrong".
        said: where it is, or what is wrong with each file that bears its name.
    """

    entry: Entry
    target: Path
    models: Sequence[str]
    state: str
    said: Sequence[str] = ()

    def __str__(self) -> str:
        """Describe it in a few lines."""
        lines = [f"{self.state:8}{self.entry.name}"]
        if self.state == FOUND:
            return "\n".join([*lines, *(f"        in {place}" for place in self.said)])
        sources = [str(source) for source in self.entry.sources] or ["nowhere: you bring it"]
        lines += [
            *self.said,
            str(self.entry.proof),
            f"goes to {self.target}",
            f"needed by {', '.join(self.models)}",
            f"comes from {', or '.join(sources)}",
        ]
        return "\n        ".join(lines)


def needed(
    plan: Plan, registry: Registry, downloads: Path, folders: Iterable[str | os.PathLike[str]]
) -> list[Needed]:
    """Look for every file that a run needs, where it goes and in ``folders``, and prove each."""
    folders = list(folders)
    return [
        _look(registry[name], downloads / name, models, folders)
        for name, models in plan.needs.items()
    ]


def _look(
    entry: Entry, target: Path, models: Sequence[str], folders: Iterable[str | os.PathLike[str]]
) -> Needed:
    in_place = [Source("path", str(target))] if target.is_file() else []
    wrong = []
    for source in [*in_place, *found_in(entry, folders)]:
        problem = why_wrong(entry, source)
        if problem is None:
            return Needed(entry, target, models, FOUND, [str(source)])
        wrong.append(f"{source}: {problem}")
    return Needed(entry, target, models, WRONG if wrong else MISSING, wrong)


def table(needs: Mapping[str, Sequence[str]], registry: Registry, downloads: Path) -> str:
    """Return all files that a run needs as Markdown.

    Args:
        needs: for each file the models that need it.
        registry: what each file is.
        downloads: the folder they go to.
    """
    header = ["file", "bytes", "sha256 begins", "goes to", "needed by"]
    rows = []
    for name, models in needs.items():
        proof = registry[name].proof
        hash_ = (proof.sha256 or proof.sha256_prefix or f"md5 {proof.md5}")[:_SHOWN]
        size = "" if proof.size is None else f"{proof.size:,}"
        path = PurePosixPath(name)
        folder = f"`{downloads / path.parent}/`"
        rows.append([f"`{path.name}`", size, f"`{hash_}`", folder, ", ".join(models)])
    return markdown(header, rows, [1])

"""The table of faults: what tests break on purpose, what is promised, and what happened.

    @pytest.mark.fault("disk", "the disk fills up during a download", "what came is kept")
    def test_...(happened): ...

marks a test; that is all it takes. What the test catches with ``pytest.raises`` is recorded by
itself, the first time; ``happened(words or exception)`` records anything else, and comes first.
``pytest -m fault --reliability=FILE`` writes the table of the tests that ran, and
``--messages=FILE`` what each of them saw, whole.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest

HEAD = """# What was broken on purpose, and what happened

Written by `make reliability`, which runs a test for every row; do not edit.
"""
COLUMNS = ("fault", "promised", "outcome", "seen")
_LONGEST = 260  # characters of what was seen, in the table


class Fault(NamedTuple):
    """One row's name: the heading it stands under, what is broken and what is promised then."""

    kind: str
    fault: str
    promise: str


@dataclass
class Row:
    """What the tests of one fault came to."""

    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    passed: int = 0
    seen: list[str] = field(default_factory=list)

    def cells(self, fault: Fault) -> list[str]:
        """Return the row as it stands in the table."""
        if self.failed:
            return [fault.fault, fault.promise, "**NOT as promised**", self.failed[0]]
        if not self.passed:
            return [fault.fault, fault.promise, f"not run: {', '.join(self.skipped[:1])}", ""]
        return [fault.fault, fault.promise, "as promised", next(iter(self.seen), "")]


# --- the page ------------------------------------------------------------------------------------


def _cell(text: str) -> str:
    text = " ".join(text.split())
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST].rstrip()} …{'”' if text.startswith('“') else ''}"
    return re.sub(r"([|*_`<>\[\]\\])", r"\\\1", text)


def page(rows: dict[Fault, Row]) -> str:
    """Return the table as Markdown: a heading for each kind, faults in alphabetical order."""
    outcomes = [row.cells(fault)[2].partition(":")[0].strip("*") for fault, row in rows.items()]
    counts = [
        f"{outcomes.count(word)} {word}"
        for word in ("as promised", "NOT as promised", "not run")
        if word in outcomes
    ]
    lines = [HEAD, f"{len(rows)} faults: {', '.join(counts)}."]
    kinds = sorted({fault.kind for fault in rows})
    for kind in kinds:
        lines += ["", f"## {kind[:1].upper()}{kind[1:]}", ""]
        lines += [f"| {' | '.join(COLUMNS)} |", "| --- " * len(COLUMNS) + "|"]
        for fault in sorted(one for one in rows if one.kind == kind):
            first, promise, outcome, seen = rows[fault].cells(fault)
            cells = (_cell(first), _cell(promise), outcome, _cell(seen))
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def messages(rows: dict[Fault, Row]) -> str:
    """Return what was seen of each fault, whole and one after another: to be read in one go."""
    seen = {f"{fault.kind}: {fault.fault}": rows[fault].cells(fault)[3] for fault in sorted(rows)}
    return "\n".join(f"{name}\n{textwrap.indent(text, '    ')}\n" for name, text in seen.items())


def rows_of(text: str) -> set[tuple[str, str, str]]:
    """Return kind, fault and promise of each row of a page, as they are written there."""
    found, kind = set(), ""
    for line in text.splitlines():
        if line.startswith("## "):
            kind = line[3:]
        elif line.startswith("| ") and not line.startswith(("| fault |", "| ---")):
            fault, promise = re.split(r"(?<!\\) \| ", line[2:])[:2]
            found.add((kind, fault, promise))
    return found


def written(faults: Iterable[Fault]) -> set[tuple[str, str, str]]:
    """Return faults as :func:`rows_of` finds them in a page."""
    return rows_of(page({fault: Row(passed=1) for fault in faults}))


def marks_in(folder: Path) -> set[Fault]:
    """Return every fault that the tests in a folder are marked with; no test is imported."""
    found = set()
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.fault":
                found.add(Fault(*(ast.literal_eval(argument) for argument in node.args)))
    return found


# --- recording -----------------------------------------------------------------------------------


class Recorder:
    """Follows the tests of a session."""

    def __init__(self) -> None:
        self.rows: dict[Fault, Row] = {}
        self.item: pytest.Item | None = None
        self.folders: list[str] = []
        self.caught: list[str] = []

    def faults(self, item: pytest.Item) -> list[Fault]:
        return [Fault(*mark.args) for mark in item.iter_markers("fault")]

    def record(self, what: object, fault: str | None = None) -> None:
        """Note what was seen; ``fault`` names the one meant where a test has several."""
        assert self.item is not None, "the test has no mark: @pytest.mark.fault"
        meant = [one for one in self.faults(self.item) if fault in (None, one.fault)]
        assert meant, f"the test has no mark for {fault!r}"
        for one in meant:
            self.rows.setdefault(one, Row()).seen.append(self.words(what))

    def words(self, what: object) -> str:
        """Return what was seen without what differs from run to run."""
        error = getattr(what, "value", what)  # of pytest's ExceptionInfo
        text = str(error)
        for folder in self.folders:
            text = re.sub(rf"{folder}(/|\b|$)", lambda found: "" if found[1] else ".", text)
        for pattern, plain in (
            (r"\x1b\[[0-9;]*m", ""),
            (r"(?<![\w.…/])(?:/[\w.+-]+){3,}/", "…/"),
            (r"\b[0-9a-f]{32,64}\b|\b[0-9a-f]{8}…", "…"),
            (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
            (r"\b(process|[Jj]ob) '?\d+'?", r"\1 N"),
            (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\d\d:\d\d:\d\d", "TIME"),
            (r"\b\d{1,3}(,\d{3})+\b|\b\d{6,}\b", "N"),
            (r"0x[0-9a-f]+", "0x…"),
        ):
            text = re.sub(pattern, plain, text)
        text = text.strip()
        return f"“{text}”" if isinstance(error, BaseException) else text

    @contextmanager
    def watching(self, item: pytest.Item) -> Iterator[None]:
        """Note what the test catches with ``pytest.raises``."""
        self.item, self.caught = item, []
        plain = pytest.raises
        self.folders = _folders(item)

        @contextmanager
        def watched(*arguments: Any, **options: Any) -> Iterator[Any]:
            with plain(*arguments, **options) as info:
                yield info
            self.caught.append(self.words(info))

        pytest.raises = watched  # type: ignore[assignment]
        try:
            yield
        finally:
            pytest.raises = plain
            self.item = None
            for fault in self.faults(item):
                words = [one for one in self.caught if one != "“”"]
                self.rows.setdefault(fault, Row()).seen += words[:1]

    def report(self, item: pytest.Item, report: pytest.TestReport) -> None:
        for fault in self.faults(item):
            row = self.rows.setdefault(fault, Row())
            if report.failed:
                self.folders = _folders(item)
                crash = getattr(report.longrepr, "reprcrash", None)
                message = crash.message if crash else str(report.longrepr)
                row.failed.append(self.words(message.strip().splitlines()[0]))
            elif report.skipped:
                reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
                row.skipped.append(self.words(str(reason).removeprefix("Skipped: ")))
            elif report.when == "call":
                row.passed += 1


def _folders(item: pytest.Item) -> list[str]:
    """Return patterns of the folders whose names differ from run to run."""
    base = item.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    # A folder of pytest's, and the project in it where there is one.
    return [rf"{re.escape(str(base))}/[\w.-]+(?:/project)?", re.escape(str(item.config.rootpath))]


_recorder = pytest.StashKey[Recorder]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--reliability`` and ``--messages``."""
    parser.addoption("--reliability", metavar="FILE", help="write the table of faults there")
    parser.addoption("--messages", metavar="FILE", help="write every message of it there, whole")


def pytest_configure(config: pytest.Config) -> None:
    """Begin recording."""
    config.stash[_recorder] = Recorder()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Watch a marked test."""
    if item.get_closest_marker("fault") is None:
        return (yield)
    with item.config.stash[_recorder].watching(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Keep the outcome of a marked test."""
    report = yield
    item.config.stash[_recorder].report(item, report)
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the pages, unless the session was broken off."""
    for option, write in (("--reliability", page), ("--messages", messages)):
        target = session.config.getoption(option)
        if target and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            Path(target).write_text(write(session.config.stash[_recorder].rows), encoding="utf-8")


@pytest.fixture(scope="session")
def happened(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Record what was seen: ``happened(words or exception, fault=None)``.

    Of the session's scope, so that Hypothesis's tests can have it too.
    """
    return request.config.stash[_recorder].record

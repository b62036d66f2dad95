"""What a run's jobs are at, and how long the rest will take."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# As logs say it: "epoch 12 of 50", "3072 of 8189 images".
_AMOUNT = re.compile(r"(\d+) of (\d+)")
_TAIL = 4096
# Before a run has shown how fast it is: this many seconds of it, with two jobs at a time.
_PRIOR_S, _PRIOR_JOBS = 10.0, 2
# A rule that is nowhere timed takes so long, unless it may take hours.
_QUICK_S, _LONG = 2.0, ("train_", "features_", "adapt_")


@dataclass
class Job:
    """A job that runs.

    Attributes:
        rule: its rule.
        words: what it does, in the rule's words.
        log: its log file.
        started: when, in seconds of the clock that also dates files.
    """

    rule: str
    words: str
    log: Path | None
    started: float

    def amount(self) -> tuple[int, int] | None:
        """Return how much of how much is done, as its log says last; None where it says nothing."""
        try:
            if self.log is None or self.log.stat().st_mtime < self.started:
                return None  # an earlier run's
            with self.log.open("rb") as stream:
                stream.seek(max(0, self.log.stat().st_size - _TAIL))
                found = _AMOUNT.findall(stream.read().decode("utf-8", "replace"))
        except OSError:
            return None
        return (int(found[-1][0]), int(found[-1][1])) if found else None


@dataclass
class Jobs:
    """A run's jobs.

    Attributes:
        typical: seconds that a job of a rule took elsewhere.
        clock: the time, as files are dated.
        counts: how many jobs of each rule have not ended.
        total: how many jobs there are in all.
        done: how many have ended.
        running: those at work, by Snakemake's number.
    """

    typical: Mapping[str, float]
    clock: Callable[[], float] = time.time
    counts: Counter[str] = field(default_factory=Counter)
    total: int = 0
    done: int = 0
    running: dict[int, Job] = field(default_factory=dict)
    _took: dict[str, list[float]] = field(default_factory=dict)
    _began: float = 0.0

    def plan(self, counts: Mapping[str, int]) -> None:
        """Take how many jobs of each rule there will be."""
        self.counts = Counter(counts)
        self.total = self.counts.total()
        self._began = self.clock()

    def start(self, number: int, rule: str, words: str | None, log: Any) -> Job:
        """Take that a job has started, and return it."""
        file = Path(next(iter(log))) if log else None
        self.running[number] = Job(rule, words or rule, file, self.clock())
        return self.running[number]

    def end(self, number: int) -> tuple[Job, float] | None:
        """Take that a job has ended well; return it and its seconds."""
        job = self.running.pop(number, None)
        self.done += 1
        if job is None:
            return None
        seconds = self.clock() - job.started
        self.counts[job.rule] -= 1
        self._took.setdefault(job.rule, []).append(seconds)
        return job, seconds

    def elapsed(self) -> float:
        """Return the seconds since the plan."""
        return self.clock() - self._began

    def seconds_left(self) -> float | None:
        """Return about how many seconds the rest will take; None where a rule is unknown."""
        ended = [(rule, seconds) for rule, took in self._took.items() for seconds in took]
        done = sum(self._expected(rule) or 0.0 for rule, _ in ended)
        todo, longest = 0.0, 0.0
        waiting = self.counts.copy()
        for job in self.running.values():
            waiting[job.rule] -= 1
            elapsed, amount = self.clock() - job.started, job.amount()
            share = amount[0] / amount[1] if amount and amount[1] else 0.0
            usual = self._expected(job.rule)
            if share:
                whole = elapsed / share
            elif usual is None:
                return None
            else:
                whole = max(usual, 1.1 * elapsed, 0.1)
                share = elapsed / whole
            done += share * whole
            todo += (1 - share) * whole
            longest = max(longest, (1 - share) * whole)
        for rule, count in waiting.items():
            seconds = self._expected(rule)
            if count > 0 and seconds is None:
                return None
            todo += count * (seconds or 0.0)
        pace = (self.elapsed() + _PRIOR_S) / (done + _PRIOR_S * _PRIOR_JOBS)
        return max(todo * pace, longest)

    def _expected(self, rule: str) -> float | None:
        """Return the seconds of a job of a rule: as typical, else as those that have ended."""
        took = self._took.get(rule)
        quick = None if rule.startswith(_LONG) else _QUICK_S
        return self.typical.get(rule, sum(took) / len(took) if took else quick)


def in_words(seconds: float) -> str:
    """Return a time as a person says it."""
    if seconds < 0.5:
        return "under 1 s"
    if seconds < 10:
        return f"{seconds:.0f} s"
    if seconds < 95:
        return f"{10 * round(seconds / 10)} s"
    if seconds < 5700:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"

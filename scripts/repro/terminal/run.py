"""Snakemake on a terminal: a line that moves, a line when a job ends, errors in full."""

from __future__ import annotations

import io
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from snakemake.cli import main
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

from repro.system.logs import ONLY_WARNINGS
from repro.terminal.jobs import Job, Jobs, in_words
from repro.terminal.screen import Screen, shortened

INTERRUPTED = 128 + signal.SIGINT
_END = 20  # lines of the log of a job that died without a word
# What Snakemake says of a job's process, where a signal ended it; and at the end of it all.
_DIED = re.compile(r"CalledProcessError.*(?:died with <Signals\.(\w+)|non-zero exit)", re.S)
_JOBS_FAILED = "At least one job did not complete successfully"
_LOCKED = "Directory cannot be locked"
_AT_WORK = (
    "Another run is at work in this folder: wait until it has ended, or stop it. If none is, one "
    "on another machine or a cluster was killed: `snakemake --unlock` takes its lock off."
)
_LONG_S = 60.0  # a job of more than this says each tenth where there is no status line


class Run:
    """One run of Snakemake in this process.

    Snakemake tells by log records what its jobs are at; what the jobs themselves write, and they
    share this process's standard error, comes through a pipe, so that it cannot tear the status
    line.
    """

    def __init__(self, screen: Screen, typical: Mapping[str, float], *, quiet: bool) -> None:
        """Show the run on ``screen``; ``quiet``: its errors alone."""
        self.screen = screen
        self.jobs = Jobs(typical)
        self.quiet = quiet
        self.interrupted = False
        self.failed = False
        self._died = ""
        self._held: list[str] = []
        self._said: set[str] = set()
        self._tenths: dict[int, int] = {}

    def snakemake(self, arguments: Sequence[str]) -> int:
        """Run Snakemake with these arguments; return its exit code."""
        _register(self)
        signal.signal(signal.SIGINT, self._interrupt)
        os.environ[ONLY_WARNINGS] = "1"
        # What Snakemake writes beside its log: what is wrong on the command line, or in itself.
        beside = io.StringIO()
        sys.argv = ["snakemake", *arguments]
        ended = threading.Event()
        with _lines_of_jobs(self._from_job):
            threading.Thread(target=self._tick, args=(ended,), daemon=True).start()
            try:
                with redirect_stdout(beside), redirect_stderr(beside):
                    main(["--logger", "status", *arguments])
                status = 1
            except SystemExit as stop:
                status = int(stop.code or 0)
            except KeyboardInterrupt:
                status = INTERRUPTED
            finally:
                ended.set()
                self.screen.status("")
        if self.interrupted:
            self.screen.say("Interrupted. The same command goes on where it stopped.")
            return INTERRUPTED
        if status and not self.failed:
            self.screen.say(_plainly(beside.getvalue().strip()))
        return status

    # --- what Snakemake says ---

    def take(self, record: logging.LogRecord) -> None:
        """Take a record of Snakemake's log."""
        event, told = str(getattr(record, "event", None)), record.__dict__
        if self.interrupted:
            return
        if event == "run_info":
            self.jobs.plan({rule: n for rule, n in told["stats"].items() if rule != "total"})
        elif event == "job_info":
            self.jobs.start(told["jobid"], told["rule_name"], told["rule_msg"], told["log"])
        elif event == "job_finished":
            self._ended(told["job_id"])
        elif event == "job_error":
            self._job_failed(told)
        elif told.get("exception") == "RuleException" and (died := _DIED.search(record.msg)):
            self._died = f" (ended by {died[1]}; not enough memory?)" if died[1] else ""
        elif record.levelno >= logging.WARNING and not self._is_repeated(record):
            self.failed = self.failed or record.levelno >= logging.ERROR
            said = _plainly(record.getMessage().strip())
            self._say(said, even_if_quiet=record.levelno >= logging.ERROR)
        self._show()

    def _is_repeated(self, record: logging.LogRecord) -> bool:
        """Say whether a record only repeats, at the end, that jobs have failed."""
        return self.failed and ("exception" not in record.__dict__ or _JOBS_FAILED in record.msg)

    def _ended(self, number: int) -> None:
        ended = self.jobs.end(number)
        if ended and ended[0].log:
            job, seconds = ended
            place = f"{self.jobs.done:>{len(str(self.jobs.total))}}/{self.jobs.total}"
            self._say(f"{place}  {job.words}  ({in_words(seconds)})")

    def _job_failed(self, told: Mapping[str, Any]) -> None:
        self.failed = True
        job = self.jobs.running.pop(told["jobid"], None)
        words = job.words if job else told["rule_name"]
        for line in self._held:
            self._say(line, even_if_quiet=True)
        self._said.update(self._held)
        self._held.clear()
        logs = ", ".join(told["log"])
        self._say(f"Failed{self._died}: {words}; its log: {logs}", even_if_quiet=True)
        for log in told["log"]:
            for line in _error_lines(Path(log)):
                # Jobs here have said it; what those on a cluster write goes elsewhere.
                if line not in self._said:
                    self._say(line, even_if_quiet=True)

    # --- what jobs say ---

    def _from_job(self, line: str) -> None:
        if self.quiet:
            self._held.append(line)
        elif line.strip() and not self.interrupted:
            self._said.add(line)
            self.screen.say(line)

    # --- what is shown ---

    def _say(self, text: str, *, even_if_quiet: bool = False) -> None:
        if text and (even_if_quiet or not self.quiet):
            self.screen.say(text)

    def _tick(self, ended: threading.Event) -> None:
        while not ended.wait(1.0):
            self._show()

    def _show(self) -> None:
        if self.quiet:
            return
        if self.interrupted:
            self.screen.status("Stopping …")
        elif not self.screen.live:
            self._say_tenths()
        elif self.jobs.total:
            left = self.jobs.seconds_left()
            parts = [f"{self.jobs.done}/{self.jobs.total}"]
            parts += [f"about {in_words(left)} left"] if left is not None else []
            running = list(self.jobs.running.values())
            room = self.screen.width() - len(" · ".join(parts))
            parts += [_at(job, room // len(running) - 4) for job in running]
            self.screen.status(" · ".join(parts))

    def _say_tenths(self) -> None:
        for number, job in list(self.jobs.running.items()):
            amount = job.amount()
            if amount and amount[1] and self.jobs.clock() - job.started > _LONG_S:
                tenth = 10 * amount[0] // amount[1]
                if tenth > self._tenths.get(number, 0):
                    self._tenths[number] = tenth
                    self._say(f"{_at(job)}, {10 * tenth} %")

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = True
        raise KeyboardInterrupt


def _at(job: Job, room: int = 1000) -> str:
    """Return what a job is at, in that many columns if they suffice for more than the amount."""
    amount = job.amount()
    behind = f" {amount[0]}/{amount[1]}" if amount else ""
    return shortened(job.words, max(room - len(behind), 10)) + behind


def _plainly(said: str) -> str:
    """Return what Snakemake says, for those who do not know it."""
    return _AT_WORK if _LOCKED in said else said


def _error_lines(log: Path) -> list[str]:
    """Return a log from its first error on; its end where it has none."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    first = next((i for i, line in enumerate(lines) if " ERROR " in line), -_END)
    return lines[first:]


def _register(run: Run) -> None:
    """Make Snakemake know the logger plugin ``status``, which is no package of its own."""

    class LogHandler(LogHandlerBase):
        """Passes every record on."""

        writes_to_stream = True  # in place of Snakemake's own
        writes_to_file = False
        has_filter = True
        has_formatter = True
        needs_rulegraph = False

        def emit(self, record: logging.LogRecord) -> None:
            try:
                run.take(record)
            except Exception:
                self.handleError(record)

    module = ModuleType("snakemake_logger_plugin_status")
    module.LogHandler = LogHandler  # type: ignore[attr-defined]
    LoggerPluginRegistry().register_plugin(module.__name__, module)


@contextmanager
def _lines_of_jobs(take: Any) -> Iterator[None]:
    """Hand every line that is written to standard output and error to ``take``."""
    ours, theirs = os.pipe()
    kept = [os.dup(1), os.dup(2)]
    os.dup2(theirs, 1)
    os.dup2(theirs, 2)
    os.close(theirs)

    def read() -> None:
        with open(ours, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                take(line.rstrip())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield
    finally:
        for number, file in zip((1, 2), kept, strict=True):
            os.dup2(file, number)
            os.close(file)
        reader.join(1.0)  # a process that a job has left behind may hold the other end

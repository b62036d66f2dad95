"""One way for every script to log: to the rule's log file and to standard error."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from types import TracebackType

from repro.errors import UserError

# Where this is set, what is no warning goes to the log file alone.
ONLY_WARNINGS = "REPRO_STDERR_ONLY_WARNINGS"


class _LogFile(logging.FileHandler):
    """A log file that says nothing of its own troubles: what fills the disk is told elsewhere."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Leave the record out; it goes to standard error all the same."""


def set_up(log_file: str | None) -> logging.Logger:
    """Send log records to ``log_file`` and standard error, and let uncaught errors reach both.

    Each line has the job's name, the end of the log file's path: several jobs share standard error.
    A :class:`UserError` is logged as its message alone; any other exception with its traceback.
    Where the log file cannot be written, a warning says so.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    name = ""
    if os.environ.get(ONLY_WARNINGS):
        handlers[0].setLevel(logging.WARNING)
    problem = None
    if log_file:
        name = "/".join(Path(log_file).with_suffix("").parts[-2:]).replace("%", "%%") + ": "
        try:
            Path(log_file).parent.mkdir(parents=True, exist_ok=True)
            handlers.append(_LogFile(log_file, mode="w", encoding="utf-8"))
        except OSError as error:
            problem = error.strerror
    logging.basicConfig(
        level=logging.INFO,
        format=f"%(asctime)s %(levelname)s {name}%(message)s",
        datefmt="%H:%M:%S",
        handlers=handlers,
        force=True,
    )
    logger = logging.getLogger("repro")

    def on_uncaught(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if issubclass(kind, UserError):
            logger.error("%s", error)
        elif issubclass(kind, KeyboardInterrupt):
            logger.error("interrupted")
        else:
            logger.error("failed", exc_info=(kind, error, trace))

    sys.excepthook = on_uncaught
    if problem:
        logger.warning("%s: no log is kept there (%s)", log_file, problem)
    return logger

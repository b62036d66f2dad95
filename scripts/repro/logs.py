"""One way for every script to log: to the rule's log file and to standard error."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import TracebackType

from repro.errors import UserError


def set_up(log_file: str | None) -> logging.Logger:
    """Send log records to ``log_file`` and standard error, and let uncaught errors reach both.

    A :class:`UserError` is logged as its message alone; any other exception with its traceback.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if log_file:
        Path(log_file).parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(log_file, mode="w", encoding="utf-8"))
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
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
    return logger

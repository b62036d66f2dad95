"""Lines that pass by, and under them one that moves."""

from __future__ import annotations

import os
import threading
from typing import TextIO

_ERASE = "\r\x1b[2K"


def shortened(text: str, room: int) -> str:
    """Return the text in at most ``room`` columns."""
    return text if len(text) <= room else text[: room - 1].rstrip() + "…"


class Screen:
    """A stream that several threads write whole lines to.

    Attributes:
        live: whether it is a terminal, which has a status line.
    """

    def __init__(self, stream: TextIO) -> None:
        """Write to ``stream``."""
        self._stream = stream
        self._lock = threading.Lock()
        self._status = ""
        self.live = stream.isatty() and os.environ.get("TERM") != "dumb"

    def say(self, text: str) -> None:
        """Write a line, or several, above the status line."""
        with self._lock:
            shown = self._shown()
            self._write((_ERASE if shown else "") + text + "\n" + shown)

    def status(self, text: str) -> None:
        """Replace the status line; the empty text takes it away."""
        with self._lock:
            if self.live and text != self._status:
                self._status = text
                self._write(_ERASE + self._shown())

    def width(self) -> int:
        """Return how many columns there are; 100 where that is not known."""
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 100
        except OSError:
            return 100

    def _shown(self) -> str:
        return shortened(self._status, self.width() - 1)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:  # the terminal is closed; the run goes on
            self.live = False

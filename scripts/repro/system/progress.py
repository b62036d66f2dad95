"""How far a long job is: a bar on a terminal, and lines in its log elsewhere."""

from __future__ import annotations

import logging
import time
from typing import Any

from tqdm import tqdm

logger = logging.getLogger(__name__)

_BETWEEN_LINES_S = 1.0


class Bar(tqdm):  # type: ignore[type-arg]
    """A progress bar where standard error is a terminal; else a line in the log each tenth."""

    def __init__(self, *, total: int | None, desc: str, unit: str, **options: Any) -> None:
        """Start at nothing of ``total``, which may be told later by :meth:`reset`."""
        super().__init__(total=total, desc=desc, unit=unit, **{"disable": None, **options})
        self._words, self._unit = desc, unit
        self._all, self._count, self._said = total or 0, 0, time.monotonic()

    def reset(self, total: float | None = None) -> None:
        """Start anew."""
        self._all, self._count = int(total or 0), 0
        super().reset(total)

    def update(self, n: float | None = 1) -> bool | None:
        """Take that ``n`` more are done."""
        before, self._count = self._count, self._count + int(n or 0)
        if self.disable and self._all and 10 * self._count // self._all > 10 * before // self._all:
            self._say()
        return super().update(n)

    def _say(self) -> None:
        if time.monotonic() - self._said < _BETWEEN_LINES_S:
            return
        self._said = time.monotonic()
        scale, unit = (10**6, "MB") if self._unit == "B" else (1, f"{self._unit}s")
        done, whole = self._count // scale, self._all // scale
        logger.info("%s: %d of %d %s", self._words, done, whole, unit)

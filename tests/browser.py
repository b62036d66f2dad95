"""The system's Chromium, driven by Playwright, and what it saw go wrong."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Root has no sandbox in containers; the rest keeps the browser itself off the network.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
INSIDE = ("file:", "data:", "blob:", "about:")


class Opened:
    """A page, the errors in its console and the requests that left it."""

    def __init__(self, page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("requestfailed", lambda request: self.errors.append(f"failed: {request.url}"))
        page.on("request", self._on_request)

    def _on_console(self, message) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _on_request(self, request) -> None:
        if not request.url.startswith(INSIDE):
            self.requests.append(request.url)


@contextmanager
def opened(file: Path, width: int = 1300, height: int = 900) -> Iterator[Opened]:
    """Open a file in the system's Chromium; skip the test where there is none."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="no Playwright: pip install playwright"
    )
    candidates = [os.environ.get("CHROMIUM"), *map(shutil.which, NAMES)]
    chromium = next((found for found in candidates if found), None)
    if chromium is None:
        pytest.skip("no Chromium: install it, or set CHROMIUM to its path")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = browser.new_page(viewport={"width": width, "height": height})
        seen = Opened(page)
        page.goto(file.resolve().as_uri())
        try:
            yield seen
        finally:
            browser.close()

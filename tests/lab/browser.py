"""A browser that looks at a server's web pages: Debian's Chromium without a screen, driven by Playwright.

It runs in a network namespace of the lab and in a root tree. Playwright talks to it by two pipes, so nothing
of it can be reached from the machine's own network.
"""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Playwright, sync_playwright

from tests.lab import trees
from tests.lab.session import Session
from tests.patience import PATIENCE

# It shares two cores with whatever is emulated; milliseconds, as Playwright counts.
PATIENT = PATIENCE * 1000
_SCRIPT = Path(__file__).with_name("browser.sh")
# There can be one in a process only, which all browsers share that are open at a time.
_running: list[Playwright] = []


@contextmanager
def open_browser(session: Session, netns: str, tree: str = "sessions") -> Iterator[Browser]:
    """Start Chromium of a root tree in a network namespace; it ends with the context."""
    directory = session.directory / "browser"
    directory.mkdir()
    start = directory / "chromium"
    words = shlex.join([str(_SCRIPT), netns, str(trees.tree(tree)), str(directory)])
    start.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    start.chmod(0o755)
    with _playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=start, args=["--disable-gpu", "--lang=en-US"], timeout=PATIENT
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def _playwright() -> Iterator[Playwright]:
    if _running:
        yield _running[0]
        return
    with sync_playwright() as playwright:
        _running.append(playwright)
        try:
            yield playwright
        finally:
            _running.clear()

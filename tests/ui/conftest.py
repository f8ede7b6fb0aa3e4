"""The browser's world: a server, a service on our SDK, and Chromium; all real, shared by the tests here."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from .world import PATIENCE_MS, PHONE, ROOT, VIEW, World

BUILT = ROOT / "src" / "holdfast" / "admin" / "ui_dist" / "index.html"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")

if CHROMIUM is None:
    warnings.warn("no Chromium on the PATH: the web UI is NOT tested", stacklevel=1)
elif not BUILT.exists():
    warnings.warn("the UI is not built (make ui): it is NOT tested", stacklevel=1)

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="Playwright is missing: the web UI is NOT tested"
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if CHROMIUM is None or not BUILT.exists():
        pytest.skip("no Chromium, or no built UI: the web UI is NOT tested")
    started = World(tmp_path_factory.mktemp("ui"))
    try:
        started.start()
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="module")
def browser(world: World) -> Iterator[sync_api.Browser]:
    """Debian's Chromium; without its sandbox only where a root user cannot have one.

    Not for the whole session: as long as Playwright's blocking interface is open, a loop counts as running in
    this thread, and nobody else's `asyncio.run` would work.
    """
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: sync_api.Browser) -> Iterator[sync_api.Page]:
    """A fresh page on a desk; the test fails for anything the page logs as an error, or throws."""
    with fresh_page(browser, viewport=VIEW) as opened:
        yield opened


@pytest.fixture
def phone(browser: sync_api.Browser) -> Iterator[sync_api.Page]:
    """The same on a phone that is held upright."""
    with fresh_page(browser, **PHONE) as opened:
        yield opened


@contextmanager
def fresh_page(browser: sync_api.Browser, **options: Any) -> Generator[sync_api.Page]:
    """What the browser itself says of a connection that broke is no error of the page."""
    context = browser.new_context(**options)
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on(
        "console",
        lambda message: (
            complaints.append(message.text)
            if message.type == "error" and "Failed to load resource" not in message.text
            else None
        ),
    )
    yield opened
    context.close()
    assert not complaints, "\n".join(complaints)

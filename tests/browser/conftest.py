"""Real windows of a real Chromium, on real servers."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.support import Person, Server

from .windows import Window, open_window

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

OpenWindow = Callable[..., Awaitable[Window]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            item.add_marker(pytest.mark.timeout(120))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """One browser for all tests of a process."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(playwright.chromium.executable_path), args=ARGUMENTS
        )
        yield browser
        await browser.close()


def find_chromium(playwrights_own: str) -> str:
    for name in (*NAMES, playwrights_own):
        if found := shutil.which(name):
            return found
    words = "NO CHROMIUM: the browser tests did not run (install the package `chromium`)"
    raise (pytest.fail if os.environ.get("REQUIRE_BROWSER") == "1" else pytest.skip).Exception(words)


@pytest.fixture(scope="session")
def site(new_server: Callable[..., Server]) -> Iterator[Server]:
    """A server that these tests share. With DEBUG it serves static files as they are."""
    with new_server(env={"DEBUG": "1"}) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def open_browser(chromium: Browser, site: Server) -> AsyncIterator[OpenWindow]:
    """`await open_browser(person)`: a window of a browser of this person's own, signed in.

    `server` is another server than the shared one; other options are Playwright's for a context.
    Every script of every page has to run without complaint.
    """
    contexts = []
    windows = []

    async def open_one(person: Person | None = None, *, server: Server = site, **options: Any) -> Window:
        context = await chromium.new_context(**{"viewport": {"width": 1200, "height": 760}, **options})
        contexts.append(context)
        if person:
            name, value = server.cookie(person).split("=", 1)
            await context.add_cookies([{"name": name, "value": value, "url": server.origin}])
        window = await open_window(context, server, person)
        windows.append(window)
        return window

    yield open_one
    problems = [problem for window in windows for problem in window.problems]
    for context in contexts:
        await context.close()
    assert not problems

"""Socket.IO's client in a browser, on pages of the site and of others, beside the chat's own page."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from playwright.async_api import Browser

from tests.support import Server
from tests.support.robots import POLLING, UPGRADE, WEBSOCKET, PageRobot

from .conftest import OpenWindow


@pytest.mark.parametrize("transports", [WEBSOCKET, POLLING, UPGRADE], ids=["websocket", "polling", "upgrade"])
async def test_with_the_sessions_cookie_it_is_in_the_same_room_as_the_chats_page(
    chromium: Browser, site: Server, open_browser: OpenWindow, transports: Sequence[str]
) -> None:
    alice, bob = site.people(2)
    room = site.room("room", members=[alice, bob])
    page = await (await open_browser(alice)).enters(room)
    # Past the site's Content-Security-Policy: a page of somebody's own would have another.
    other = await open_browser(bob, bypass_csp=True)
    robot = await PageRobot.start((await other.goes("/accounts/password_change/")).page)
    await robot.open(f"{site.origin}/chat", transports=transports)
    await robot.expect("connect")
    await robot.call("join", {"room": room})
    await page.writes("from the page")
    await robot.gets(room, 1)
    await robot.call("message", {"room": room, "client_id": "b-1", "body": "from Socket.IO"})
    await page.writes("from the page again")
    seen = await robot.gets(room, 3)
    assert seen == [(1, "from the page"), (2, "from Socket.IO"), (3, "from the page again")]
    await page.sees(*(body for _, body in seen))
    assert await page.bodies() == [body for _, body in seen]

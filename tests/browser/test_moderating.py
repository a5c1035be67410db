"""What moderators and the staff do, and what it looks like to whom it is done."""

from __future__ import annotations

from typing import Any

from playwright.async_api import expect

from chat.services import moderation
from tests.support import Person, Server

from .conftest import OpenWindow


def act(server: Server, what: Any, by: Person, *whom: Any, **more: Any) -> None:
    """In another process than the server's."""
    server.django(what, by.id, *whom, **more)


async def test_a_ban_from_the_site_ends_the_page_of_who_is_chatting_and_refuses_what_waits(
    site: Server, open_browser: OpenWindow
) -> None:
    alice, bob, root = site.person("alice"), site.person("bob"), site.person("root", staff=True)
    room = site.room("tea", [alice, bob])
    hers = await (await open_browser(alice)).enters(room)
    his = await (await open_browser(bob)).enters(room)
    await his.writes("Buy my watches")
    await hers.sees("Buy my watches")
    act(site, moderation.ban, root, bob.id, seconds=3600, reason="spam")
    over = his.page.locator("connection-ended")
    await expect(over).to_contain_text("You are banned from this site until")
    await expect(over).to_contain_text("Reason: spam")
    await expect(his.composer).to_be_hidden()

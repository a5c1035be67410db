"""What is written is kept until the server has it: through crashes, reloads and closed tabs."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator

import pytest
from playwright.async_api import expect

from tests.support import Server

from .conftest import OpenWindow
from .windows import open_window

THREE = ["first while down", "second while down", "third while down"]


@pytest.fixture
def own_server(new_server: Callable[..., Server]) -> Iterator[Server]:
    """A server that may be killed."""
    with new_server(env={"DEBUG": "1"}) as server:
        yield server


def copy_database(server: Server, source: str, target: str) -> None:
    """With what is still in the write-ahead log."""
    with (
        sqlite3.connect(server.directory / f"{source}.sqlite3") as original,
        sqlite3.connect(server.directory / f"{target}.sqlite3") as copy,
    ):
        original.backup(copy)


async def test_what_was_typed_while_the_server_was_dead_arrives_from_a_new_tab_once_and_in_order(
    own_server: Server, open_browser: OpenWindow
) -> None:
    server = own_server
    alice, bob = server.person("alice"), server.person("bob")
    room = server.room("tea", [alice, bob])
    hers = await (await open_browser(alice, server=server)).enters(room)
    his = await (await open_browser(bob, server=server)).enters(room)
    await hers.writes("before")
    await his.writes("the answer")
    await hers.sees("before", "the answer")
    await his.sees("before", "the answer")

    server.kill()
    await hers.writes(*THREE)
    await expect(hers.state).to_have_text("offline: 3 messages waiting")
    for body in THREE:
        await hers.sees_mark(body, "waiting")
    await hers.page.close()

    server.start()
    again = await (await open_window(hers.page.context, server, alice)).enters(room)
    for window in (again, his):
        await window.sees(*THREE)
        assert await window.bodies() == ["before", "the answer", *THREE]
    await again.sees_mark(THREE[-1], "received")
    await expect(again.state).to_have_text("online")


async def test_a_page_that_stays_open_sends_by_itself_when_the_server_is_back(
    own_server: Server, open_browser: OpenWindow
) -> None:
    server = own_server
    alice, bob = server.person("alice"), server.person("bob")
    room = server.room("tea", [alice, bob])
    hers = await (await open_browser(alice, server=server)).enters(room)
    his = await (await open_browser(bob, server=server)).enters(room)
    server.kill()
    await hers.writes(*THREE)
    await his.writes("me too")
    await expect(his.state).to_have_text("offline: 1 message waiting")
    server.start()
    for window in (hers, his):
        await window.sees(*THREE, "me too")
    assert await hers.bodies() == await his.bodies()
    await hers.sees_mark(THREE[0], "read")


async def test_a_reload_in_the_middle_of_sending_sends_nothing_twice(
    own_server: Server, open_browser: OpenWindow
) -> None:
    server = own_server
    alice = server.person("alice")
    room = server.room("tea", [alice])
    window = await (await open_browser(alice, server=server)).enters(room)
    bodies = [f"message {number}" for number in range(30)]
    for body in bodies:
        await window.composer.fill(body)
        await window.composer.press("Enter")
    await window.page.reload()
    await window.sees_mark(bodies[-1], "received")
    assert await window.bodies() == bodies


async def test_of_several_tabs_one_sends_and_all_show(site: Server, open_browser: OpenWindow) -> None:
    alice = site.person("alice")
    room = site.room("tea", [alice])
    one = await (await open_browser(alice)).enters(room)
    tabs = [one, *[await (await open_window(one.page.context, site)).enters(room) for _ in range(2)]]
    bodies = [f"from tab {number}" for number in range(len(tabs))]
    for tab, body in zip(tabs, bodies, strict=True):
        await tab.writes(body)
    for tab in tabs:
        await tab.sees(*bodies)
        for body in bodies:
            await tab.sees_mark(body, "received")
    senders = [tab for tab in tabs if tab.sent_events("message")]
    assert len(senders) == 1
    assert [data["body"] for data in senders[0].sent_events("message")] == bodies
    await senders[0].page.close()
    rest = [tab for tab in tabs if tab is not senders[0]]
    await rest[0].writes("and on it goes")
    for tab in rest:
        await tab.sees_mark("and on it goes", "received")


async def test_two_people_on_one_browser_do_not_mix(own_server: Server, open_browser: OpenWindow) -> None:
    server = own_server
    alice, bob = server.person("alice"), server.person("bob")
    room = server.room("tea", [alice, bob])
    hers = await (await open_browser(alice, server=server)).enters(room)
    server.kill()
    await hers.writes("from alice")
    await expect(hers.state).to_have_text("offline: 1 message waiting")
    await hers.page.close()
    server.start()
    context = hers.page.context
    name, value = server.cookie(bob).split("=", 1)
    await context.clear_cookies()
    await context.add_cookies([{"name": name, "value": value, "url": server.origin}])
    his = await (await open_window(context, server, bob)).enters(room)
    await his.writes("from bob")
    await his.sees_mark("from bob", "stored")
    assert await his.bodies() == ["from bob"]
    name, value = server.cookie(alice).split("=", 1)
    await context.add_cookies([{"name": name, "value": value, "url": server.origin}])
    again = await (await open_window(context, server, alice)).enters(room)
    await again.sees("from bob", "from alice")


async def test_a_page_whose_person_was_replaced_by_another_speaks_for_nobody_else(
    own_server: Server, open_browser: OpenWindow
) -> None:
    server = own_server
    alice, bob = server.person("alice"), server.person("bob")
    room = server.room("tea", [alice, bob])
    window = await (await open_browser(alice, server=server)).enters(room)
    server.kill()
    await window.writes("from alice")
    await expect(window.state).to_have_text("offline: 1 message waiting")
    name, value = server.cookie(bob).split("=", 1)
    await window.page.context.add_cookies([{"name": name, "value": value, "url": server.origin}])
    server.start()
    await expect(window.page.get_by_role("button", name=bob.name)).to_be_visible()
    await window.is_online()
    await window.writes("from bob")
    await window.sees_mark("from bob", "stored")
    assert await window.bodies() == ["from bob"]


async def test_a_refused_message_says_why_and_can_be_discarded(
    site: Server, open_browser: OpenWindow
) -> None:
    from datetime import timedelta

    from django.utils import timezone

    from chat.models import Membership

    alice = site.person("alice")
    room = site.room("tea", [alice])
    muted = Membership.objects.filter(room__slug=room, user=alice.id)
    window = await (await open_browser(alice)).enters(room)
    await window.has_listed()  # or it would know of the mute, and offer nothing to write in
    site.django(lambda: muted.update(muted_until=timezone.now() + timedelta(hours=1)))
    await window.writes("hush")
    refusal = window.message("hush").locator(".refusal")
    await expect(refusal).to_contain_text("Not sent")
    await window.page.reload()
    await expect(refusal).to_be_visible()
    await window.is_online()
    await window.has_listed()
    await refusal.get_by_role("button", name="Try again").click()
    await window.is_refused("muted", times=2)
    await expect(refusal).to_contain_text("Not sent")
    site.django(lambda: muted.update(muted_until=None))
    await refusal.get_by_role("button", name="Try again").click()
    await window.sees_mark("hush", "received")
    site.django(lambda: muted.update(muted_until=timezone.now() + timedelta(hours=1)))
    await window.writes("away")
    await window.message("away").get_by_role("button", name="Discard").click()
    await expect(window.message("away")).to_have_count(0)


async def test_a_page_shows_the_restored_log_and_no_other(
    own_server: Server, open_browser: OpenWindow
) -> None:
    server = own_server
    alice, bob = server.person("alice"), server.person("bob")
    room = server.room("tea", [alice, bob])
    hers = await (await open_browser(alice, server=server)).enters(room)
    await hers.writes("kept")
    await hers.sees_mark("kept", "stored")
    server.stop()
    copy_database(server, "db", "backup")
    server.start()
    await hers.is_online()
    await hers.writes("lost with the disk")
    await hers.sees_mark("lost with the disk", "stored")
    server.stop()
    copy_database(server, "backup", "db")
    server.manage("restored")
    server.start()
    his = await (await open_browser(bob, server=server)).enters(room)
    await his.writes("from after")
    await hers.sees("kept", "from after")
    assert await hers.bodies() == await his.bodies() == ["kept", "from after"]


async def test_an_edit_made_while_the_server_is_dead_arrives_too(
    own_server: Server, open_browser: OpenWindow
) -> None:
    server = own_server
    alice, bob = server.person("alice"), server.person("bob")
    room = server.room("tea", [alice, bob])
    hers = await (await open_browser(alice, server=server)).enters(room)
    his = await (await open_browser(bob, server=server)).enters(room)
    await hers.writes("Tea at fore")
    await his.sees("Tea at fore")
    server.kill()
    await hers.composer.press("ArrowUp")
    await hers.writes("Tea at four")
    await hers.sees_mark("Tea at four", "waiting")
    server.start()
    await his.sees("Tea at four")

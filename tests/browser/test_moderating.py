"""What moderators and the staff do, and what it looks like to whom it is done."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from chat.services import moderation
from tests.support import Person, Server

from .conftest import OpenWindow
from .test_access import WIDER_THAN_THE_WINDOW
from .test_chat import say
from .windows import Window

HOUR = 3600
AT_REST = "() => Promise.all(document.getAnimations().map((each) => each.finished))"


def act(server: Server, what: Callable[..., Any], by: Person, *about: Any, **more: Any) -> None:
    """From another process than the server's."""
    server.django(what, by.id, *about, **more)


def superuser(server: Server) -> Person:
    from django.contrib.auth.models import User

    root = server.person("root", staff=True)
    server.django(lambda: User.objects.filter(pk=root.id).update(is_superuser=True))
    return root


async def chooses(window: Window, what: str) -> None:
    """In the menu of the room."""
    await window.page.get_by_role("button", name="Room menu").click()
    await window.page.locator(f'#room-menu [data-act="{what}"]').click()


async def picks(window: Window, person: Person, what: str) -> None:
    """In the menu of a member, in the list of members."""
    await window.page.get_by_role("button", name=f"What to do with {person.name}").click()
    await window.page.locator(f'#member-menu [data-do="{what}"]').click()


async def confirms(window: Window, dialog: str, **fields: str) -> None:
    for name, value in fields.items():
        field = window.dialog(dialog).locator(f'[name="{name}"]')
        await (field.select_option(value) if name in ("seconds", "slow_mode") else field.fill(value))
    await window.dialog(dialog).locator('[type="submit"]').click()
    await expect(window.dialog(dialog)).to_be_hidden()


def gate(window: Window) -> Any:
    return window.page.locator(".gate .why")


def over(window: Window) -> Any:
    return window.page.get_by_role("alert").filter(has=window.page.locator(".what"))


async def bans_in_the_admin(window: Window, person: Person, reason: str) -> None:
    await window.goes(f"/admin/auth/user/{person.id}/change/")
    await window.page.get_by_text("Moderate").first.click()
    await window.page.get_by_text("Ban from the site").first.click()
    await window.page.locator('input[name="reason"]').fill(reason)
    await window.page.get_by_role("button", name="Ban", exact=True).click()


async def test_who_is_banned_in_the_admin_while_chatting_is_told_so_and_what_waits_is_refused_to_be_seen(
    site: Server, open_browser: OpenWindow
) -> None:
    alice, bob, root = site.person("alice"), site.person("bob"), superuser(site)
    room = site.room("tea", [alice, bob], slow_mode=HOUR)
    hers = await (await open_browser(alice)).enters(room)
    his = await (await open_browser(bob)).enters(room)
    await his.writes("Cheap watches!", "Last chance!")
    await hers.sees("Cheap watches!")
    await his.sees_mark("Last chance!", "waiting")

    await bans_in_the_admin(await open_browser(root), bob, "spam")
    await expect(over(his)).to_contain_text("You are banned from this site")
    await expect(over(his)).to_contain_text("Reason: spam")
    await expect(over(his)).to_contain_text("1 message was not sent")
    await expect(his.composer).to_be_hidden()
    await his.sees_mark("Last chance!", "refused")
    await expect(his.message("Last chance!").locator(".refusal")).to_contain_text(
        "Not sent: you are banned: spam"
    )

    his.expected.append("403")
    await his.page.reload()
    await expect(his.page.get_by_role("heading", name="You are banned from this site")).to_be_visible()
    await expect(his.page.get_by_role("main")).to_contain_text("Reason: spam")

    act(site, moderation.unban, root, bob.id)
    await his.enters(room)
    await his.sees_mark("Last chance!", "refused")
    assert await hers.bodies() == ["Cheap watches!"]


async def test_an_owner_moderates_from_the_room_and_the_member_sees_what_may_be_done(
    site: Server, open_browser: OpenWindow
) -> None:
    alice, bob, carol = (site.person(name) for name in ("alice", "bob", "carol"))
    room = site.room("tea", [alice, bob, carol])
    hers = await (await open_browser(alice)).enters(room)
    his = await (await open_browser(bob)).enters(room)
    await expect(his.composer).to_be_visible()
    await chooses(hers, "members")
    members = hers.dialog("members")
    await expect(members).to_contain_text("3 members")
    await members.get_by_role("searchbox").fill(bob.name)
    await expect(members).to_contain_text("1 member")

    await picks(hers, bob, "mute")
    await confirms(hers, "mute", seconds=str(HOUR), reason="too loud")
    await expect(gate(his)).to_contain_text("You are muted until")
    await expect(gate(his)).to_contain_text("Reason: too loud")
    await expect(his.composer).to_be_hidden()
    await expect(members).to_contain_text("muted until")
    await picks(hers, bob, "unmute")
    await expect(his.composer).to_be_visible()

    await picks(hers, bob, "moderator")
    await expect(members.locator(".role")).to_have_text("moderator")
    await chooses(his, "members")
    await picks(his, carol, "kick")
    await confirms(his, "kick")
    await expect(his.dialog("members")).to_contain_text("2 members")
    await his.page.keyboard.press("Escape")

    await picks(hers, bob, "ban")
    await confirms(hers, "ban", reason="enough")
    await expect(gate(his)).to_contain_text("You are banned from")
    await expect(gate(his)).to_contain_text("Reason: enough")
    await expect(his.page.get_by_role("button", name="Join this room")).to_be_hidden()
    await members.get_by_role("button", name="Banned").click()
    await expect(members).to_contain_text("1 person is banned")
    await members.get_by_role("button", name=f"Let {bob.name} in again").click()
    await expect(members).to_contain_text("Nobody is banned")
    await his.enters(room)
    await his.page.get_by_role("button", name="Join this room").click()
    await expect(his.composer).to_be_visible()


async def test_in_slow_mode_a_message_waits_in_sight_then_goes_by_itself_and_filtered_words_are_masked(
    site: Server, open_browser: OpenWindow
) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    room = site.room("tea", [alice, bob])
    hers = await (await open_browser(alice)).enters(room)
    his = await (await open_browser(bob)).enters(room)
    await chooses(hers, "settings")
    await confirms(hers, "settings", slow_mode=str(HOUR), filtered_words="darn\n\nheck")
    pace = his.page.locator(".pace")
    await expect(pace).to_contain_text("one message every 1 hr")
    await expect(hers.page.locator(".pace")).to_be_hidden()
    await his.writes("Darn it", "and another")
    await hers.sees("**** it")
    await his.sees_mark("and another", "waiting")
    await expect(pace).to_contain_text("Your next one goes in")
    await expect(his.state).to_have_text("online: 1 message waiting")
    await chooses(hers, "settings")
    await confirms(hers, "settings", slow_mode="0")
    await hers.sees("and another")
    await expect(pace).to_be_hidden()

    act(site, moderation.close_room, superuser(site), room, reason="we moved")
    await expect(gate(his)).to_contain_text(
        "This room was closed. It can be read, not written to. Reason: we moved"
    )
    await expect(gate(hers)).to_be_visible()


async def test_a_report_reaches_who_leads_the_room_and_is_seen_to_there(
    site: Server, open_browser: OpenWindow
) -> None:
    alice, bob, carol = (site.person(name) for name in ("alice", "bob", "carol"))
    room = site.room("tea", [alice, bob, carol])
    say(site, room, carol, "Cheap watches!", "You are all fools")
    hers = await (await open_browser(alice)).enters(room)
    his = await (await open_browser(bob)).enters(room)
    flag = hers.page.get_by_role("button", name="1 open report")
    await his.acts("Cheap watches!", "report")
    await confirms(his, "report", reason="an advertisement")
    await expect(
        his.page.get_by_text("Reported. The moderators of this room will look at it.").first
    ).to_be_visible()
    await flag.click()

    report = hers.dialog("reports").locator(".report")
    await expect(report).to_contain_text("an advertisement")
    await expect(report).to_contain_text(f"{carol.name}: Cheap watches!")
    await report.get_by_role("button", name="I see to it").click()
    await expect(report).to_contain_text(f"{alice.name} sees to it.")
    await expect(flag).to_be_hidden()
    await report.get_by_role("button", name="Delete message…").click()
    await confirms(hers, "delete", reason="no ads")
    await expect(his.page.get_by_text(f"deleted by {alice.name}. Reason: no ads")).to_be_visible()
    await report.get_by_role("button", name="Resolve…").click()
    await confirms(hers, "settle", outcome="deleted")
    await expect(hers.dialog("reports")).to_contain_text("Nothing to see to.")
    await hers.dialog("reports").get_by_role("button", name="All").click()
    await expect(report).to_contain_text(f"Resolved by {alice.name}")
    await expect(report).to_contain_text("What came of it: deleted")


async def test_who_is_signed_out_by_the_staff_is_told_so_and_what_waits_goes_after_signing_in(
    site: Server, open_browser: OpenWindow
) -> None:
    alice, bob, root = site.person("alice"), site.person("bob"), superuser(site)
    room = site.room("tea", [alice, bob], slow_mode=HOUR)
    his = await (await open_browser(bob)).enters(room)
    await his.writes("first", "second")
    await his.sees_mark("second", "waiting")
    act(site, moderation.end_sessions, root, bob.id, reason="a stolen laptop")
    await expect(over(his)).to_contain_text("your session has ended")
    await expect(over(his)).to_contain_text("Reason: a stolen laptop")
    await expect(over(his)).to_contain_text("1 message was not sent yet")
    await expect(his.composer).to_be_hidden()
    link = his.page.get_by_role("link", name="Sign in")
    await expect(link).to_have_attribute("href", re.compile(rf"/accounts/login/\?next=%2Frooms%2F{room}%2F$"))

    act(site, moderation.set_rules, root, room, slow_mode=0)
    name, value = site.cookie(bob).split("=", 1)
    await his.page.context.add_cookies([{"name": name, "value": value, "url": site.origin}])
    await his.enters(room)
    await his.sees_mark("second", "stored")


async def test_the_dialogs_of_moderation_work_by_keyboard_and_axe_finds_nothing_to_complain_of(
    site: Server, open_browser: OpenWindow
) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    room = site.room("tea", [alice, bob])
    say(site, room, bob, "Cheap watches!")
    window = await (await open_browser(alice)).enters(room)
    page, press = window.page, window.page.keyboard.press
    check = checker(window)

    await chooses(window, "members")
    await expect(window.dialog("members")).to_contain_text("2 members")
    opener = page.get_by_role("button", name=f"What to do with {bob.name}")
    await opener.focus()
    await press("Enter")
    await expect(page.get_by_role("button", name="Make a moderator")).to_be_focused()
    await check()
    await press("Escape")
    await expect(page.locator("#member-menu")).to_be_hidden()
    await expect(opener).to_be_focused()
    await press("Enter")
    await page.get_by_role("button", name="Ban…").focus()
    await press("Enter")
    await expect(window.dialog("ban").get_by_label("For how long")).to_be_focused()
    await check()
    await press("Tab")
    await page.keyboard.type("enough")
    await press("Enter")
    await expect(window.dialog("ban")).to_be_hidden()
    await expect(opener).to_be_hidden()
    await expect(window.dialog("members").get_by_role("searchbox")).to_be_focused()
    await press("Escape")

    await chooses(window, "settings")
    await expect(window.dialog("settings").get_by_label("Name")).to_be_focused()
    await check()
    await press("Escape")
    await window.acts("Cheap watches!", "report")
    await page.keyboard.type("an advertisement")
    await press("Enter")
    await chooses(window, "reports")
    await check()


def checker(window: Window) -> Callable[[], Awaitable[None]]:
    """Light and dark, and in a phone's width."""
    axe = Axe()

    async def check() -> None:
        for scheme in ("light", "dark"):
            await window.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            await window.page.evaluate(AT_REST)
            found = await axe.run(window.page)
            assert found.violations_count == 0, found.generate_report()
        usual = window.page.viewport_size
        await window.page.set_viewport_size({"width": 320, "height": 640})
        assert not await window.page.evaluate(WIDER_THAN_THE_WINDOW)
        await window.page.set_viewport_size(usual or {"width": 1200, "height": 760})

    return check

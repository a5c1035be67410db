"""Two people chat in two windows."""

from __future__ import annotations

import re

from playwright.async_api import expect

from chat.delivery import door
from chat.delivery.entries import Draft
from tests.support import Person, Server

from .conftest import OpenWindow
from .windows import open_window


def say(server: Server, room: str, person: Person, *bodies: str) -> None:
    """Messages that were there before the window was opened."""
    drafts = [
        Draft("chat", room, person.id, f"before-{number}", "message", body=body)
        for number, body in enumerate(bodies)
    ]
    server.django(door.write, *drafts)


def all_have_read(server: Server, room: str) -> None:
    from chat.models import Membership, Room

    def update() -> None:
        log = Room.objects.get(slug=room)
        cursors = {"received": log.head, "read": log.head, "read_messages": log.messages}
        Membership.objects.filter(room=log).update(**cursors)

    server.django(update)


async def test_a_message_is_read_by_the_other_and_its_sender_sees_that_all_have_it(
    site: Server, open_browser: OpenWindow
) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    room = site.room("tea", [alice, bob])
    hers = await (await open_browser(alice)).enters(room)
    his = await (await open_browser(bob)).enters(room)
    await hers.writes("Is anyone there?")
    await his.sees("Is anyone there?")
    await hers.sees_mark("Is anyone there?", "received")
    await his.writes("I am.")
    await hers.sees("I am.")
    await hers.sees_mark("Is anyone there?", "read")


async def test_a_message_is_only_sent_while_one_member_is_away_and_received_once_they_are_back(
    site: Server, open_browser: OpenWindow
) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    room = site.room("tea", [alice, bob])
    hers = await (await open_browser(alice)).enters(room)
    await hers.writes("For later")
    await hers.sees_mark("For later", "stored")
    await hers.acts("For later", "who")
    await expect(hers.page.locator("#who .pending")).to_have_text("1 member has not received it yet.")
    await hers.page.keyboard.press("Escape")
    his = await (await open_browser(bob)).goes("/")
    await hers.sees_mark("For later", "received")
    await his.room(room).click()
    await hers.sees_mark("For later", "read")
    await hers.message("For later").locator(".mark").click()
    await expect(hers.page.locator("#who")).to_contain_text(bob.name)


async def test_several_lines_markup_and_emoji_are_shown_as_they_were_meant(
    site: Server, open_browser: OpenWindow
) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    room = site.room("tea", [alice, bob])
    hers = await (await open_browser(alice)).enters(room)
    his = await (await open_browser(bob)).enters(room)
    await hers.composer.fill("one")
    await hers.composer.press("Shift+Enter")
    await hers.composer.press_sequentially("two")
    await hers.composer.press("Enter")
    await hers.writes("**bold** https://example.org/", "🎉")
    await expect(his.page.locator(".message .body").first).to_have_text("one\ntwo", use_inner_text=True)
    await expect(his.page.locator(".body strong")).to_have_text("bold")
    await expect(his.page.locator(".body a")).to_have_attribute("rel", re.compile("noopener"))
    await expect(his.page.locator(".body.jumbo")).to_have_text("🎉")


async def test_script_in_a_body_a_room_and_a_topic_stays_text(site: Server, open_browser: OpenWindow) -> None:
    alice = site.person("alice")
    attack = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    room = site.room("evil", [alice], name=attack, topic=attack)
    window = await open_browser(alice)
    alerts: list[str] = []
    window.page.on("dialog", lambda dialog: alerts.append(dialog.message))
    await window.enters(room)
    bodies = [attack, f"*{attack}*", "[click](javascript:alert(3))"]
    await window.writes(*bodies)
    await expect(window.page.locator(".message .mark[data-mark=read]")).to_have_count(3)
    await expect(window.page.locator(".room-head .room-name")).to_have_text(attack)
    await expect(window.page.locator(".topic")).to_have_text(attack)
    assert (
        await window.page.locator(".message script, .message img, .message a[href^=javascript]").count() == 0
    )
    assert not alerts


async def test_an_edit_a_reaction_a_reply_and_a_deletion_reach_the_other(
    site: Server, open_browser: OpenWindow
) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    room = site.room("tea", [alice, bob])
    hers = await (await open_browser(alice)).enters(room)
    his = await (await open_browser(bob)).enters(room)
    await hers.writes("Tea at fore")
    await his.sees("Tea at fore")

    await hers.acts("Tea at fore", "edit")
    await expect(hers.composer).to_have_value("Tea at fore")
    await hers.writes("Tea at four")
    await his.sees("Tea at four")
    await expect(his.message("Tea at four").locator(".at")).to_contain_text("edited")

    await his.acts("Tea at four", "pick")
    await his.page.get_by_role("button", name="thumbs up").click()
    reaction = hers.message("Tea at four").locator(".reactions button")
    await expect(reaction).to_have_text("👍 1")
    await reaction.click()
    await expect(his.message("Tea at four").locator(".reactions button")).to_have_text("👍 2")
    await reaction.click()
    await expect(his.message("Tea at four").locator(".reactions button")).to_have_text("👍 1")

    await his.acts("Tea at four", "reply")
    await his.writes("With milk")
    await expect(hers.message("With milk").locator(".quote")).to_have_text(f"{alice.name} Tea at four")

    await hers.acts("Tea at four", "delete")
    await hers.dialog("delete").get_by_role("button", name="Delete").click()
    await expect(his.message("Tea at four")).to_have_count(0)
    await his.sees("This message was deleted.")


async def test_who_types_and_who_is_here_is_shown(site: Server, open_browser: OpenWindow) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    room = site.room("tea", [alice, bob])
    hers = await (await open_browser(alice)).enters(room)
    his = await (await open_browser(bob)).enters(room)
    await expect(hers.page.locator(".people-button")).to_have_text("2")
    await his.composer.press_sequentially("I th")
    await expect(hers.page.locator(".typing")).to_have_text(f"{bob.name} is typing…")
    await his.composer.press("Enter")
    await expect(hers.page.locator(".typing")).to_be_empty()
    await his.page.close()
    await expect(hers.page.locator(".people-button")).to_have_text("1")


# Scrolls up by a little; how far did the row in sight move otherwise than by that?
SCROLL_UP = """async (list) => {
  const top = list.getBoundingClientRect().top;
  const row = [...list.querySelectorAll(".message")].find((each) => each.getBoundingClientRect().top >= top);
  const at = row.getBoundingClientRect().top;
  const before = list.scrollTop;
  list.scrollBy(0, -200);
  const by = before - list.scrollTop;
  const watch = { childList: true, subtree: true };
  const older = new Promise((come) => new MutationObserver(come).observe(list, watch));
  const idle = new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(next)));
  await Promise.race([older, idle]);
  return row.getBoundingClientRect().top - at - by;
}"""


async def test_older_pages_come_on_scrolling_up_and_the_reader_stays_where_he_was(
    site: Server, open_browser: OpenWindow
) -> None:
    alice = site.person("alice")
    room = site.room("long", [alice])
    say(site, room, alice, *(f"line {number}" for number in range(1, 181)))
    all_have_read(site, room)
    window = await (await open_browser(alice)).enters(room)
    await window.sees("line 180")
    await window.page.locator("message-list").hover()
    rows = window.page.locator(".message")
    while await rows.first.text_content() and "line 1" not in await window.bodies():
        # One look per frame: the row at the top of the window, before and after older ones came.
        jump = await window.page.locator("message-list").evaluate(SCROLL_UP)
        assert abs(jump) <= 1
    await window.sees("line 1")
    assert (await window.bodies())[:180] == [f"line {number}" for number in range(1, 181)]
    await window.page.get_by_role("button", name="To the newest").click()
    await expect(window.message("line 180")).to_be_in_viewport()


async def test_a_long_stay_in_the_past_keeps_the_window_bounded_and_finds_back(
    site: Server, open_browser: OpenWindow
) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    room = site.room("long", [alice, bob])
    say(site, room, alice, *(f"line {number}" for number in range(1, 501)))
    all_have_read(site, room)
    window = await (await open_browser(alice)).enters(room)
    await window.sees("line 500")
    messages = window.page.locator(".message")
    while "line 1" not in await window.bodies():
        await window.page.locator("message-list").evaluate("(list) => list.scrollTo(0, -1e9)")
        await window.page.evaluate("() => new Promise(requestAnimationFrame)")
    assert await messages.count() <= 300
    his = await (await open_browser(bob)).enters(room)
    await his.writes("news")
    await expect(window.page.get_by_role("button", name="1 new message")).to_be_visible()
    await window.page.get_by_role("button", name="1 new message").click()
    await window.sees("news")
    await expect(window.message("news")).to_be_in_viewport()


async def test_unread_messages_are_counted_in_the_list_and_the_title_until_they_are_read(
    site: Server, open_browser: OpenWindow
) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    here, there = site.room("here", [alice, bob]), site.room("there", [alice, bob])
    hers = await (await open_browser(alice)).enters(here)
    his = await (await open_browser(bob)).enters(there)
    await his.writes("one", f"two for @{alice.name}")
    await expect(hers.room(there).locator(".badge")).to_have_text("@ 2")
    await expect(hers.page).to_have_title(re.compile(r"^\(2\) "))
    await hers.room(there).click()
    await hers.sees("one")
    await expect(hers.page.locator(".new-divider")).to_be_visible()
    await expect(hers.message(f"two for @{alice.name}")).to_have_class(re.compile("mentions-me"))
    await expect(hers.room(there).locator(".badge")).to_be_hidden()
    await expect(hers.page).to_have_title(re.compile(rf"^{there} "))


async def test_reading_in_one_tab_is_reading_in_all(site: Server, open_browser: OpenWindow) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    here, there = site.room("here", [alice, bob]), site.room("there", [alice, bob])
    one = await (await open_browser(alice)).enters(here)
    other = await (await open_window(one.page.context, site)).enters(here)
    his = await (await open_browser(bob)).enters(there)
    await his.writes("hello")
    await expect(other.room(there).locator(".badge")).to_have_text("1")
    await one.room(there).click()
    await expect(other.room(there).locator(".badge")).to_be_hidden()


async def test_a_room_is_made_someone_invited_and_it_is_left_again(
    site: Server, open_browser: OpenWindow
) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    hers = await (await open_browser(alice)).goes("/")
    his = await (await open_browser(bob)).goes("/")
    await hers.is_online()
    await his.is_online()
    name = f"Secret Plans {alice.id}"
    slug = f"secret-plans-{alice.id}"
    await hers.page.locator(".lobby").get_by_role("button", name="Create a room").click()
    dialog = hers.dialog("create")
    await dialog.get_by_label("Name").fill(name)
    await expect(dialog.locator("output")).to_have_text(f"/rooms/{slug}/")
    await dialog.get_by_label("Only who is invited").check()
    await dialog.get_by_role("button", name="Create").click()
    await expect(hers.page).to_have_url(f"{site.origin}/rooms/{slug}/")
    await expect(hers.page.locator(".notice")).to_contain_text("Nothing was written here yet")

    await hers.page.get_by_role("button", name="Room menu").click()
    await hers.page.get_by_role("button", name="Invite someone").click()
    await hers.dialog("invite").get_by_label("User name").fill("nobody-of-that-name")
    await hers.dialog("invite").get_by_role("button", name="Invite").click()
    await expect(hers.dialog("invite").get_by_role("alert")).to_be_visible()
    await hers.dialog("invite").get_by_label("User name").fill(bob.name)
    await hers.dialog("invite").get_by_role("button", name="Invite").click()
    await expect(hers.dialog("invite")).to_be_hidden()

    await his.room(slug).click()
    await his.writes("What is the plan?")
    await hers.sees("What is the plan?")
    await his.page.get_by_role("button", name="Room menu").click()
    await his.page.get_by_role("button", name="Leave the room").click()
    await his.dialog("quit").get_by_role("button", name="Leave").click()
    await expect(his.page).to_have_url(f"{site.origin}/")
    await expect(his.room(slug)).to_have_count(0)


async def test_a_room_that_is_taken_says_so_and_keeps_what_was_typed(
    site: Server, open_browser: OpenWindow
) -> None:
    alice = site.person("alice")
    room = site.room("taken", [alice])
    window = await (await open_browser(alice)).goes("/")
    await window.is_online()
    await window.page.locator(".sidebar").get_by_role("button", name="Create a room").click()
    await window.dialog("create").get_by_label("Name").fill(room)
    await window.dialog("create").get_by_role("button", name="Create").click()
    await expect(window.dialog("create").get_by_role("alert")).to_be_visible()
    await expect(window.dialog("create").get_by_label("Name")).to_have_value(room)


async def test_a_public_room_is_looked_at_and_joined_a_private_one_is_absent(
    site: Server, open_browser: OpenWindow
) -> None:
    alice, charlie = site.person("alice"), site.person("charlie")
    public, private = site.room("public", [alice]), site.room("private", [alice], private=True)
    say(site, public, alice, "from before")
    hers = await (await open_browser(alice)).enters(public)
    theirs = await open_browser(charlie)
    theirs.expected.append("404")
    for absent in (private, "nowhere-at-all"):
        answer = await theirs.page.goto(f"{site.origin}/rooms/{absent}/")
        assert answer and answer.status == 404
    await theirs.enters(public)
    await theirs.sees("from before")
    await expect(theirs.composer).to_be_hidden()
    await theirs.page.get_by_role("button", name="Join this room").click()
    await theirs.writes("May I?")
    await hers.sees("May I?")
    assert await theirs.bodies() == ["from before", "May I?"]


async def test_a_draft_is_kept_for_each_room(site: Server, open_browser: OpenWindow) -> None:
    alice = site.person("alice")
    one, other = site.room("one", [alice]), site.room("other", [alice])
    window = await (await open_browser(alice)).enters(one)
    await window.composer.fill("half a thou")
    await window.room(other).click()
    await expect(window.composer).to_have_value("")
    await window.page.go_back()
    await expect(window.composer).to_have_value("half a thou")
    await window.page.reload()
    await expect(window.composer).to_have_value("half a thou")


async def test_an_unordered_room_shows_all_in_order_too(site: Server, open_browser: OpenWindow) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    room = site.room("bag", [alice, bob], ordering="unordered")
    hers = await (await open_browser(alice)).enters(room)
    await hers.writes("one", "two", "three")
    await hers.sees_mark("three", "stored")
    his = await (await open_browser(bob)).enters(room)
    await his.sees("one", "two", "three")
    await hers.sees_mark("three", "received")
    assert await his.bodies() == ["one", "two", "three"]


async def test_signing_up_and_out_and_in(site: Server, open_browser: OpenWindow) -> None:
    window = await (await open_browser()).goes("/rooms/nothing-yet/")
    page = window.page
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await window.goes("/accounts/signup/")
    name = site.person("dora").name.replace("dora", "ada")  # unique on this server
    await page.get_by_label("Username").fill(name)
    await page.get_by_label("Password", exact=True).fill("correct horse battery")
    await page.get_by_label("Password confirmation").fill("correct horse battery")
    await page.locator("main").get_by_role("button").click()
    await expect(page.get_by_role("heading", name=f"Hello, {name}")).to_be_visible()
    await window.is_online()
    await page.get_by_role("button", name=name).click()
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_label("Username").fill(name)
    await page.get_by_label("Password").fill("correct horse battery")
    await page.get_by_role("button", name="Sign in").click()
    await window.is_online()


async def test_signing_out_in_one_tab_ends_the_others_connection(
    site: Server, open_browser: OpenWindow
) -> None:
    alice = site.person("alice")
    room = site.room("tea", [alice])
    one = await (await open_browser(alice)).enters(room)
    other = await (await open_window(one.page.context, site)).enters(room)
    await other.page.get_by_role("button", name=alice.name).click()
    await other.page.get_by_role("button", name="Sign out").click()
    await expect(one.page.locator("connection-state")).to_have_attribute("data-state", "ended")
    await expect(one.page.get_by_role("link", name="Sign in")).to_be_visible()

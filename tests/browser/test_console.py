"""The staff's console: what happens elsewhere is seen there, and what is done there is felt elsewhere.

Alice is one of the staff, Bob a member, Charlie another one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Locator, expect

from chat.models import DeadLetter, Room
from chat.services import queues, reports
from tests.support import Person, Server
from tests.support.server import fresh

from .conftest import OpenWindow
from .test_access import WIDER_THAN_THE_WINDOW
from .windows import Window

#: The others' rows are made of the same.
PARTS = ["overview", "sockets", "lag", "reports", "audit"]


class Console:
    """A window on the console."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.page = window.page

    @property
    def rows(self) -> Locator:
        return self.page.locator(".part:not([hidden]) .scroll > .rows > .row")

    @property
    def log(self) -> Locator:
        return self.page.locator("event-log .lines li")

    def row(self, words: str) -> Locator:
        return self.rows.filter(has_text=words)

    def plot(self, name: str) -> Locator:
        return self.page.locator(f'live-plot[data-plot="{name}"]')

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    async def opens(self, part: str) -> None:
        await self.page.locator(f'.parts a[data-part="{part}"]').click()

    async def chooses(self, row: Locator, act: str) -> Locator:
        """An act of a row's menu; returns its dialog."""
        await row.get_by_role("button", name="What to do about it").click()
        await self.page.get_by_role("button", name=act).click()
        return self.page.locator("dialog[open]")

    async def finds(self, words: str) -> Locator:
        await self.page.locator('.part:not([hidden]) input[type="search"]').fill(words)
        return self.row(words)


@pytest.fixture
def alice(site: Server) -> Person:
    return site.person("alice", staff=True)


@pytest.fixture
def bob(site: Server) -> Person:
    return site.person("bob")


@pytest.fixture
def room(site: Server, bob: Person) -> str:
    return site.room("room", [site.person("owner"), bob])


@pytest.fixture
def open_console(open_browser: OpenWindow) -> Callable[..., Any]:
    async def open_one(person: Person, part: str = "", **options: Any) -> Console:
        window = await open_browser(person, **options)
        await window.goes(f"/console/{part}")
        await window.is_online()
        return Console(window)

    return open_one


# Looking


async def test_what_happens_is_seen_as_a_line_and_in_the_plots(
    open_console: Callable[..., Any], open_browser: OpenWindow, alice: Person, bob: Person, room: str
) -> None:
    console = await open_console(alice)
    await expect(console.plot("sockets").locator(".now")).to_have_text(re.compile(r"^[1-9]"))
    window = await (await open_browser(bob)).enters(room)
    await expect(console.log.filter(has_text=f"a user joined a room user={bob.name}")).to_have_count(1)
    await window.writes("hello")
    await expect(console.plot("stored").locator(".line")).to_have_attribute("d", re.compile(r"^M"))
    told = console.plot("delivered").locator("svg")
    await expect(told).to_have_attribute("aria-label", re.compile(r"at most [1-9.]+ /s in the last 5 min"))
    await console.page.get_by_text("The figures as a table").click()
    await expect(console.page.get_by_role("row", name=re.compile("Commit to push, p99.* ms"))).to_be_visible()
    await console.page.get_by_label("1 min", exact=True).check(force=True)
    await expect(told).to_have_attribute("aria-label", re.compile("in the last 1 min"))


async def test_the_event_log_stands_still_while_one_reads_and_shows_what_one_looks_for(
    open_console: Callable[..., Any], open_browser: OpenWindow, alice: Person, bob: Person, site: Server
) -> None:
    console = await open_console(alice)
    await console.page.keyboard.press("p")
    await (await open_browser(bob)).goes("/")
    resume = console.page.get_by_role("button", name=re.compile(r"Go on: \d+ new line"))
    await expect(resume).to_be_visible()
    mine = console.log.filter(has_text=f"user={bob.name}")
    await expect(mine).to_have_count(0)
    await resume.click()
    await expect(mine.filter(has_text="a user connected")).to_have_count(1)
    await console.page.locator("event-log input").fill("no such words")
    await expect(console.page.get_by_text("No line has these words.")).to_be_visible()
    await expect(console.log).to_have_count(0)


async def test_lag_is_seen_by_room_and_by_member(
    open_console: Callable[..., Any], site: Server, alice: Person, bob: Person, room: str
) -> None:
    site.django(write, room, bob, "one", "two", "three")
    console = await open_console(alice, "lag/")
    await expect(console.row(room)).to_contain_text("3 behind")
    await console.row(room).locator("summary").click()
    member = console.row(room).locator(".members .row", has_text=bob.name)
    await expect(member).to_contain_text("3 behind")
    await expect(member).to_contain_text("offline")


def write(room: str, person: Person, *bodies: str) -> list[int]:
    from chat.delivery import door
    from chat.delivery.entries import Draft

    drafts = [Draft("chat", room, person.id, fresh("id"), "message", body=body) for body in bodies]
    return [receipt.seq for receipt in door.write(*drafts)]


# Doing


async def test_a_ban_says_why_it_is_refused_or_closes_the_persons_page_and_tells_them_why(
    open_console: Callable[..., Any], open_browser: OpenWindow, alice: Person, bob: Person, room: str
) -> None:
    console = await open_console(alice, "people/")
    window = await (await open_browser(bob)).enters(room)
    dialog = await console.chooses(await console.finds(bob.name), "Ban…")
    await expect(dialog.get_by_role("heading")).to_have_text(f"Ban {bob.name}")
    await dialog.get_by_label("One room").check()
    await dialog.get_by_label("Room", exact=True).fill("absent")
    await dialog.get_by_label("Reason").fill("spam all day")
    await dialog.get_by_label("For how long").select_option("For good")
    await dialog.get_by_role("button", name="Ban", exact=True).click()
    await expect(dialog.get_by_role("alert")).to_have_text("there is no room 'absent' in /chat")
    await dialog.get_by_label("The whole site").check()
    await dialog.get_by_role("button", name="Ban", exact=True).click()
    await expect(dialog).to_have_count(0)
    await expect(window.state).to_contain_text("disconnected")
    assert "banned" in window.refusals
    await expect(window.page.locator("connection-ended")).to_contain_text("spam all day")
    await expect(console.row(bob.name)).to_contain_text("banned")
    dialog = await console.chooses(console.row(bob.name), "Lift the ban…")
    await dialog.get_by_role("button", name="Lift the ban").click()
    await expect(console.row(bob.name)).not_to_contain_text("banned")
    await console.opens("audit")
    await expect(console.row(f"a user was unbanned {bob.name}")).to_have_count(1)


async def test_connections_are_seen_one_is_closed_and_the_persons_others_stay(
    open_console: Callable[..., Any], open_browser: OpenWindow, alice: Person, bob: Person, room: str
) -> None:
    window = await (await open_browser(bob)).enters(room)
    other = await open_browser(bob)
    await other.goes("/orders/")
    await other.is_online()
    console = await open_console(alice, "sockets/")
    await console.finds(bob.name)
    await expect(console.rows).to_have_count(2)
    await expect(console.row("/chat")).to_contain_text(room)
    dialog = await console.chooses(console.row("/chat"), "Close this connection…")
    await dialog.get_by_label("Reason").fill("wrong room")
    await dialog.get_by_role("button", name="Send away").click()
    await expect(window.state).to_contain_text("disconnected")
    await expect(window.page.locator("connection-ended")).to_contain_text("wrong room")
    await expect(console.rows).to_have_count(1)
    await other.is_online()


async def test_a_room_gets_rules_is_closed_and_opened_again(
    open_console: Callable[..., Any], site: Server, alice: Person
) -> None:
    room = site.room("0room")  # early in the list, however many there are
    console = await open_console(alice, "rooms/")
    dialog = await console.chooses(console.row(room), "Rules…")
    slow = dialog.get_by_label("Slow mode, in seconds")
    await expect(slow).to_have_value("0")
    await slow.fill("30")
    await dialog.get_by_label("Filtered words, one a line").fill("fiddle\nsticks")
    await dialog.get_by_role("button", name="Save").click()
    await expect(console.row(room)).to_contain_text("slow mode: 30 sec")
    dialog = await console.chooses(console.row(room), "Close…")
    await dialog.get_by_role("button", name="Close it").click()
    await expect(console.row(room)).to_contain_text("closed")
    dialog = await console.chooses(console.row(room), "Open again…")
    await dialog.get_by_role("button", name="Open it").click()
    await expect(console.row(room)).not_to_contain_text("closed")
    rules = site.django(lambda: Room.objects.get(slug=room).filtered_words)
    assert rules == "fiddle\nsticks"


async def test_a_report_comes_in_is_claimed_and_ends_with_the_message(
    open_console: Callable[..., Any], site: Server, alice: Person, bob: Person, room: str
) -> None:
    console = await open_console(alice, "reports/")
    await expect(console.page.locator("console-reports .scroll")).to_be_visible()
    [seq] = site.django(write, room, bob, "rubbish")
    charlie = site.person("charlie")
    site.django(reports.report, "chat", room, charlie.id, seq, "rude to everyone")
    row = console.row("rude to everyone")
    await expect(row).to_contain_text("rubbish")
    await expect(console.page.locator("#announcements")).to_contain_text(f"New report in {room}")
    await row.get_by_role("button", name="Claim").click()
    await expect(row).to_contain_text(f"claimed by {alice.name}")
    await row.get_by_role("button", name="Delete the message…").click()
    dialog = console.page.locator("dialog[open]")
    await dialog.get_by_label("Reason").fill("house rules")
    await dialog.get_by_role("button", name="Delete", exact=True).click()
    await expect(row).to_contain_text("The message was deleted by")
    await row.get_by_role("button", name="Resolve…").click()
    await dialog.get_by_label("What came of it").fill("deleted it")
    await dialog.get_by_role("button", name="Save").click()
    await expect(row).to_have_count(0)
    await console.page.get_by_label("Which reports").select_option("Resolved")
    await expect(row).to_contain_text("Outcome: deleted it")


async def test_a_dead_order_is_revived_and_what_a_member_never_got_is_buried(
    open_console: Callable[..., Any], site: Server, alice: Person, bob: Person, room: str
) -> None:
    queue = fresh("kitchen")

    def die() -> None:
        from chat.delivery import door, leases
        from chat.delivery.entries import Draft

        made = queues.create("orders", bob.id, queue, max_attempts=1)
        door.write(Draft("orders", queue, bob.id, fresh("id"), "item", body='"soup"'))
        [leased] = leases.take([leases.Want(made.pk, bob.id, "elsewhere", 1)])
        leases.settle([leases.Fail(made.pk, leased.order.seq, leased.token, bob.id, "burnt", 0)])
        place = Room.objects.get(slug=room)
        DeadLetter.objects.create(room=place, user_id=bob.id, first=2, last=4, reason="expired")

    site.django(die)
    console = await open_console(alice, "letters/")
    order = console.row(f"orders/{queue}")
    await expect(order).to_contain_text("soup")
    await expect(order).to_contain_text("burnt")
    await order.get_by_role("button", name="Revive").click()
    await expect(order).to_have_count(0)
    entries = console.row(f"Entries 2–4, not received by {bob.name}")
    await expect(entries.get_by_role("button", name="Revive")).to_be_hidden()
    await entries.get_by_role("button", name="Bury…").click()
    await console.page.locator("dialog[open]").get_by_role("button", name="Bury").click()
    await expect(entries).to_have_count(0)


# For everyone


PHONE, SCREEN = {"width": 390, "height": 800}, {"width": 1280, "height": 800}


@pytest.mark.parametrize(
    ("scheme", "size", "parts"), [("light", PHONE, PARTS), ("dark", SCREEN, ["reports"])]
)
async def test_the_console_passes_an_accessibility_check_and_fits_a_phone(
    open_console: Callable[..., Any],
    site: Server,
    alice: Person,
    bob: Person,
    room: str,
    scheme: str,
    size: dict[str, int],
    parts: list[str],
) -> None:
    [seq] = site.django(write, room, bob, "rubbish " * 20)
    site.django(reports.report, "chat", room, site.person("charlie").id, seq, "rude")
    console = await open_console(alice, color_scheme=scheme, viewport=size)
    await expect(console.plot("sockets").locator(".now")).to_have_text(re.compile(r"^[1-9]"))
    axe = Axe()
    for part in parts:
        await console.opens(part)
        if part != "overview":
            shown = console.rows.or_(console.page.locator(".part:not([hidden]) .count:not(:empty)"))
            await expect(shown.first).to_be_visible()
        found = await axe.run(console.page)
        assert found.violations_count == 0, (part, found.generate_report())
        assert not await console.page.evaluate(WIDER_THAN_THE_WINDOW), part


async def test_all_parts_are_reached_by_keys_and_have_addresses(
    open_console: Callable[..., Any], alice: Person
) -> None:
    console = await open_console(alice)
    page = console.page
    await page.keyboard.press("Alt+ArrowDown")
    await expect(page.get_by_role("heading", name="Sockets", exact=True)).to_be_visible()
    assert page.url.endswith("/console/sockets/")
    await page.keyboard.press("/")
    await expect(page.locator("console-sockets input")).to_be_focused()
    await page.go_back()
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    await page.keyboard.press("?")
    await expect(page.get_by_role("heading", name="Keyboard shortcuts")).to_be_visible()

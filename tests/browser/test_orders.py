"""The orders board: two people, a queue, and work in the browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Locator, expect

from tests.support import Person, Server
from tests.support.server import fresh

from .conftest import OpenWindow
from .test_access import WIDER_THAN_THE_WINDOW
from .windows import Window, open_window


@pytest.fixture
def own_server(new_server: Callable[..., Server]) -> Iterator[Server]:
    """A server that may be killed."""
    with new_server(env={"DEBUG": "1"}) as server:
        yield server


def make_queue(server: Server, owner: Person, **policy: Any) -> str:
    from chat.services import queues

    name = fresh("kitchen")
    server.django(queues.create, "orders", owner.id, name, **policy)
    return name


def order(server: Server, queue: str, person: Person, *items: str) -> None:
    """Orders that were there before the window was opened."""
    from chat.delivery import door
    from chat.delivery.entries import Draft
    from chat.services.queues import as_json

    drafts = [
        Draft("orders", queue, person.id, fresh("order"), "item", body=as_json("item", item))
        for item in items
    ]
    server.django(door.write, *drafts)


def done_unseen(queue: str, person: int) -> None:
    """As if every event of it had been lost: nobody is told."""
    from chat.delivery import leases
    from chat.models import Room

    room = Room.objects.get(namespace="orders", slug=queue).pk
    [leased] = leases.take([leases.Want(room, person, "elsewhere", 1)])
    leases.settle([leases.Done(room, leased.order.seq, leased.token, person)])


# Says "extended" once the bar of the lease has been filled up so many times.
COUNT_EXTENSIONS = """(times) => {
  let before = 1;
  const look = () => {
    const { value } = document.querySelector(".lease progress");
    if (value > before + 0.05) times -= 1;
    before = value;
    if (times) requestAnimationFrame(look);
    else console.log("extended");
  };
  look();
}"""


class Board:
    """A window on a queue."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.page = window.page

    @property
    def composer(self) -> Locator:
        return self.page.locator("order-composer textarea")

    @property
    def lease(self) -> Locator:
        return self.page.locator(".lease")

    def lane(self, name: str) -> Locator:
        return self.page.get_by_role("region", name=re.compile(f"^{name}"))

    def card(self, lane: str, words: str) -> Locator:
        return self.lane(lane).locator(".order", has_text=words)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    async def orders(self, *items: str) -> None:
        for item in items:
            await self.composer.fill(item)
            await self.composer.press("Enter")

    async def sees(self, lane: str, *items: str) -> None:
        for item in items:
            await expect(self.card(lane, item)).to_be_visible()

    async def counts(self, **lanes: int) -> None:
        for state, count in lanes.items():
            await expect(self.page.locator(f"#lane-{state} .count")).to_have_text(str(count))


@pytest.fixture
def open_board(open_browser: OpenWindow) -> Callable[..., Any]:
    async def open_one(person: Person, queue: str = "", **options: Any) -> Board:
        window = await open_browser(person, **options)
        await window.goes(f"/orders/{queue}/" if queue else "/orders/")
        await window.is_online()
        return Board(window)

    return open_one


OpenBoard = Callable[..., Any]


async def test_an_order_is_made_taken_and_done_before_the_eyes_of_both(
    site: Server, open_board: OpenBoard
) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    hers = await open_board(alice)
    await hers.page.locator(".sidebar").get_by_role("button", name="Create a queue").click()
    name = fresh("Kitchen")
    await hers.page.get_by_label("Name").fill(name)
    await hers.page.get_by_label("Attempts").fill("3")
    await hers.button("Create").click()
    await expect(hers.page).to_have_url(f"{site.origin}/orders/{name.lower()}/")
    await expect(hers.page.locator(".topic")).to_have_text("unordered · lease 30 sec · 3 attempts")
    his = await open_board(bob, name.lower())
    await hers.orders('{"table": 4, "dish": "soup"}', "two espressos")
    for board in (hers, his):
        await board.sees("Queued", "soup", "two espressos")
        await board.counts(queued=2, leased=0)

    await his.button("Take work").click()
    await expect(his.lease).to_contain_text("soup")
    await hers.sees("In progress", "soup")
    await expect(hers.card("In progress", "soup")).to_contain_text(bob.name)
    await his.lease.get_by_label("Result").fill("served")
    await his.button("Done").click()
    await hers.sees("Done", "soup")
    await expect(his.lease).to_contain_text("two espressos")
    await his.button("Stop taking").click()
    await his.button("Done").click()
    for board in (hers, his):
        await board.sees("Done", "soup", "two espressos")
        await board.counts(queued=0, leased=0, done=2, dead=0)
    await expect(his.page.locator("my-work")).to_be_hidden()


async def test_an_order_that_fails_too_often_is_dead_until_its_owner_revives_it(
    site: Server, open_board: OpenBoard
) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    queue = make_queue(site, alice, max_attempts=2)
    order(site, queue, alice, "fish", "chips")
    hers, his = await open_board(alice, queue), await open_board(bob, queue)
    await his.button("Take work").click()
    for attempt in ("no fish", "still no fish"):
        await expect(his.lease).to_contain_text("fish")
        await his.button("Fail…").click()
        await his.page.get_by_label("Why?").fill(attempt)
        await his.button("Fail").click()
    for board in (hers, his):
        await expect(board.card("Dead", "fish")).to_contain_text("still no fish")
    await expect(his.card("Dead", "fish").get_by_role("button", name="Revive")).to_be_hidden()
    await his.button("Stop taking").click()
    await his.button("Done").click()
    await his.sees("Done", "chips")
    await hers.card("Dead", "fish").get_by_role("button", name="Revive").click()
    for board in (hers, his):
        await board.sees("Queued", "fish")
        await board.counts(queued=1, dead=0)


async def test_the_staff_bury_a_dead_order_for_good(site: Server, open_board: OpenBoard) -> None:
    alice, staff = site.person("alice"), site.person("staff", staff=True)
    queue = make_queue(site, alice, max_attempts=1)
    order(site, queue, alice, "fish")
    hers, theirs = await open_board(alice, queue), await open_board(staff, queue)
    await hers.button("Take work").click()
    await hers.button("Fail…").click()
    await hers.page.get_by_label("Why?").fill("no fish")
    await hers.page.get_by_label("Why?").press("Enter")
    await theirs.card("Dead", "fish").get_by_role("button", name="Bury").click()
    await expect(theirs.window.dialog("bury")).to_contain_text("fish")
    await theirs.window.dialog("bury").get_by_role("button", name="Bury").click()
    for board in (hers, theirs):
        await expect(board.page.locator(".order")).to_have_count(0)
        await board.counts(dead=0)


async def test_orders_made_while_the_server_was_dead_arrive_once_and_in_order_from_a_new_tab(
    own_server: Server, open_board: OpenBoard
) -> None:
    server = own_server
    alice, bob = server.person("alice"), server.person("bob")
    queue = make_queue(server, alice)
    hers = await open_board(alice, queue, server=server)
    his = await open_board(bob, queue, server=server)
    await hers.orders("before")
    await his.sees("Queued", "before")
    server.kill()
    await hers.orders("first", "second")
    await expect(hers.window.state).to_have_text("offline: 2 orders waiting")
    await expect(hers.card("Queued", "second")).to_contain_text("Waiting to be sent")
    await hers.page.close()

    server.start()
    again = Board(await open_window(hers.page.context, server, alice))
    await again.window.goes(f"/orders/{queue}/")
    for board in (again, his):
        await board.counts(queued=3)
        await expect(board.lane("Queued").locator(".seq")).to_have_text(["#3", "#2", "#1"])
        await expect(board.lane("Queued").locator(".item")).to_have_text(["second", "first", "before"])
    await expect(again.window.state).to_have_text("online")


async def test_a_worker_goes_on_after_the_server_was_killed(
    own_server: Server, open_board: OpenBoard
) -> None:
    server = own_server
    alice = server.person("alice")
    queue = make_queue(server, alice, max_attempts=1000)
    order(server, queue, alice, "soup", "stew")
    board = await open_board(alice, queue, server=server)
    await board.button("Take work").click()
    await expect(board.lease).to_contain_text("soup")
    server.kill()
    await expect(board.page.locator("my-work .about")).to_contain_text("no connection")
    await board.button("Done").click()
    await expect(board.lease).to_contain_text("waiting for the server")
    server.start()
    await board.sees("Done", "soup")
    await expect(board.lease).to_contain_text("stew")
    await board.button("Done").click()
    await board.counts(done=2, queued=0, leased=0)


async def test_a_tab_that_is_reloaded_goes_on_working(site: Server, open_board: OpenBoard) -> None:
    alice = site.person("alice")
    queue = make_queue(site, alice)
    order(site, queue, alice, "soup")
    board = await open_board(alice, queue)
    await board.button("Take work").click()
    await expect(board.lease).to_contain_text("soup")
    await board.page.reload()
    await expect(board.lease).to_contain_text("soup")
    await board.button("Done").click()
    await board.sees("Done", "soup")


async def test_a_lease_is_extended_while_the_page_is_open(site: Server, open_board: OpenBoard) -> None:
    alice = site.person("alice")
    queue = make_queue(site, alice, lease_seconds=5)
    order(site, queue, alice, "soup")
    board = await open_board(alice, queue)
    await board.button("Take work").click()
    await expect(board.lease).to_contain_text("soup")
    async with board.page.expect_event("console", lambda message: message.text == "extended", timeout=60_000):
        await board.page.evaluate(COUNT_EXTENSIONS, 4)
    await board.button("Done").click()
    await board.sees("Done", "soup")
    await expect(board.card("Done", "soup")).to_contain_text("attempt 1/5")


async def test_what_was_missed_is_seen_at_the_next_look(site: Server, open_board: OpenBoard) -> None:
    alice = site.person("alice")
    queue = make_queue(site, alice)
    order(site, queue, alice, "soup")
    board = await open_board(alice, queue)
    await board.sees("Queued", "soup")
    site.django(done_unseen, queue, alice.id)
    await board.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await board.sees("Done", "soup")
    await board.counts(queued=0, done=1)


async def test_the_focus_stays_where_it_is_while_lanes_change(site: Server, open_board: OpenBoard) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    queue = make_queue(site, alice)
    order(site, queue, alice, "soup", "stew", "fish")
    hers, his = await open_board(alice, queue), await open_board(bob, queue)
    await hers.card("Queued", "soup").focus()
    await his.button("Take work").click()
    await hers.sees("In progress", "soup")
    await expect(hers.card("In progress", "soup")).to_be_focused()
    await his.button("Done").click()
    await hers.sees("Done", "soup")
    await expect(hers.card("Done", "soup")).to_be_focused()
    await his.orders("one", "two")
    await hers.counts(queued=3)
    await expect(hers.card("Done", "soup")).to_be_focused()


async def test_a_lane_shows_the_newest_and_older_ones_when_asked(site: Server, open_board: OpenBoard) -> None:
    alice = site.person("alice")
    queue = make_queue(site, alice)
    order(site, queue, alice, *[f"dish {number}" for number in range(50)])
    board = await open_board(alice, queue)
    cards = board.lane("Queued").locator(".order")
    await expect(cards).to_have_count(20)
    await board.counts(queued=50)
    for shown in (40, 50):
        await board.button("Show more").click()
        await expect(cards).to_have_count(shown)
    await expect(board.button("Show more")).to_be_hidden()
    await board.orders("one more")
    await expect(cards.first).to_contain_text("one more")


async def test_items_are_shown_as_text_whatever_they_hold(site: Server, open_board: OpenBoard) -> None:
    alice = site.person("alice")
    attack = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    queue = make_queue(site, alice, name=attack)
    board = await open_board(alice, queue)
    await board.orders(attack, f'{{"{attack.replace("=", ":")}": "{attack}"}}', "long " * 200)
    await board.counts(queued=3)
    await expect(board.lane("Queued").locator(".item").nth(2)).to_have_text(attack)
    assert await board.page.locator(".order img, .order script").count() == 0
    long = board.lane("Queued").locator(".order").first
    assert len(await long.locator(".item").inner_text()) < 300
    await long.get_by_role("button", name="Show all").click()
    assert len(await long.locator(".item").inner_text()) > 900


async def test_the_keyboard_alone_runs_a_queue(site: Server, open_board: OpenBoard) -> None:
    alice = site.person("alice")
    queue = make_queue(site, alice, max_attempts=1)
    other = make_queue(site, alice)
    board = await open_board(alice, queue)
    page = board.page
    await expect(board.composer).to_be_focused()
    for dish in ("soup", "stew", "fish"):
        await page.keyboard.type(dish)
        await page.keyboard.press("Enter")
    await board.counts(queued=3)
    await board.card("Queued", "fish").focus()
    await page.keyboard.press("w")
    await expect(board.lease).to_contain_text("soup")
    await board.lease.get_by_label("Result").focus()
    await page.keyboard.press("Enter")
    await expect(board.lease).to_contain_text("stew")
    await expect(board.lease.get_by_label("Result")).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.keyboard.type("burnt")
    await page.keyboard.press("Enter")
    await expect(board.lease).to_contain_text("fish")
    await board.card("Dead", "stew").focus()
    await page.keyboard.press("w")
    await expect(board.button("Take work")).to_be_visible()
    await page.keyboard.press("r")
    await board.sees("Queued", "stew")
    await expect(board.card("Queued", "stew")).to_be_focused()
    await page.keyboard.press("ArrowRight")
    await expect(board.card("In progress", "fish")).to_be_focused()
    await page.keyboard.press("?")
    await expect(board.window.dialog("shortcuts")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.keyboard.press("Escape")
    await expect(board.composer).to_be_focused()
    await page.keyboard.press("Control+k")
    await page.keyboard.type(other)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{site.origin}/orders/{other}/")


async def test_a_screen_reader_is_told_what_becomes_of_orders_and_of_many_in_one_sentence(
    site: Server, open_board: OpenBoard
) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    queue = make_queue(site, alice)
    hers, his = await open_board(alice, queue), await open_board(bob, queue)
    news = hers.page.get_by_role("log", name="News of orders")
    await his.orders("soup")
    await expect(news).to_contain_text("Order 1 was created")
    await his.button("Take work").click()
    await expect(news).to_contain_text(f"{bob.name} took order 1")
    await his.button("Done").click()
    await expect(news).to_contain_text("Order 1 is done")
    await his.button("Stop taking").click()
    order(site, queue, alice, *[f"dish {number}" for number in range(30)])
    await expect(news).to_contain_text(re.compile(r"\d+ orders changed: \d+ created"))
    await hers.counts(queued=30)
    assert len(await news.locator("p").all_inner_texts()) < 10
    for lane in ("Queued", "In progress", "Done", "Dead"):
        await expect(hers.page.get_by_role("heading", name=lane)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_to_complain_of_on_the_board(
    site: Server, open_board: OpenBoard, scheme: str
) -> None:
    axe = Axe()

    async def check(board: Board) -> None:
        found = await axe.run(board.page)
        assert found.violations_count == 0, found.generate_report()

    alice = site.person("alice")
    queue = make_queue(site, alice, max_attempts=1)
    order(site, queue, alice, "fish", "soup", "stew", "long " * 200)
    board = await open_board(alice, color_scheme=scheme)
    await check(board)
    await board.window.goes(f"/orders/{queue}/")
    await board.button("Take work").click()
    await board.button("Fail…").click()
    await check(board)
    await board.page.get_by_label("Why?").fill("no fish")
    await board.button("Fail").click()
    await expect(board.lease).to_contain_text("soup")
    await board.button("Done").click()
    await board.sees("Done", "soup")
    await expect(board.lease).to_contain_text("stew")
    await check(board)
    await board.page.locator(".sidebar").get_by_role("button", name="Create a queue").click()
    await check(board)


@pytest.mark.parametrize("width", [320, 390])
async def test_a_phone_shows_one_lane_at_a_time_without_scrolling_sideways(
    site: Server, open_board: OpenBoard, width: int
) -> None:
    alice = site.person("alice", staff=True)
    queue = make_queue(site, alice, name="A queue with a rather long name for so small a window")
    order(site, queue, alice, "w" * 300, "soup")
    board = await open_board(alice, viewport={"width": width, "height": 640}, has_touch=True, is_mobile=True)
    page = board.page
    assert not await page.evaluate(WIDER_THAN_THE_WINDOW)
    await page.locator(f'queue-list a[href$="/{queue}/"]').tap()
    await board.sees("Queued", "soup")
    await expect(board.lane("Done")).to_be_hidden()
    await board.button("Take work").tap()
    await expect(board.lease).to_contain_text("www")
    assert not await page.evaluate(WIDER_THAN_THE_WINDOW)
    await board.button("Stop taking").tap()
    await board.button("Done").tap()
    await expect(page.locator("my-work")).to_be_hidden()
    await page.locator('[data-show="done"]').tap()
    await board.sees("Done", "www")
    await expect(board.card("Queued", "soup")).to_be_hidden()
    await board.composer.fill("{broken")
    await expect(page.locator("#composer-kind")).to_contain_text("sent as text")
    assert not await page.evaluate(WIDER_THAN_THE_WINDOW)
    await page.get_by_role("link", name="All queues").tap()
    await expect(page.locator("queue-list")).to_be_visible()
    await page.get_by_role("link", name="Rooms", exact=True).tap()
    await expect(page.locator("room-list")).to_be_visible()

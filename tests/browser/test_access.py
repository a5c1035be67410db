"""By keyboard, by screen reader, on a phone."""

from __future__ import annotations

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from tests.support import Server

from .conftest import OpenWindow
from .windows import Window

WIDER_THAN_THE_WINDOW = "() => document.documentElement.scrollWidth > innerWidth"


async def test_the_keyboard_alone_is_enough(site: Server, open_browser: OpenWindow) -> None:
    alice = site.person("alice")
    rooms = sorted(site.room(name, [alice]) for name in ("one", "two"))
    window = await (await open_browser(alice)).enters(rooms[0])
    page = window.page
    await expect(window.composer).to_be_focused()
    await page.keyboard.type("frist")
    await page.keyboard.press("Enter")
    await window.sees_mark("frist", "received")

    await page.keyboard.press("ArrowUp")
    await expect(window.composer).to_have_value("frist")
    await page.keyboard.press("Escape")
    await expect(window.composer).to_have_value("")
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("ControlOrMeta+A")
    await page.keyboard.type("first")
    await page.keyboard.press("Enter")
    await window.sees("first")

    await page.keyboard.press("Alt+ArrowDown")
    await expect(page).to_have_url(f"{site.origin}/rooms/{rooms[1]}/")
    await page.keyboard.press("Control+k")
    await page.keyboard.type(rooms[0])
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{site.origin}/rooms/{rooms[0]}/")
    await expect(window.composer).to_be_focused()

    await window.message("first").focus()
    await page.keyboard.press("r")
    await expect(page.locator(".context")).to_contain_text("Replying to")
    await page.keyboard.press("Escape")
    await window.message("first").focus()
    await page.keyboard.press("?")
    await expect(window.dialog("shortcuts")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(window.dialog("shortcuts")).to_be_hidden()
    await expect(window.message("first")).to_be_focused()
    await page.keyboard.press("Delete")
    await expect(window.dialog("delete")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.keyboard.press("Escape")
    await expect(window.composer).to_be_focused()


async def test_the_first_tab_stop_skips_to_the_content(site: Server, open_browser: OpenWindow) -> None:
    window = await (await open_browser(site.person("alice"))).goes("/")
    await window.page.keyboard.press("Tab")
    await expect(window.page.get_by_role("link", name="Skip to content")).to_be_focused()
    await window.page.keyboard.press("Enter")
    await expect(window.page.get_by_role("main")).to_be_focused()


async def test_a_screen_reader_is_told_what_others_write(site: Server, open_browser: OpenWindow) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    room = site.room("tea", [alice, bob])
    hers = await (await open_browser(alice)).enters(room)
    his = await (await open_browser(bob)).enters(room)
    await his.writes("Can you hear me?")
    log = hers.page.get_by_role("log", name="New messages")
    await expect(log).to_have_text(f"{bob.name}: Can you hear me?")
    await hers.writes("I can")
    await hers.sees("I can")
    await expect(log).not_to_contain_text("I can")
    await expect(hers.page.get_by_role("status")).to_have_text("online")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_to_complain_of(site: Server, open_browser: OpenWindow, scheme: str) -> None:
    """Names, roles, contrasts, headings, landmarks, as far as a program can judge them."""
    axe = Axe()

    async def check(window: Window) -> None:
        found = await axe.run(window.page)
        assert found.violations_count == 0, found.generate_report()

    stranger = await open_browser(color_scheme=scheme)
    for path in ("/accounts/login/", "/accounts/signup/"):
        await check(await stranger.goes(path))

    alice, bob = site.person("alice"), site.person("bob")
    room = site.room("tea", [alice, bob], topic="Milk first?")
    window = await (await open_browser(alice, color_scheme=scheme)).goes("/")
    await window.is_online()
    await check(window)
    await window.enters(room)
    await check(window)
    his = await (await open_browser(bob)).enters(room)
    await his.writes("**Milk** first, with `sugar`", f"And you, @{alice.name}?")
    await window.writes("one", "two")
    await window.sees_mark("two", "received")
    await window.message("one").hover()
    await check(window)
    for opener in ("Who is here", "Room menu", alice.name):
        await window.page.get_by_role("button", name=opener).click()
        await check(window)
        await window.page.keyboard.press("Escape")
    await window.page.locator(".sidebar").get_by_role("button", name="Create a room").click()
    await check(window)


@pytest.mark.parametrize("width", [320, 390])
async def test_a_phone_shows_one_thing_at_a_time_without_scrolling_sideways(
    site: Server, open_browser: OpenWindow, width: int
) -> None:
    alice = site.person("alice")
    room = site.room("tea", [alice], name="A room with a rather long name for so small a window")
    window = await open_browser(
        alice, viewport={"width": width, "height": 640}, has_touch=True, is_mobile=True
    )
    page = window.page
    await window.goes("/")
    await expect(page.locator(".room-head")).to_be_hidden()
    assert not await page.evaluate(WIDER_THAN_THE_WINDOW)
    await window.room(room).tap()
    await expect(page.locator("room-list")).to_be_hidden()
    await window.composer.fill("w" * 300)
    await page.get_by_role("button", name="Send").tap()
    await window.sees_mark("w" * 300, "received")
    await window.composer.fill("Enter breaks the line here")
    await window.composer.press("Enter")
    await expect(window.composer).to_have_value("Enter breaks the line here\n")
    assert not await page.evaluate(WIDER_THAN_THE_WINDOW)
    await page.get_by_role("link", name="All rooms").tap()
    await expect(page.locator("room-list")).to_be_visible()
    window.expected.append("404")
    for path in ("/accounts/password_change/", "/nothing-here/"):
        await window.goes(path)
        assert not await page.evaluate(WIDER_THAN_THE_WINDOW)


async def test_light_and_dark_follow_the_system_until_someone_chooses(
    site: Server, open_browser: OpenWindow
) -> None:
    window = await (await open_browser(color_scheme="dark")).goes("/accounts/login/")
    ground = "() => getComputedStyle(document.documentElement).backgroundColor"
    dark = await window.page.evaluate(ground)
    await window.page.get_by_role("button", name="Light or dark").click()
    assert await window.page.evaluate(ground) != dark
    await window.page.reload()
    assert await window.page.evaluate(ground) != dark

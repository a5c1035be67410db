"""Finding a message by its words, and going to where it stands."""

from __future__ import annotations

from playwright.async_api import Locator, expect

from tests.support import Server

from .conftest import OpenWindow
from .test_access import WIDER_THAN_THE_WINDOW
from .test_chat import all_have_read, say
from .windows import Window


def search(window: Window) -> Locator:
    return window.dialog("search")


async def looks_for(window: Window, words: str) -> None:
    await search(window).get_by_role("searchbox").fill(words)


async def test_a_message_is_found_by_its_words_and_shown_where_it_stands(
    site: Server, open_browser: OpenWindow
) -> None:
    alice = site.person("alice")
    here, there = site.room("here", [alice]), site.room("there", [alice], name="The other room")
    say(site, there, alice, "A purple Kettle", *(f"message {number}" for number in range(150)))
    say(site, here, alice, "no pots")
    for each in (here, there):
        all_have_read(site, each)
    window = await (await open_browser(alice)).enters(here)

    await window.message("no pots").focus()
    await window.page.keyboard.press("/")
    await expect(search(window).get_by_role("searchbox")).to_be_focused()
    await window.page.keyboard.type("kettl purple")
    await expect(search(window)).to_contain_text("Nothing was found.")
    await looks_for(window, "purple kettl")
    hit = search(window).locator(".hit")
    await expect(hit).to_have_count(1)
    await expect(hit).to_contain_text("The other room")
    await expect(hit.locator("mark")).to_have_text(["purple", "Kettl"])

    await window.page.keyboard.press("ArrowDown")
    await expect(hit).to_be_focused()
    await window.page.keyboard.press("Enter")
    await expect(window.page).to_have_url(f"{site.origin}/rooms/{there}/")
    found = window.page.locator(".message.found")
    await expect(found).to_contain_text("A purple Kettle")
    await expect(found).to_be_focused()
    await expect(found).to_be_in_viewport()
    await expect(window.message("message 149")).to_have_count(0)
    await window.page.get_by_role("button", name="To the newest").click()
    await window.sees("message 149")


async def test_one_searches_all_rooms_or_the_one_on_the_page_and_pages_on(
    site: Server, open_browser: OpenWindow
) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    here, there = site.room("here", [alice]), site.room("there", [alice])
    say(site, here, alice, *(f"tea number {number}" for number in range(60)))
    say(site, there, alice, "tea elsewhere")
    say(site, site.room("secret", [bob], private=True), bob, "tea in secret")
    window = await (await open_browser(alice)).enters(here)
    await window.page.locator(".room-head").get_by_role("button", name="Search messages").click()
    hits = search(window).locator(".hit")
    await looks_for(window, "tea")
    await expect(hits).to_have_count(50)
    await expect(hits.first).to_contain_text("tea elsewhere")
    await expect(search(window).get_by_role("status")).to_have_text("The newest 50 messages")
    await search(window).get_by_role("button", name="Show more").click()
    await expect(hits).to_have_count(61)
    await expect(search(window).get_by_role("status")).to_have_text("61 messages")
    await search(window).get_by_role("button", name="This room").click()
    await expect(hits.first).to_contain_text("tea number 59")
    await looks_for(window, "number 59")
    await expect(hits).to_have_count(1)
    await hits.click()
    await expect(search(window)).to_be_hidden()
    await expect(window.page.locator(".message.found")).to_contain_text("tea number 59")


async def test_on_a_phone_search_fits_and_without_a_connection_says_so(
    site: Server, open_browser: OpenWindow
) -> None:
    alice = site.person("alice")
    room = site.room("tea", [alice])
    say(site, room, alice, "<img src=x onerror=alert(1)> tea " + "x" * 300)
    phone = {"viewport": {"width": 390, "height": 700}}
    window = await (await open_browser(alice, **phone)).goes("/")
    await window.is_online()
    await window.page.locator(".sidebar").get_by_role("button", name="Search messages").click()
    await expect(search(window).get_by_role("button", name="This room")).to_be_hidden()
    await looks_for(window, "tea")
    hit = search(window).locator(".hit")
    await expect(hit).to_contain_text("<img src=x onerror=alert(1)> tea")
    assert not await window.page.evaluate(WIDER_THAN_THE_WINDOW)
    assert not await search(window).evaluate("(dialog) => dialog.scrollWidth > dialog.clientWidth")
    await window.page.context.set_offline(True)
    await expect(window.page.locator("connection-state")).to_have_attribute("data-state", "offline")
    await looks_for(window, "tea x")
    await expect(search(window).get_by_role("alert")).to_contain_text("There is no connection")

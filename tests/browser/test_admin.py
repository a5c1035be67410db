"""Django's admin in a real browser, and what others see of it at once."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from tests.support import Server

from .conftest import OpenWindow
from .test_access import WIDER_THAN_THE_WINDOW
from .test_moderating import superuser
from .windows import Window


def room_id(site: Server, slug: str) -> int:
    from chat.models import Room

    return site.django(lambda: Room.objects.get(slug=slug).pk)


async def opens(window: Window, action: str) -> None:
    """The dialog of an action, from the menu at the head of a page."""
    head = window.page.locator("#header-inner")
    await head.locator("a", has_text="Moderate").click()
    await window.page.locator(f'a[hx-get$="/{action}/"]').click()


async def sends(window: Window, **fields: str) -> None:
    """A dialog; what it has done is said on the page that is loaded after it."""
    dialog = window.page.locator("#dialog")
    for name, value in fields.items():
        field = dialog.locator(f'[name="{name}"]')
        await (field.select_option(value) if name == "term" else field.fill(value))
    await dialog.locator('[type="submit"]').click()


async def test_messages_deleted_in_the_admin_vanish_from_a_members_page(
    site: Server, open_browser: OpenWindow
) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    room = site.room("tea", [alice, bob])
    hers = await (await open_browser(alice)).enters(room)
    his = await (await open_browser(bob)).enters(room)
    await his.writes("milk", "BUY WATCHES", "BUY MORE WATCHES")
    await hers.sees("milk", "BUY WATCHES", "BUY MORE WATCHES")

    staff = await open_browser(superuser(site))
    await staff.goes(f"/admin/chat/message/?room__id__exact={room_id(site, room)}&q=watches")
    rows = staff.page.locator("#result_list tbody tr")
    await expect(rows).to_have_count(2)
    for row in await rows.all():
        await row.locator("input.action-select").check()
    await staff.page.locator("select[name=action]").select_option("delete_all")
    await staff.page.get_by_placeholder("Reason").fill("no advertising")
    await staff.page.get_by_role("button", name="Run").click()
    await expect(staff.page.get_by_text("2 messages deleted.")).to_be_visible()

    for window in (hers, his):
        await expect(window.page.get_by_text(re.compile("was deleted"))).to_have_count(2)
        await expect(window.message("BUY WATCHES")).to_have_count(0)
        await window.sees("milk")


async def test_a_ban_in_the_admin_closes_the_page_of_who_is_banned_and_says_why(
    site: Server, open_browser: OpenWindow
) -> None:
    bob = site.person("bob")
    room = site.room("tea", [bob])
    his = await (await open_browser(bob)).enters(room)
    staff = await open_browser(superuser(site))
    await staff.goes(f"/admin/auth/user/{bob.id}/change/")
    await opens(staff, "ban")
    await sends(staff, term="3600", reason="Spam in every room")
    await expect(staff.page.get_by_text("They are banned from the site.")).to_be_visible()
    await expect(his.page.get_by_role("alert")).to_contain_text("Spam in every room")

    await opens(staff, "unban")
    await sends(staff)
    await expect(staff.page.get_by_text("They may come back.")).to_be_visible()
    await opens(staff, "unban")
    await sends(staff)
    await expect(staff.page.locator("#dialog")).to_contain_text("is not banned from the site")


async def test_ending_sessions_in_the_admin_signs_a_person_out_everywhere(
    site: Server, open_browser: OpenWindow
) -> None:
    bob = site.person("bob")
    room = site.room("tea", [bob])
    windows = [await (await open_browser(bob)).enters(room) for _ in range(2)]
    staff = await open_browser(superuser(site))
    await staff.goes(f"/admin/auth/user/{bob.id}/change/")
    await opens(staff, "end_sessions")
    await sends(staff, reason="Your laptop was found")
    await expect(staff.page.get_by_text("They are signed out everywhere.")).to_be_visible()
    for window in windows:
        await expect(window.page.get_by_role("alert")).to_contain_text("Your laptop was found")
        await window.goes(f"/rooms/{room}/")
        await expect(window.page).to_have_url(re.compile("/accounts/login/"))


async def test_a_ban_can_be_made_by_its_form_with_people_found_by_name(
    site: Server, open_browser: OpenWindow
) -> None:
    bob = site.person("bob")
    staff = await open_browser(superuser(site))
    page = staff.page
    await staff.goes("/admin/chat/ban/add/")
    await page.locator(".field-user .select2-selection").click()
    await page.locator(".select2-search__field").fill(bob.name)
    await page.locator(".select2-results__option", has_text=bob.name).click()
    await page.locator("[name=reason]").fill("rude")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.locator("#result_list")).to_contain_text(bob.name)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_dashboard_can_be_read_on_any_screen(
    site: Server, open_browser: OpenWindow, scheme: str
) -> None:
    root = superuser(site)
    window = await open_browser(root, color_scheme=scheme, viewport={"width": 390, "height": 800})
    for path in ("/admin/", "/admin/chat/message/", f"/admin/auth/user/{root.id}/change/"):
        await window.goes(path)
        await expect(window.page.locator("#main")).to_be_visible()
        assert not await window.page.evaluate(WIDER_THAN_THE_WINDOW), path
    await window.goes("/admin/")
    await expect(window.page.get_by_role("img", name="in the last whole minute")).to_be_visible()
    found = await Axe().run(window.page, context=".dashboard")
    assert found.violations_count == 0, found.generate_report()

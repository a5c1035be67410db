"""The chat's pages: who sees which, and what they carry."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.test import Client, override_settings

from chat.delivery import door
from chat.delivery.entries import Draft
from chat.models import Ban, Membership, Room
from tests.support.pages import browser, check_nothing_inline, page_data

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice")


@pytest.fixture
def charlie() -> User:
    return User.objects.create_user("charlie")


def make_room(slug: str, owner: User, **fields: object) -> Room:
    room = Room.objects.create(namespace="chat", slug=slug, name=slug.title(), **fields)
    Membership.objects.create(room=room, user=owner, role=Membership.Role.OWNER)
    return room


@pytest.mark.parametrize("path", ["/", "/rooms/general/"])
def test_who_is_not_signed_in_is_sent_to_sign_in_and_back(path: str) -> None:
    answer = Client().get(path)
    assert answer.status_code == 302
    assert answer["Location"] == f"/accounts/login/?next={path}"


def test_the_page_carries_the_persons_rooms(alice: User, charlie: User) -> None:
    make_room("general", alice)
    make_room("secret", alice, private=True)
    assert {info["room"] for info in page_data(browser(alice).get("/").content)["rooms"]} == {
        "general",
        "secret",
    }
    assert {info["room"] for info in page_data(browser(charlie).get("/").content)["rooms"]} == {"general"}


def test_a_members_room_comes_with_the_history_behind_the_cursor(alice: User) -> None:
    room = make_room("general", alice)
    for number in range(4):
        door.write(Draft("chat", "general", alice.id, f"id-{number}", "message", body=f"body {number}"))
    Membership.objects.filter(room=room).update(received=2)
    history = page_data(browser(alice).get("/rooms/general/").content)["history"]
    assert [message["data"]["body"] for message in history["messages"]] == ["body 0", "body 1"]
    assert (history["cursor"], history["head"], history["epoch"]) == (2, 4, room.epoch)


def test_a_public_room_is_shown_to_everyone_without_its_history_in_the_page(
    alice: User, charlie: User
) -> None:
    make_room("general", alice)
    answer = browser(charlie).get("/rooms/general/")
    assert answer.status_code == 200
    data = page_data(answer.content)
    assert data["room"] == "general"
    assert data["history"] is None
    assert not Membership.objects.filter(user=charlie).exists(), "looking is not joining"


def test_a_private_room_is_as_absent_as_one_that_does_not_exist(alice: User, charlie: User) -> None:
    make_room("secret", alice, private=True)
    hidden = browser(charlie).get("/rooms/secret/")
    absent = browser(charlie).get("/rooms/absent/")
    assert hidden.status_code == absent.status_code == 404
    assert b"Nothing here" in hidden.content

    def without_nonces(html: bytes) -> bytes:
        return re.sub(rb'name="csrfmiddlewaretoken" value="[^"]*"', b"", html)

    assert without_nonces(hidden.content) == without_nonces(absent.content)
    assert browser(alice).get("/rooms/secret/").status_code == 200


def test_every_name_that_a_room_may_have_has_an_address(alice: User) -> None:
    for slug in ("a", "0", "v1.2_final-draft", "x" * 64):
        make_room(slug, alice)
        assert browser(alice).get(f"/rooms/{slug}/").status_code == 200, slug


def test_no_cache_keeps_a_page(alice: User) -> None:
    assert "no-store" in browser(alice).get("/")["Cache-Control"]


def test_what_people_wrote_cannot_end_the_pages_script(alice: User) -> None:
    make_room("general", alice, topic="</script><script>alert(1)</script>")
    html = browser(alice).get("/rooms/general/").content.decode()
    assert "<script>alert(1)" not in html
    assert "</script><script>alert" in page_data(html.encode())["rooms"][0]["topic"]


def test_pages_run_no_inline_script_and_no_inline_style(alice: User) -> None:
    make_room("general", alice)
    check_nothing_inline(browser(alice).get("/rooms/general/"))


def test_the_row_of_a_message_is_in_the_page_once(alice: User) -> None:
    make_room("general", alice)
    assert browser(alice).get("/rooms/general/").content.count(b'<article class="message"') == 1


def test_an_error_of_the_server_says_that_nothing_written_is_lost(alice: User, monkeypatch) -> None:
    from chat.views import pages

    monkeypatch.setattr(pages.listing, "list_for", lambda *_args, **_more: 1 / 0)
    client = browser(alice)
    client.raise_request_exception = False
    answer = client.get("/")
    assert answer.status_code == 500
    assert b"kept in your browser" in answer.content


def test_hashed_modules_import_hashed_modules(tmp_path) -> None:
    from django.conf import settings
    from django.contrib.staticfiles.storage import staticfiles_storage
    from django.core.management import call_command

    storages = {**settings.STORAGES, "staticfiles": {"BACKEND": "chatsite.static.HashedStaticFiles"}}
    with override_settings(STORAGES=storages, STATIC_ROOT=str(tmp_path), DEBUG=False):
        call_command("collectstatic", interactive=False, verbosity=0)
        main = tmp_path / staticfiles_storage.stored_name("chat/js/main.js")
        seen, open_files = set(), [main]
        while open_files:
            file = open_files.pop()
            seen.add(file)
            for imported in re.findall(r'^(?:import .* from|import) *"(\.[^"]+)";', file.read_text(), re.M):
                target = (file.parent / imported).resolve()
                assert re.search(r"\.[0-9a-f]{12}\.js$", target.name), f"{file.name} imports {imported}"
                assert target.exists()
                if target not in seen:
                    open_files.append(target)
    assert len(seen) > 15


@pytest.mark.parametrize("path", ["/", "/rooms/general/", "/orders/"])
def test_who_is_banned_from_the_site_is_told_why_and_sees_nothing_of_it(alice: User, path: str) -> None:
    make_room("general", alice, topic="Tea at four")
    Ban.objects.create(user=alice, reason="<b>spam</b>", until=datetime(2099, 1, 31, 12, tzinfo=UTC))
    answer = browser(alice).get(path)
    assert answer.status_code == 403
    html = answer.content.decode()
    assert "Reason: &lt;b&gt;spam&lt;/b&gt;" in html
    assert "Jan. 31, 2099, noon (UTC)" in html
    assert "Tea at four" not in html


def test_a_ban_from_a_room_or_one_that_is_over_leaves_the_site_open(alice: User, charlie: User) -> None:
    Ban.objects.create(user=alice, until=datetime(2020, 1, 1, tzinfo=UTC))
    Ban.objects.create(user=alice, room=make_room("general", charlie))
    assert browser(alice).get("/").status_code == 200

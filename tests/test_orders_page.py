"""The orders board's pages: who sees which, and what they carry."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from chat.models import Ban, Room
from chat.services import queues
from chat.views.shell import modules
from chat.views.words import CHAT, ORDERS
from tests.support.pages import browser, check_nothing_inline, page_data

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice")


@pytest.fixture
def charlie() -> User:
    return User.objects.create_user("charlie")


def make_queue(slug: str, owner: User, **policy: Any) -> Room:
    return queues.create("orders", owner.pk, slug, **policy)


@pytest.mark.parametrize("path", ["/orders/", "/orders/kitchen/"])
def test_who_is_not_signed_in_is_sent_to_sign_in_and_back(path: str) -> None:
    answer = Client().get(path)
    assert answer.status_code == 302
    assert answer["Location"] == f"/accounts/login/?next={path}"


def test_the_page_carries_the_queues_their_policy_and_the_persons_role(alice: User, charlie: User) -> None:
    make_queue("kitchen", alice, lease_seconds=5, max_attempts=2)
    [hers] = page_data(browser(alice).get("/orders/").content)["queues"]
    [his] = page_data(browser(charlie).get("/orders/").content)["queues"]
    assert (hers["queue"], hers["lease_seconds"], hers["max_attempts"]) == ("kitchen", 5, 2)
    assert hers["counts"] == {"queued": 0, "leased": 0, "done": 0, "dead": 0}
    assert (hers["role"], his["role"]) == ("owner", None)


def test_a_queue_that_one_may_not_see_is_as_absent_as_one_that_does_not_exist(
    alice: User, charlie: User
) -> None:
    Room.objects.filter(pk=make_queue("secret", alice).pk).update(private=True)
    open_queue = make_queue("kitchen", alice)
    Ban.objects.create(user=charlie, room=open_queue, reason="burnt it", by=alice)
    client = browser(charlie)
    assert [client.get(f"/orders/{name}/").status_code for name in ("secret", "absent", "kitchen")] == [
        404
    ] * 3
    assert browser(alice).get("/orders/secret/").status_code == 200


def test_a_room_of_the_chat_is_no_queue(alice: User) -> None:
    Room.objects.create(namespace="chat", slug="general", name="General")
    assert browser(alice).get("/orders/general/").status_code == 404


def test_the_page_runs_no_inline_script_and_no_inline_style(alice: User) -> None:
    make_queue("kitchen", alice, name="</script><script>alert(1)</script>")
    answer = browser(alice).get("/orders/kitchen/")
    check_nothing_inline(answer)
    assert b"<script>alert(1)" not in answer.content


def test_rooms_and_orders_lead_to_each_other(alice: User) -> None:
    for path, here in (("/", "Rooms"), ("/orders/", "Orders")):
        html = browser(alice).get(path).content.decode()
        links = re.findall(r'<a href="(/|/orders/)"( aria-current="page")?>(\w+)</a>', html)
        assert [name for _, _, name in links] == ["Rooms", "Orders"]
        assert [name for _, current, name in links if current] == [here]


def test_each_page_names_its_own_modules(alice: User) -> None:
    board, chat = modules("chat/js/orders/main.js"), modules("chat/js/main.js")
    assert {"chat/js/socket.js", "chat/js/outbox.js"} <= set(board) & set(chat)
    assert "chat/js/orders/lanes.js" in set(board) - set(chat)
    assert "chat/js/timeline.js" in set(chat) - set(board)
    html = browser(alice).get("/orders/").content.decode()
    assert re.findall(r'rel="modulepreload" href="/static/([^"]+)"', html) == board


def test_every_word_that_the_scripts_say_is_in_their_page() -> None:
    static = Path(__file__).parent.parent / "chat/static"
    for script, words in (("chat/js/main.js", CHAT), ("chat/js/orders/main.js", ORDERS)):
        sources = "\n".join((static / name).read_text() for name in [script, *modules(script)])
        said = set(re.findall(r'(?<![#\w])(?:say|count)\("(\w+)"', sources))
        assert said
        assert sorted(said - words.keys()) == [], script

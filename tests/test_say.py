"""`manage.py say`."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError
from django.utils import timezone

from chat.delivery.entries import SYSTEM
from chat.models import Membership, Mention, Message, Room
from chat.services import queues, rooms
from tests.conftest import Connect
from tests.support import Server
from tests.support.commands import call

pytestmark = pytest.mark.django_db

say = partial(call, "say")


@pytest.fixture
def general() -> Room:
    """Alice owns it, Bob is a member."""
    alice, bob = User.objects.create(username="alice"), User.objects.create(username="bob")
    room = rooms.create("chat", alice.pk, "general")
    rooms.seat_person(room, bob.pk)
    return room


def said() -> list[tuple[int, str]]:
    messages = Message.objects.filter(room__slug="general", kind="message").order_by("seq")
    return list(messages.values_list("sender_id", "body"))


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Any:
    def give(lines: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))

    return give


def test_a_message_is_the_systems_or_of_who_is_named(general: Room) -> None:
    assert say("general", "Back in five minutes.") == "general 1\n"
    assert say("chat/general", "me too", "--as", "bob") == "general 2\n"
    bob = User.objects.get(username="bob").pk
    assert said() == [(SYSTEM, "Back in five minutes."), (bob, "me too")]


def test_markdown_and_mentions_are_what_they_are_in_the_chat(general: Room) -> None:
    say("general", "**soup**, @bob")
    assert Message.objects.get(seq=1).html == "<p><strong>soup</strong>, @bob</p>"
    assert Mention.objects.get().user.username == "bob"


def test_with_its_client_id_a_message_may_be_said_again(general: Room) -> None:
    shown = {"room": "general", "seq": 1, "client_id": "a"}
    for duplicate in (False, True):
        printed = json.loads(say("general", "soup", "--client-id", "a", "--json"))
        assert printed == shown | {"duplicate": duplicate}
    assert said() == [(SYSTEM, "soup")]


def test_each_line_of_stdin_is_a_message(general: Room, stdin: Any) -> None:
    stdin("one\r\n\n  zupa 🍲\nthree".encode())
    assert say("general", "-") == "general 1\ngeneral 2\ngeneral 3\n"
    assert [body for _, body in said()] == ["one", "  zupa 🍲", "three"]


def test_a_line_that_will_not_do_ends_it_and_mended_they_go_on_without_doubling(
    general: Room, stdin: Any
) -> None:
    stdin(b"one\ntw\xffo\nthree\n")
    with pytest.raises(CommandError) as refused:
        say("general", "-", "--client-id", "x")
    assert str(refused.value) == (
        "line 2 is not UTF-8 (1 messages are in general; to go on without doubling them give the lines "
        "again, mended, with --client-id x)"
    )
    stdin(b"one\ntwo\nthree\n")
    assert say("general", "-", "--client-id", "x") == "general 1\ngeneral 2\ngeneral 3\n"
    assert [body for _, body in said()] == ["one", "two", "three"]


def test_filtered_words_are_filtered_whoever_speaks(general: Room, settings: Any) -> None:
    settings.FILTERED_WORDS = ["damn"]
    general.filtered_words, general.filter_action = "spoiler", Room.FilterAction.REFUSE
    general.save()
    say("general", "damn soup")
    assert said() == [(SYSTEM, "**** soup")]
    with pytest.raises(CommandError, match="this room takes no message with 'Spoiler' in it"):
        say("general", "a Spoiler")


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["nowhere", "soup"], 1, "there is no queue or room 'nowhere'"),
        (["kitchen", "soup"], 1, "orders/kitchen is a queue, not a room"),
        (["closed", "soup"], 1, "chat/closed is closed"),
        (["general", " \n"], 1, "`TEXT` needs a character that isn't white space"),
        (["general", "a" * 16385], 1, "`TEXT` is at most 16384 bytes of UTF-8"),
        (["general", "\udcff"], 1, "TEXT is not UTF-8"),
        (["general", "soup", "--as", "nobody"], 1, "there is no person 'nobody'"),
        (["general", "soup", "--as", "charlie"], 1, "join 'general' before you write in it"),
        (["general", "soup", "--as", "bob"], 1, "you are muted until"),
        (["general", "soup", "--client-id", "a" * 65], 2, "--client-id must be 1 to 64 printable ASCII"),
        (["general", "-", "--client-id", "a" * 51], 2, "--client-id must be 1 to 50 printable ASCII"),
    ],
)
def test_a_refusal_is_a_line_and_stores_nothing(
    general: Room, arguments: list[str], status: int, says: str
) -> None:
    User.objects.create(username="charlie")
    queues.create("orders", SYSTEM, "kitchen")
    Room.objects.create(namespace="chat", slug="closed", closed_at=timezone.now())
    Membership.objects.filter(user__username="bob").update(muted_until=timezone.now() + timedelta(hours=1))
    with pytest.raises(CommandError) as refused:
        say(*arguments)
    assert str(refused.value).startswith(says)
    assert "\n" not in str(refused.value)
    assert refused.value.returncode == status
    assert said() == []


async def test_members_get_at_once_what_a_command_says(server: Server, connect: Connect) -> None:
    bob = await connect("bob")
    room = server.room("room", [bob])
    await bob.join(room)
    assert await asyncio.to_thread(server.manage, "say", room, "soup!") == f"{room} 1"
    entry = await bob.gets(room, seq=1)
    assert (entry["from"], entry["data"]["body"]) == ({"id": SYSTEM, "name": "system"}, "soup!")

"""`manage.py ban`, `unban`, `mute` and `kick`."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User

from chat.delivery.entries import SYSTEM
from chat.models import Ban, Membership, Message, Room
from chat.services import queues, rooms
from tests.conftest import Connect
from tests.support import Server
from tests.support.commands import call, refusal

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ"


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create(username="alice", is_staff=True)


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create(username="bob")


@pytest.fixture
def general(alice: User, bob: User) -> Room:
    """Alice owns it, Bob is a member."""
    room = rooms.create("chat", alice.pk, "general")
    rooms.seat_person(room, bob.pk)
    return room


def notices() -> list[str]:
    found = Message.objects.filter(room__slug="general", kind="notice").order_by("seq")
    return [json.loads(extra)["text"] for extra in found.values_list("extra", flat=True)]


def is_in(seconds: float, at: datetime | None) -> bool:
    assert at is not None
    return abs(at - datetime.now(UTC) - timedelta(seconds=seconds)) < timedelta(minutes=1)


# ban, unban


def test_a_ban_from_the_site_is_for_good_unless_a_time_is_given(bob: User) -> None:
    said = "bob is banned from the site for good.\n"
    assert call("ban", "bob", "--reason", "sells watches") == said
    ban = Ban.objects.get()
    assert (ban.user, ban.room, ban.until, ban.by_id) == (bob, None, None, SYSTEM)
    assert ban.reason == "sells watches"
    assert re.fullmatch(
        f"bob is banned from the site until {TIME}\\.\n", call("ban", "bob", "--reason", "x", "--for", "2h")
    )
    assert is_in(7200, Ban.objects.get().until)


def test_a_ban_from_a_room_ends_the_membership(general: Room, bob: User) -> None:
    assert call("ban", "bob", "--room", "general", "--reason", "calm down") == (
        "bob is banned from chat/general for good.\n"
    )
    assert Ban.objects.get().room == general
    assert not Membership.objects.filter(user=bob).exists()
    assert notices() == ["bob was banned."]


def test_a_ban_is_whose_it_is_said_to_be(alice: User, bob: User) -> None:
    call("ban", "bob", "--reason", "x", "--by", "alice")
    assert Ban.objects.get().by == alice
    assert LogEntry.objects.get().user == alice


@pytest.mark.parametrize(
    ("time", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("7d", 604800), ("2w", 1209600)]
)
def test_a_time_is_a_number_with_its_unit(bob: User, time: str, seconds: int) -> None:
    call("ban", "bob", "--reason", "x", "--for", time)
    assert is_in(seconds, Ban.objects.get().until)


@pytest.mark.parametrize("time", ["2", "0h", "-1h", "1.5h", "2 h", "2y", "h", "", "９m", "9" * 11 + "w"])
def test_anything_else_is_no_time(bob: User, time: str) -> None:
    said = f"argument --for: must be a time such as 90s, 30m, 2h, 7d or 2w, not {time!r}"
    assert said in str(refusal("ban", "bob", "--reason", "x", f"--for={time}"))
    assert not Ban.objects.exists()


def test_json_says_what_came_of_it(general: Room, bob: User) -> None:
    person = {"id": bob.pk, "name": "bob"}
    banned = json.loads(call("ban", "bob", "--reason", "x", "--json"))
    assert banned == {"user": person, "room": None, "until": None, "reason": "x"}
    assert json.loads(call("unban", "bob", "--json")) == {"user": person, "room": None}
    muted = json.loads(call("mute", "bob", "general", "--for", "30m", "--json"))
    assert is_in(1800, datetime.fromisoformat(muted.pop("until")))
    assert muted == {"user": person, "room": "chat/general", "muted": True, "reason": ""}
    kicked = json.loads(call("kick", "bob", "--room", "general", "--json"))
    assert kicked == {"user": person, "room": "chat/general", "reason": ""}


def test_unban_ends_the_ban_it_names_alone(general: Room, bob: User) -> None:
    call("ban", "bob", "--reason", "x")
    call("ban", "bob", "--room", "general", "--reason", "x")
    assert call("unban", "bob") == "bob is no longer banned from the site.\n"
    assert Ban.objects.get().room == general
    assert call("unban", "bob", "--room", "chat/general") == "bob is no longer banned from chat/general.\n"
    assert not Ban.objects.exists()
    assert str(refusal("unban", "bob")) == "bob is not banned from the site"


# mute, kick


def test_a_mute_lasts_until_it_ends(general: Room, bob: User) -> None:
    def muted_until() -> Any:
        return Membership.objects.get(user=bob).muted_until

    assert call("mute", "bob", "general") == "bob is muted in chat/general for good.\n"
    assert muted_until().year == 9999
    said = call("mute", "bob", "general", "--for", "30m", "--reason", "too loud")
    assert re.fullmatch(f"bob is muted in chat/general until {TIME}\\.\n", said)
    assert is_in(1800, muted_until())
    assert call("mute", "bob", "general", "--end") == "bob may write in chat/general again.\n"
    assert muted_until() is None
    assert notices() == ["bob was muted.", "bob was muted.", "bob may write again."]


def test_kick_closes_connections_or_ends_a_membership(general: Room, bob: User) -> None:
    assert call("kick", "bob") == "bob's connections are being closed.\n"
    assert Membership.objects.filter(user=bob).exists()
    assert call("kick", "bob", "--room", "general") == "bob is no longer a member of chat/general.\n"
    assert not Membership.objects.filter(user=bob).exists()


# Refusals


@pytest.mark.parametrize(
    ("command", "status", "says"),
    [
        ("ban nobody --reason x", 1, "there is no person 'nobody'"),
        ("ban bob --reason x --room nowhere", 1, "there is no queue or room 'nowhere'"),
        ("ban bob --reason x --by bob", 1, "this is for the staff alone"),
        ("ban root --reason x", 1, "root is the last superuser: make someone else one first"),
        ("ban root --reason x --by alice", 1, "root is a superuser: only another superuser may do this"),
        ("mute charlie general", 1, "charlie is not a member of 'general'"),
        ("mute bob twice", 1, "there are chat/twice and orders/twice: say which"),
        ("mute bob general --end --for 1h", 2, "--end and --for exclude each other."),
        ("kick charlie --room general", 1, "charlie is not a member of 'general'"),
        ("unban bob --room general", 1, "bob is not banned from 'general'"),
    ],
)
def test_a_refusal_is_a_line_and_changes_nothing(general: Room, command: str, status: int, says: str) -> None:
    User.objects.create(username="root", is_superuser=True, is_staff=True)
    User.objects.create(username="charlie")
    queues.create("orders", SYSTEM, "twice")
    rooms.create("chat", general.memberships.first().user_id, "twice")  # type: ignore[union-attr]
    refused = refusal(*command.split())
    assert (str(refused), refused.returncode) == (says, status)
    assert not Ban.objects.exists()
    assert not LogEntry.objects.exists()


def test_a_ban_needs_a_reason(bob: User) -> None:
    assert "the following arguments are required: --reason" in str(refusal("ban", "bob"))


# Beside a running server


async def test_who_is_banned_by_a_command_is_told_why_and_closed(server: Server, connect: Connect) -> None:
    bob = await connect("bob")
    await asyncio.to_thread(server.manage, "ban", bob.name, "--reason", "sells watches")
    assert (await bob.expect_error())["reason"] == "sells watches"
    assert await bob.closed() == 4503

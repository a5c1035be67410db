"""Rights are checked inside the transaction that stores the entry."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from chat.delivery import door
from chat.delivery.journal import journal
from chat.models import Ban, Membership, Room
from chat.services import rooms

from .conftest import MakeRoom
from .support import act, code, codes, draft, entries, others, place, refused, say, send

PAST, FUTURE = (datetime.now(UTC) + timedelta(hours=hours) for hours in (-1, 1))


def test_a_member_writes_and_an_outsider_does_not(room: Room, bob: User, charlie: User) -> None:
    assert codes(send(draft(room, bob), draft(room, charlie))) == ["ok", "forbidden"]


def test_a_private_room_is_as_absent_as_one_that_does_not_exist(make_room: MakeRoom, charlie: User) -> None:
    hidden = make_room(slug="hidden", private=True)
    absent = Room(namespace="chat", slug="absent")
    answers = [refused(door.write, draft(room, charlie)).as_dict() for room in (hidden, absent)]
    assert answers[0]["code"] == "not_found"
    assert str(answers[0]).replace("hidden", "absent") == str(answers[1])
    through_the_journal = send(draft(hidden, charlie), draft(absent, charlie))
    assert [answer.as_dict() for answer in through_the_journal] == answers  # type: ignore[union-attr]


def test_a_private_room_is_absent_for_a_member_who_is_banned(make_room: MakeRoom, bob: User) -> None:
    room = make_room(private=True)
    Ban.objects.create(user=bob, room=room)
    assert codes(send(draft(room, bob))) == ["not_found"]


@pytest.mark.parametrize("everywhere", [True, False])
def test_who_is_banned_is_told_why(room: Room, bob: User, everywhere: bool) -> None:
    Ban.objects.create(user=bob, room=None if everywhere else room, reason="spam", until=FUTURE)
    error = refused(door.write, draft(room, bob))
    assert (error.code, error.temporary) == ("banned", False)
    assert "spam" in error.message


def test_a_ban_counts_where_it_was_given_and_until_it_ends(make_room: MakeRoom, bob: User) -> None:
    room, other = make_room(), make_room()
    Ban.objects.create(user=bob, room=other)
    Ban.objects.create(user=bob, room=room, until=PAST)
    Ban.objects.create(user=bob, until=PAST)
    assert codes(send(draft(room, bob), draft(other, bob))) == ["ok", "banned"]


@pytest.mark.parametrize("everywhere", [True, False])
def test_a_person_is_banned_once_from_a_room_and_once_from_the_site(
    room: Room, alice: User, bob: User, everywhere: bool
) -> None:
    where = None if everywhere else room
    for user in (alice, bob):
        Ban.objects.create(user=user, room=where)
    with pytest.raises(IntegrityError), transaction.atomic():
        Ban.objects.create(user=bob, room=where)
    Ban.objects.create(user=bob, room=room if everywhere else None)


def test_who_is_muted_is_told_until_when(room: Room, bob: User) -> None:
    Membership.objects.filter(room=room, user=bob).update(muted_until=FUTURE)
    error = refused(door.write, draft(room, bob))
    assert (error.code, error.temporary) == ("muted", False)
    assert FUTURE.isoformat(timespec="milliseconds")[:19] in error.message


def test_a_mute_ends_by_itself(room: Room, bob: User) -> None:
    Membership.objects.filter(room=room, user=bob).update(muted_until=PAST)
    assert codes(send(draft(room, bob))) == ["ok"]


def test_nobody_writes_in_a_closed_room(room: Room, alice: User) -> None:
    say(room, alice)
    Room.objects.filter(pk=room.pk).update(closed_at=PAST)
    assert codes(send(draft(room, alice), act("delete", room, alice, 1))) == ["forbidden", "forbidden"]


def test_an_account_that_was_switched_off_or_is_gone_says_nothing_more(
    room: Room, alice: User, bob: User
) -> None:
    User.objects.filter(pk=bob.pk).update(is_active=False)
    nobody = User(pk=10**6)
    assert codes(send(draft(room, bob), draft(room, nobody), draft(room, alice))) == [
        "session_ended",
        "session_ended",
        "ok",
    ]


def test_the_system_person_needs_no_rights(make_room: MakeRoom, alice: User) -> None:
    closed = make_room(alice, private=True, closed_at=PAST)
    assert codes(send(draft(closed, None, kind="notice"))) == ["ok"]


def test_a_kick_acts_on_what_stands_behind_it(room: Room, bob: User) -> None:
    """Sent, the ack lost, kicked, sent again: the answer is the first one, since all saw it."""
    first, retry = draft(room, bob), draft(room, bob)

    async def answers() -> list[str]:
        before = door.submit(first)
        leaving = asyncio.ensure_future(journal.run(rooms.quit, "chat", "general", bob.pk))
        await asyncio.sleep(0)  # it is queued
        behind = asyncio.gather(door.submit(retry), door.submit(first), return_exceptions=True)
        await leaving
        return [code(await before), *codes(await behind)]

    assert asyncio.run(answers()) == ["ok", "forbidden", "duplicate"]
    assert [entry.kind for entry in entries(room)] == ["message", "notice"]


def test_a_right_that_was_given_counts_at_once(room: Room, charlie: User) -> None:
    assert codes(send(draft(room, charlie))) == ["forbidden"]
    rooms.take_seat("chat", "general", charlie.pk)
    assert codes(send(draft(room, charlie))) == ["ok"]
    assert place(room, charlie).received == 0


def test_who_leaves_does_so_before_or_after_an_entry_and_never_in_between(
    room: Room, alice: User, bob: User
) -> None:
    """A loss of membership takes the room's lock, and is a notice at its place in the log."""
    with others() as threads:
        with transaction.atomic():
            say(room, bob)  # his right was checked, and is not committed yet
            leaving = threads.submit(rooms.quit, "chat", "general", bob.pk)
            with pytest.raises(TimeoutError):
                leaving.result(0.1)
        leaving.result()
    assert [entry.kind for entry in entries(room)] == ["message", "notice"]
    assert entries(room)[1].data["act"] == "quit"
    assert codes(send(draft(room, bob), draft(room, alice))) == ["forbidden", "ok"]

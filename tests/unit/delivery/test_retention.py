"""Retention: from the bottom only, and nothing unseen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from chat.delivery import door, log, retention
from chat.delivery.entries import Receipt
from chat.models import Membership, Mention, Message, Room

from .conftest import MakeRoom
from .support import (
    act,
    bodies,
    code,
    codes,
    control_room,
    dead_letters,
    draft,
    entries,
    now,
    place,
    say,
    send,
)
from .test_cursors import fill, flush

HOUR = timedelta(hours=1)
LATER = datetime.now(UTC) + HOUR


def allow(room: Room, **policy: Any) -> None:
    Room.objects.filter(pk=room.pk).update(**policy)


def receive(room: Room, upto: int, *users: User) -> None:
    Membership.objects.filter(room=room, user__in=users).update(received=upto)


def trim(room: Room, at: datetime | None = None) -> int:
    """Trim as far as the policy lets; returns where the log begins then."""
    while retention.trim_slice(room.pk, at) is not None:
        pass
    return now(room).first


# What may go


def test_without_a_policy_nothing_is_trimmed(room: Room, alice: User, bob: User) -> None:
    fill(room, alice, 5)
    receive(room, 5, alice, bob)
    assert room.pk not in retention.due()
    assert trim(room, LATER) == 1


def test_rooms_with_any_policy_are_due(make_room: MakeRoom) -> None:
    policies = [{"retain_entries": 0}, {"retain_seconds": 1}, {"expire_seconds": 1}]
    due = {make_room(**policy).pk for policy in policies}
    make_room()
    assert set(retention.due()) - {control_room().pk} == due


def test_the_newest_entries_are_kept(room: Room, alice: User, bob: User) -> None:
    allow(room, retain_entries=2)
    fill(room, alice, 5)
    receive(room, 5, alice, bob)
    assert trim(room) == 4
    assert [entry.seq for entry in entries(room)] == [4, 5]
    assert trim(room) == 4


def test_entries_are_trimmed_when_they_are_old_enough(room: Room, alice: User, bob: User) -> None:
    allow(room, retain_seconds=3600)
    fill(room, alice, 3)
    receive(room, 3, alice, bob)
    Message.objects.filter(room=room, seq__lte=2).update(at=datetime.now(UTC) - 2 * HOUR)
    assert trim(room) == 3
    assert trim(room, datetime.now(UTC) + 2 * HOUR) == 4


def test_with_both_policies_an_entry_goes_when_both_let_it(room: Room, alice: User, bob: User) -> None:
    allow(room, retain_entries=1, retain_seconds=3600)
    fill(room, alice, 4)
    receive(room, 4, alice, bob)
    Message.objects.filter(room=room, seq__lte=2).update(at=datetime.now(UTC) - 2 * HOUR)
    assert trim(room) == 3
    assert trim(room, datetime.now(UTC) + 2 * HOUR) == 4


def test_an_old_entry_above_a_younger_one_waits_for_it(room: Room, alice: User, bob: User) -> None:
    """A clock that was set back; the log leaves from the bottom only."""
    allow(room, retain_seconds=3600)
    fill(room, alice, 3)
    receive(room, 3, alice, bob)
    Message.objects.filter(room=room, seq__in=(1, 3)).update(at=datetime.now(UTC) - 2 * HOUR)
    assert trim(room) == 2


# Nothing unseen


def test_what_a_member_has_not_received_is_not_trimmed(room: Room, alice: User, bob: User) -> None:
    allow(room, retain_entries=0)
    fill(room, alice, 5)
    receive(room, 5, alice)
    receive(room, 2, bob)
    assert trim(room) == 3
    receive(room, 5, bob)
    assert trim(room) == 6
    assert dead_letters(room, bob) == []


def test_a_room_without_members_keeps_nothing_for_them(make_room: MakeRoom, alice: User) -> None:
    room = make_room(alice, retain_entries=1)
    fill(room, alice, 3)
    Membership.objects.filter(room=room).delete()
    assert trim(room) == 3


def test_what_expired_becomes_one_dead_letter_a_range_for_who_missed_it(
    room: Room, alice: User, bob: User, charlie: User
) -> None:
    Membership.objects.create(room=room, user=charlie)
    allow(room, expire_seconds=3600)
    fill(room, alice, 6)
    receive(room, 6, alice)
    receive(room, 2, bob)
    Message.objects.filter(room=room, seq__lte=5).update(at=datetime.now(UTC) - 2 * HOUR)
    assert trim(room) == 6
    assert dead_letters(room, alice) == []
    assert dead_letters(room, bob) == [(3, 5, 0, "expired")]
    assert dead_letters(room, charlie) == [(1, 5, 0, "expired")]
    assert [place(room, user).received for user in (alice, bob, charlie)] == [6, 5, 5]


def test_what_expired_but_was_acknowledged_out_of_order_is_no_dead_letter(
    make_room: MakeRoom, alice: User, bob: User
) -> None:
    room = make_room(ordering="unordered", expire_seconds=3600)
    fill(room, alice, 6)
    flush(room, alice, received=1, acked="2-5")
    flush(room, bob, acked="2,4,6", deliveries={1: 2, 3: 1})
    Message.objects.filter(room=room, seq__lte=4).update(at=datetime.now(UTC) - 2 * HOUR)
    assert trim(room) == 5
    assert dead_letters(room, alice) == []
    assert dead_letters(room, bob) == [(1, 3, 0, "expired")]
    member = flush(room, bob)
    assert (member.received, member.acked) == (4, "6")


def test_a_dead_letter_and_the_cursor_past_it_are_one_transaction(
    room: Room, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(room, expire_seconds=0)
    fill(room, alice, 3)

    def die(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(retention, "_empty", die)
    with pytest.raises(ZeroDivisionError):
        retention.trim_slice(room.pk, LATER)
    assert (dead_letters(room, bob), place(room, bob).received) == ([], 0)


def test_a_cursor_that_is_behind_what_was_trimmed_goes_forward_still(
    room: Room, alice: User, bob: User
) -> None:
    """Another process flushes what it knew from before."""
    allow(room, expire_seconds=0)
    fill(room, alice, 5)
    trim(room, LATER)
    assert flush(room, bob, received=3).received == 5


# What is left of an entry


def test_a_trimmed_entry_leaves_no_word_of_it(room: Room, alice: User, bob: User) -> None:
    named = {"mentions": [{"id": bob.pk, "name": "bob"}]}
    say(room, alice, "secret 1", html="<b>secret</b>", extra={**named, "text": "secret"})
    door.write(act("edit", room, alice, 1, "secret 2"))
    say(room, alice, "gone by hand")
    door.write(act("delete", room, alice, 3, extra={"reason": "secret"}))
    say(room, bob, "kept", extra=named)
    allow(room, retain_entries=1)
    receive(room, 5, alice, bob)
    assert trim(room) == 5
    assert "secret" not in str(list(Message.objects.filter(room=room).values_list()))
    assert list(Mention.objects.values_list("seq", flat=True)) == [5]
    assert bodies(room) == ["kept"]


def test_a_client_id_is_answered_also_after_its_entry_was_trimmed(room: Room, alice: User, bob: User) -> None:
    first = draft(room, alice, client_id="first")
    door.write(first)
    fill(room, alice, 2)
    allow(room, retain_entries=0)
    receive(room, 3, alice, bob)
    assert trim(room) == 4
    assert send(first) == [Receipt("general", 1, "first", duplicate=True)]
    assert log.client_id_at(room.pk, 1) == "first"
    assert say(room, alice) == 4


def test_numbers_go_on_after_everything_was_trimmed(room: Room, alice: User, bob: User) -> None:
    allow(room, retain_entries=0)
    fill(room, alice, 3)
    receive(room, 3, alice, bob)
    trim(room)
    assert (now(room).first, now(room).head, now(room).messages) == (4, 3, 3)
    assert [code(answer) for answer in send(draft(room, alice), act("react", room, bob, 3))] == [
        "ok",
        "not_found",
    ]
    assert [entry.seq for entry in entries(room)] == [4]


# In slices


def test_a_log_is_trimmed_in_slices(
    room: Room, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each a transaction of its own: nobody else's write waits for all of it."""
    monkeypatch.setattr(retention, "SLICE", 4)
    allow(room, retain_entries=0, expire_seconds=3600)
    fill(room, alice, 10)
    receive(room, 9, alice, bob)
    assert [step.first for step in retention.trim(room.pk)] == [5, 9, 10]
    assert dead_letters(room, bob) == []


def test_what_expired_in_several_slices_is_a_dead_letter_for_each(
    room: Room, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "SLICE", 4)
    allow(room, expire_seconds=0)
    fill(room, alice, 6)
    receive(room, 6, alice)
    assert trim(room, LATER) == 7
    assert dead_letters(room, bob) == [(1, 4, 0, "expired"), (5, 6, 0, "expired")]


def test_the_control_log_does_not_grow_for_ever() -> None:
    for _ in range(3):
        door.control("recheck", users=[])
    room = control_room()
    assert room.pk in retention.due()
    assert trim(room) == 1
    assert trim(room, datetime.now(UTC) + 2 * HOUR) == 4
    assert not Message.objects.filter(room=room).exists()
    assert codes(send(draft(room, None, kind="control", extra={"act": "recheck", "users": []}))) == ["ok"]

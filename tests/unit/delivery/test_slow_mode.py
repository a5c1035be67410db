"""Slow mode: how long a member waits from one message to the next."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from chat.delivery.door import Lane
from chat.models import Membership, Room

from .conftest import MakeRoom
from .support import Role, act, bodies, codes, draft, refused, say, send


def waited(room: Room, user: User, seconds: float) -> None:
    """As if that long had passed since their last message."""
    at = timezone.now() - timedelta(seconds=seconds)
    Membership.objects.filter(room=room, user=user).update(wrote_at=at)


def test_a_member_waits_from_one_message_to_the_next(make_room: MakeRoom, bob: User) -> None:
    room = make_room(slow_mode=30)
    say(room, bob, "one")
    waited(room, bob, 20)
    refusal = refused(say, room, bob, "two")
    assert refusal.code == "rate_limited" and refusal.temporary
    assert 8 < refusal.more["retry_after"] <= 10 and refusal.more["slow_mode"] == 30
    waited(room, bob, 30)
    say(room, bob, "two")
    assert bodies(room) == ["one", "two"]


def test_a_second_message_in_the_same_batch_waits_too(make_room: MakeRoom, bob: User) -> None:
    room = make_room(slow_mode=30)
    assert codes(send(draft(room, bob, "one"), draft(room, bob, "two"))) == ["ok", "rate_limited"]


def test_a_refused_message_does_not_lengthen_the_wait(make_room: MakeRoom, bob: User) -> None:
    room = make_room(slow_mode=30)
    say(room, bob)
    waited(room, bob, 29)
    assert refused(say, room, bob).more["retry_after"] <= 1
    assert refused(say, room, bob).more["retry_after"] <= 1


def test_messages_behind_one_that_waits_keep_their_order(make_room: MakeRoom, bob: User) -> None:
    room, lane = make_room(slow_mode=30), Lane()
    first, second, third = (draft(room, bob, body, lane=lane, number=n) for n, body in enumerate("abc"))
    assert codes(send(first, second, third)) == ["ok", "rate_limited", "unavailable"]
    waited(room, bob, 30)
    assert codes(send(third, second)) == ["unavailable", "ok"]


def test_a_retry_is_answered_without_waiting(make_room: MakeRoom, bob: User) -> None:
    room = make_room(slow_mode=30)
    once = draft(room, bob, "one")
    assert codes(send(once)) + codes(send(once)) == ["ok", "duplicate"]


def test_slow_mode_counts_messages_alone(make_room: MakeRoom, alice: User, bob: User) -> None:
    room = make_room(slow_mode=30)
    seq = say(room, bob)
    acts = [
        act("edit", room, bob, seq, "better"),
        act("react", room, bob, seq),
        act("delete", room, bob, seq),
    ]
    assert codes(send(*acts)) == ["ok", "ok", "ok"]


def test_who_leads_the_room_and_the_staff_do_not_wait(make_room: MakeRoom, alice: User, bob: User) -> None:
    room = make_room(slow_mode=30)
    assert codes(send(draft(room, alice), draft(room, alice))) == ["ok", "ok"]
    Membership.objects.filter(room=room, user=bob).update(role=Role.MODERATOR)
    assert codes(send(draft(room, bob), draft(room, bob))) == ["ok", "ok"]
    Membership.objects.filter(room=room, user=bob).update(role=Role.MEMBER)
    User.objects.filter(pk=bob.pk).update(is_staff=True)
    assert codes(send(draft(room, bob), draft(room, bob))) == ["ok", "ok"]


def test_rooms_are_slow_each_for_itself(make_room: MakeRoom, bob: User) -> None:
    one, two, quick = make_room(slow_mode=30), make_room(slow_mode=30), make_room()
    batch = [draft(room, bob) for room in (one, two, quick, quick, one)]
    assert codes(send(*batch)) == ["ok", "ok", "ok", "ok", "rate_limited"]


def test_a_clock_that_was_put_back_makes_nobody_wait_longer(make_room: MakeRoom, bob: User) -> None:
    room = make_room(slow_mode=30)
    waited(room, bob, -3600)
    assert refused(say, room, bob).more["retry_after"] <= 30

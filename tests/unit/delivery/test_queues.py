"""What may be written into a queue, by whom, and what leaves its log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User

from chat.delivery import door, leases, log, retention
from chat.models import Ban, Lease, Membership, Message, Room

from .conftest import MakeRoom
from .orders import done, fail, item, kill, order, row, settle, states, take, take_one
from .support import check_dense, codes, draft, entries, now, refused, send

PAST, FUTURE = (datetime.now(UTC) + timedelta(hours=hours) for hours in (-1, 1))


# Kinds


@pytest.mark.parametrize("kind", ["message", "edit", "delete", "react", "notice", "control"])
def test_a_queue_takes_nothing_but_orders(queue: Room, alice: User, kind: str) -> None:
    """Whatever comes through a chat's events: to them a queue is no room."""
    foreign = draft(queue, alice, kind=kind, target=1)
    assert refused(door.write, foreign).message == "there is no room 'kitchen', or it is not open to you"
    assert codes(send(foreign, item(queue, alice))) == ["not_found", "ok"]
    assert states(queue) == ["queued"]


def test_a_room_takes_no_orders(room: Room, alice: User) -> None:
    assert codes(send(item(room, alice), item(room, None), draft(room, alice))) == [
        "not_found",
        "not_found",
        "ok",
    ]
    assert not Lease.objects.exists()


def test_the_system_may_say_something_in_a_queue(queue: Room, bob: User) -> None:
    assert codes(send(draft(queue, None, kind="notice"), item(queue, bob), draft(queue, None))) == [
        "ok",
        "ok",
        "not_found",
    ]
    assert list(Lease.objects.values_list("seq", flat=True)) == [2]
    assert now(queue).messages == 1


def test_an_entry_of_a_queue_carries_its_item(queue: Room, bob: User) -> None:
    order(queue, 1, bob)
    (entry,) = entries(queue)
    assert (entry.kind, entry.data["body"]) == ("item", "0")


# Rights


def test_who_orders_needs_no_membership(queue: Room, bob: User, charlie: User) -> None:
    assert codes(send(item(queue, bob), item(queue, charlie), item(queue, None))) == ["ok"] * 3


def test_an_order_is_stored_once_however_often_it_is_sent(queue: Room, bob: User) -> None:
    same = item(queue, bob, client_id="same")
    assert codes(send(same, same, item(queue, bob))) == ["ok", "duplicate", "ok"]
    assert codes(send(same)) == ["duplicate"]
    assert states(queue) == ["queued", "queued"]


def test_a_private_queue_is_as_absent_as_none_to_who_is_no_member(
    make_queue: MakeRoom, alice: User, charlie: User
) -> None:
    hidden, absent = make_queue(slug="hidden", private=True), Room(namespace="orders", slug="absent")
    answers = [refused(door.write, item(queue, charlie)).as_dict() for queue in (hidden, absent)]
    assert answers[0]["code"] == "not_found"
    assert str(answers[0]).replace("hidden", "absent") == str(answers[1])
    assert codes(send(item(hidden, alice))) == ["ok"]


@pytest.mark.parametrize("everywhere", [True, False])
def test_who_is_banned_orders_nothing(queue: Room, bob: User, everywhere: bool) -> None:
    Ban.objects.create(user=bob, room=None if everywhere else queue, until=FUTURE)
    assert codes(send(item(queue, bob))) == ["banned"]


def test_nobody_orders_in_a_closed_queue_but_what_is_in_it_is_worked_off(
    queue: Room, alice: User, bob: User
) -> None:
    order(queue)
    Room.objects.filter(pk=queue.pk).update(closed_at=PAST)
    assert codes(send(item(queue, alice))) == ["forbidden"]
    assert settle(done(take_one(queue, bob), bob)) == ["done"]


def test_an_account_that_was_switched_off_orders_nothing(queue: Room, bob: User) -> None:
    User.objects.filter(pk=bob.pk).update(is_active=False)
    assert codes(send(item(queue, bob))) == ["session_ended"]


def test_orders_and_messages_share_a_batch(queue: Room, line: Room, room: Room, bob: User) -> None:
    batch = [item(queue, bob), draft(room, bob), item(line, bob), item(queue, bob), draft(room, bob)]
    assert codes(send(*batch)) == ["ok"] * 5
    assert (states(queue), states(line)) == (["queued"] * 2, ["queued"])
    check_dense(room)


def test_an_order_that_is_rolled_back_leaves_no_lease(queue: Room, bob: User, charlie: User) -> None:
    User.objects.filter(pk=charlie.pk).update(is_active=False)
    assert refused(door.write, item(queue, bob), item(queue, charlie)).code == "session_ended"
    assert not Lease.objects.exists()
    assert order(queue) == [1]


# Retention


def allow(queue: Room, **policy: int | None) -> None:
    Room.objects.filter(pk=queue.pk).update(**policy)


def trim(queue: Room, at: datetime | None = None) -> int:
    """Trim as far as the policy lets; returns where the log begins then."""
    while retention.trim_slice(queue.pk, at) is not None:
        pass
    return now(queue).first


def test_a_queue_lets_go_only_what_is_done_or_buried_from_the_bottom(
    queue: Room, alice: User, bob: User
) -> None:
    order(queue, 6)
    allow(queue, retain_entries=0)
    assert trim(queue) == 1
    one = take_one(queue, bob)
    two, three = take(queue, bob, 2)
    settle(done(three, bob))
    assert trim(queue) == 1  # the first is leased
    settle(done(one, bob))
    assert trim(queue) == 2
    settle(fail(two, bob))
    assert trim(queue) == 2  # queued again
    kill(queue, bob, attempts=4)
    assert trim(queue) == 2  # dead, and nobody has judged it
    leases.bury("orders", "kitchen", 2, alice.pk)
    assert trim(queue) == 4
    assert list(Lease.objects.filter(room=queue).values_list("seq", flat=True)) == [4, 5, 6]


def test_the_members_of_a_queue_hold_nothing_back(queue: Room, alice: User, bob: User) -> None:
    assert Membership.objects.filter(room=queue, received=0).exists()
    order(queue, 3)
    settle(*(done(leased, bob) for leased in take(queue, bob, 3)))
    allow(queue, retain_entries=1)
    assert trim(queue) == 3


def test_nothing_of_a_queue_expires(queue: Room, bob: User) -> None:
    order(queue, 3)
    settle(done(take_one(queue, bob), bob))
    allow(queue, expire_seconds=1)
    assert trim(queue, FUTURE) == 1
    allow(queue, retain_seconds=1, expire_seconds=1)
    assert trim(queue, FUTURE) == 2
    assert states(queue) == ["queued", "queued"]


def test_a_trimmed_order_is_known_by_its_client_id_and_to_no_worker(queue: Room, bob: User) -> None:
    same = item(queue, bob, {"n": 1}, client_id="same")
    send(same)
    leased = take_one(queue, bob)
    settle(done(leased, bob))
    allow(queue, retain_entries=0)
    assert trim(queue) == 2
    assert codes(send(same)) == ["duplicate"]
    assert settle(done(leased, bob)) == ["not_found"]
    assert leases.load([(queue.pk, 1)]) == log.read(queue.pk, 0, 9) == []
    assert Message.objects.get(room=queue, seq=1).body == ""


def test_a_queue_is_trimmed_in_slices(queue: Room, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "SLICE", 2)
    order(queue, 5)
    settle(*(done(leased, bob) for leased in take(queue, bob, 5)))
    allow(queue, retain_entries=0)
    assert [step.first for step in retention.trim(queue.pk)] == [3, 5, 6]
    assert not Lease.objects.exists()


def test_a_lease_row_stays_as_long_as_its_order(queue: Room, bob: User) -> None:
    order(queue)
    leased = take_one(queue, bob)
    settle(done(leased, bob))
    allow(queue, retain_entries=1)
    assert trim(queue) == 1
    assert settle(done(leased, bob)) == ["done again"]
    assert row(queue, 1).token == leased.token

"""Leases: who gets an order, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from chat.delivery import clock, leases, log
from chat.delivery.entries import SYSTEM
from chat.models import Ban, Lease, Room

from .conftest import MakeRoom
from .orders import done, fail, item, kill, order, row, seqs, settle, states, take, take_one, wait_out, want
from .support import on_postgres, say


def counted(some: list[leases.Leased]) -> dict[str, int]:
    """How many orders each holder has got."""
    holders = [leased.holder for leased in some]
    return {holder: holders.count(holder) for holder in sorted(set(holders))}


# Any queue


def test_an_order_is_leased_to_one_worker(queue: Room, alice: User, bob: User) -> None:
    order(queue)
    leased = take_one(queue, bob)
    assert (leased.order.seq, leased.order.state, leased.order.attempts) == (1, "leased", 1)
    assert (leased.order.worker.id, leased.order.worker.name) == (bob.pk, "bob")
    assert take(queue, alice) == []


def test_an_order_shows_what_was_ordered(queue: Room, bob: User) -> None:
    log_entry = item(queue, bob, {"pizza": ["margherita", 2], "ü": None})
    with transaction.atomic():
        ((appended,),) = [log.append([log_entry])[1]]
    created = leases.created(queue.pk, appended.entries[0]).as_dict()
    assert created == leases.load([(queue.pk, 1)])[0].as_dict()
    assert created["item"] == {"pizza": ["margherita", 2], "ü": None}
    assert (created["queue"], created["seq"], created["state"]) == ("kitchen", 1, "queued")
    assert (created["attempts"], created["worker"]) == (0, None)


def test_attempts_count_the_leases_given_and_the_first_is_one(queue: Room, bob: User) -> None:
    order(queue)
    for attempt in (1, 2, 3):
        leased = take_one(queue, bob)
        assert leased.order.attempts == row(queue, 1).attempts == attempt
        settle(fail(leased, bob))


def test_each_lease_has_a_token_of_its_own(queue: Room, bob: User) -> None:
    order(queue, 3)
    tokens = {leased.token for leased in take(queue, bob, 3)}
    wait_out(queue)
    leases.sweep()
    tokens |= {leased.token for leased in take(queue, bob, 3)}
    assert len(tokens) == 6
    assert {len(token) for token in tokens} == {32}


def test_a_lease_is_as_long_as_its_queue_says(make_queue: MakeRoom, bob: User) -> None:
    queue = make_queue(lease_seconds=500)
    order(queue)
    before = datetime.now(UTC)
    until = datetime.fromisoformat(take_one(queue, bob).lease_until)
    assert timedelta(seconds=490) < until - before < timedelta(seconds=510)
    assert until == row(queue, 1).visible_at


def test_orders_are_taken_in_the_order_of_their_seq(queue: Room, bob: User) -> None:
    order(queue, 5)
    assert seqs(take(queue, bob, 2)) + seqs(take(queue, bob, 9)) == [1, 2, 3, 4, 5]


def test_a_want_gets_no_more_than_it_asked_for(queue: Room, alice: User, bob: User) -> None:
    order(queue, 9)
    taken = leases.take([want(queue, alice, 0), want(queue, bob, 2)])
    assert [leased.order.worker.name for leased in taken] == ["bob", "bob"]
    assert leases.take([]) == []


def test_wants_get_one_order_each_in_turn(queue: Room, alice: User, bob: User) -> None:
    order(queue, 7)
    wants = [want(queue, alice, 9, "a"), want(queue, bob, 1, "b"), want(queue, bob, 9, "c")]
    taken = leases.take(wants)
    assert [leased.holder for leased in sorted(taken, key=lambda leased: leased.order.seq)] == [
        *("a", "b", "c"),
        *("a", "c"),
        *("a", "c"),
    ]


def test_one_call_takes_from_many_queues(make_queue: MakeRoom, alice: User, bob: User) -> None:
    queues = [make_queue(ordering=ordering) for ordering in ("ordered", "unordered", "ordered")]
    for each in queues:
        order(each, 3)
    wants = [want(each, user, 2) for user in (alice, bob) for each in reversed(queues)]
    taken = leases.take(wants)
    assert sorted((leased.order.queue, leased.order.seq) for leased in taken) == [
        ("queue1", 1),
        ("queue2", 1),
        ("queue2", 2),
        ("queue2", 3),
        ("queue3", 1),
    ]


def test_many_orders_are_taken_in_slices_and_fairly(
    queue: Room, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "SLICE", 4)
    order(queue, 11)
    taken = leases.take([want(queue, alice, 9, "a"), want(queue, bob, 9, "b")])
    assert seqs(taken) == list(range(1, 12))
    assert counted(taken) == {"a": 6, "b": 5}


def test_an_order_that_waits_out_a_delay_is_passed_over(queue: Room, bob: User) -> None:
    order(queue, 2)
    settle(fail(take_one(queue, bob), bob, delay=60))
    assert seqs(take(queue, bob, 9)) == [2]
    wait_out(queue)
    assert seqs(take(queue, bob, 9)) == [1]


def test_a_lease_that_has_lapsed_is_given_to_nobody_before_it_is_put_back(
    queue: Room, alice: User, bob: User
) -> None:
    order(queue)
    take(queue, bob)
    wait_out(queue)
    assert take(queue, alice) == []
    leases.sweep()
    assert take_one(queue, alice).order.attempts == 2


def test_who_may_not_work_in_a_queue_gets_no_order(
    queue: Room, make_queue: MakeRoom, alice: User, bob: User, charlie: User
) -> None:
    """Also a socket that has yet to be told so."""
    hidden = make_queue(private=True)
    for each in (queue, hidden):
        order(each, 3)
    Ban.objects.create(user=charlie, room=hidden)
    Ban.objects.create(user=bob, room=queue)
    gone = User.objects.create(username="gone", is_active=False)
    banned = User.objects.create(username="banned")
    Ban.objects.create(user=banned)
    wants = [want(each, user) for user in (bob, charlie, gone, banned) for each in (queue, hidden)]
    taken = leases.take([*wants, want(hidden, alice)])
    assert [(leased.order.queue, leased.order.worker.name) for leased in taken] == [
        ("kitchen", "charlie"),
        (hidden.slug, "alice"),
    ]
    Ban.objects.filter(user=bob).update(until=datetime.now(UTC) - timedelta(seconds=1))
    assert seqs(take(queue, bob)) == [2]


def test_the_system_works_in_any_queue(make_queue: MakeRoom) -> None:
    queue = make_queue(private=True)
    order(queue)
    assert take_one(queue, User.objects.get(pk=SYSTEM)).order.worker.name == "system"


def test_a_room_has_no_orders_to_take(room: Room, bob: User) -> None:
    say(room, bob)
    assert take(room, bob) == []


def test_leases_are_given_and_rolled_back_with_the_caller(queue: Room, bob: User) -> None:
    order(queue)
    with transaction.atomic():
        taken = take_one(queue, bob)
        transaction.set_rollback(True)
    assert (row(queue, 1).state, row(queue, 1).attempts) == ("queued", 0)
    assert settle(done(taken, bob)) == ["stale_lease"]


@on_postgres
def test_the_databases_clock_decides_and_not_a_hosts(
    queue: Room, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process whose clock is an hour ahead writes an order that is due now."""
    later = datetime.now(UTC) + timedelta(hours=1)
    for module in (log, clock):
        monkeypatch.setattr(module, "now", lambda: later)
    order(queue)
    leased = take_one(queue, bob)
    assert datetime.fromisoformat(leased.lease_until) < later
    assert leases.sweep() == []


# Ordered queues


def test_an_ordered_queue_has_one_order_in_flight(line: Room, alice: User, bob: User) -> None:
    order(line, 3)
    (leased,) = leases.take([want(line, bob, 9), want(line, alice, 9)])
    assert leased.order.seq == 1
    assert take(line, alice) == take(line, bob, 9) == []
    settle(done(leased, bob))
    assert seqs(take(line, alice, 9)) == [2]


def test_an_order_that_failed_stays_first_and_its_queue_waits_out_the_delay(line: Room, bob: User) -> None:
    order(line, 2)
    settle(fail(take_one(line, bob), bob, delay=60))
    assert take(line, bob) == []
    wait_out(line)
    assert seqs(take(line, bob)) == [1]


def test_an_order_that_lapsed_stays_first(line: Room, bob: User) -> None:
    order(line, 2)
    take(line, bob)
    wait_out(line)
    leases.sweep()
    assert seqs(take(line, bob)) == [1]


def test_an_order_that_is_revived_below_the_one_in_flight_waits_for_it(line: Room, bob: User) -> None:
    order(line, 3)
    kill(line, bob)
    in_flight = take_one(line, bob)
    assert in_flight.order.seq == 2
    leases.revive("orders", "line", 1, 0)
    assert take(line, bob) == []
    settle(done(in_flight, bob))
    assert seqs(take(line, bob)) == [1]


def test_a_dead_order_does_not_hold_up_an_ordered_queue(line: Room, bob: User) -> None:
    order(line, 2)
    kill(line, bob)
    assert seqs(take(line, bob)) == [2]


# When there is work


def test_nothing_is_due_where_nothing_is_queued(queue: Room, line: Room, bob: User) -> None:
    assert leases.due([queue.pk, line.pk]) == {queue.pk: None, line.pk: None}
    assert leases.due([]) == {}
    order(queue)
    settle(done(take_one(queue, bob), bob))
    assert leases.due([queue.pk]) == {queue.pk: None}


def test_an_order_is_due_at_once(queue: Room, line: Room, bob: User) -> None:
    order(queue, 2)
    order(line, 2)
    assert leases.due([queue.pk, line.pk]) == {queue.pk: 0, line.pk: 0}
    settle(fail(take_one(queue, bob), bob, delay=60))
    assert leases.due([queue.pk]) == {queue.pk: 0}


def test_an_order_that_failed_is_due_when_its_delay_is_over(queue: Room, line: Room, bob: User) -> None:
    for each in (queue, line):
        order(each, 2)
    for leased in take(queue, bob, 2):
        settle(fail(leased, bob, delay=500 * leased.order.seq))
    settle(fail(take_one(line, bob), bob, delay=1000))
    due = leases.due([queue.pk, line.pk])
    assert 490 < due[queue.pk] <= 500
    assert 990 < due[line.pk] <= 1000
    wait_out(queue)
    assert leases.due([queue.pk]) == {queue.pk: 0}


def test_nothing_of_an_ordered_queue_is_due_while_one_is_in_flight(line: Room, bob: User) -> None:
    order(line, 2)
    leased = take_one(line, bob)
    assert leases.due([line.pk]) == {line.pk: None}
    settle(done(leased, bob))
    assert leases.due([line.pk]) == {line.pk: 0}


# A row for each order


def test_a_lease_is_there_as_soon_as_its_order_is(queue: Room, alice: User, bob: User) -> None:
    order(queue, 3, bob)
    assert states(queue) == ["queued"] * 3
    assert set(Lease.objects.values_list("attempts", "token", "worker")) == {(0, "", None)}


def test_orders_are_loaded_in_the_order_in_which_they_are_asked_for(queue: Room, line: Room) -> None:
    order(queue, 2)
    order(line)
    keys = [(queue.pk, 2), (line.pk, 1), (line.pk, 2), (queue.pk, 1)]
    assert [(order.queue, order.seq) for order in leases.load(keys)] == [
        ("kitchen", 2),
        ("line", 1),
        ("kitchen", 1),
    ]
    assert leases.load([]) == []

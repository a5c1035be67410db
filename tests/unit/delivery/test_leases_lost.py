"""Workers that go away: their orders go back, or to the worker's next socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from chat.delivery import leases
from chat.models import Room

from .conftest import MakeRoom
from .orders import done, extend, order, row, seqs, settle, socket, states, take, take_one, wait_out, want


def alive(*holders: str) -> Callable[[str], bool]:
    return lambda holder: holder in holders


# Put back


def test_a_lost_sockets_orders_are_queued_at_once(queue: Room, alice: User, bob: User) -> None:
    order(queue, 3)
    leases.take([want(queue, bob, 1, "p/S1"), want(queue, alice, 1, "p/S2"), want(queue, bob, 1, "p/S3")])
    back = leases.put_back(["p/S1", "p/S3", "p/Sunknown"])
    assert (seqs(back), {order.state for order in back}) == ([1, 3], {"queued"})
    assert states(queue) == ["queued", "leased", "queued"]
    assert seqs(take(queue, alice, 9)) == [1, 3]


def test_the_attempt_of_a_lost_socket_counts(queue: Room, bob: User) -> None:
    order(queue)
    take(queue, bob)
    (back,) = leases.put_back([socket(bob)])
    assert (back.attempts, back.reason) == (1, leases.LOST)
    assert take_one(queue, bob).order.attempts == 2


def test_what_a_socket_has_done_is_not_put_back(queue: Room, bob: User) -> None:
    order(queue)
    settle(done(take_one(queue, bob), bob))
    assert leases.put_back([socket(bob)]) == leases.put_back([]) == []


def test_many_orders_are_put_back_in_slices(queue: Room, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    order(queue, 7)
    take(queue, bob, 7)
    monkeypatch.setattr(leases, "SLICE", 3)
    assert seqs(leases.put_back([socket(bob)])) == list(range(1, 8))


# Lapsed


def test_what_lapsed_is_queued_again_in_all_queues(make_queue: MakeRoom, bob: User) -> None:
    queues = [make_queue() for _ in range(3)]
    for each in queues:
        order(each, 2)
        take(each, bob)
    for each in queues[:2]:
        wait_out(each)
    lapsed = leases.sweep()
    assert [(order.queue, order.seq, order.state) for order in lapsed] == [
        ("queue1", 1, "queued"),
        ("queue2", 1, "queued"),
    ]
    assert states(queues[2]) == ["leased", "queued"]
    assert leases.sweep() == []


def test_what_lapsed_is_swept_in_slices(queue: Room, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    order(queue, 7)
    take(queue, bob, 7)
    wait_out(queue)
    monkeypatch.setattr(leases, "SLICE", 3)
    assert len(leases.sweep()) == 7


def test_a_worker_who_was_erased_loses_the_lease_when_it_lapses(queue: Room, bob: User) -> None:
    order(queue)
    leased = take_one(queue, bob)
    bob_id = bob.pk
    bob.delete()
    wait_out(queue)
    assert seqs(leases.sweep()) == [1]
    bob.pk = bob_id
    assert settle(done(leased, bob)) == ["stale_lease"]


# Adopted


def test_leases_whose_socket_is_gone_go_to_the_persons_next_one(queue: Room, bob: User) -> None:
    order(queue, 3)
    leases.take([want(queue, bob, 2, "dead/S1"), want(queue, bob, 1, "p/S2")])
    before = {seq: row(queue, seq).visible_at for seq in (1, 2, 3)}
    adopted = leases.adopt(queue.pk, bob.pk, "p/Snew", alive("p/S2"))
    held = {leased.order.seq: leased.holder for leased in adopted}
    assert held == {seq: "p/Snew" for seq in (1, 2, 3) if row(queue, seq).holder == "p/Snew"}
    assert len(held) == 2
    assert {seq: row(queue, seq).visible_at for seq in (1, 2, 3)} == before  # it runs no longer for it
    assert leases.put_back(["dead/S1"]) == []
    assert settle(done(adopted[0], bob)) == ["done"]


def test_nobody_adopts_what_others_work_on(queue: Room, make_queue: MakeRoom, alice: User, bob: User) -> None:
    other = make_queue()
    for each in (queue, other):
        order(each)
    take(queue, alice)
    take(other, bob)
    assert leases.adopt(queue.pk, bob.pk, "p/Snew", alive()) == []
    assert row(queue, 1).holder == socket(alice)


def test_what_has_lapsed_is_not_adopted(queue: Room, bob: User) -> None:
    order(queue)
    take(queue, bob)
    wait_out(queue)
    assert leases.adopt(queue.pk, bob.pk, "p/Snew", alive()) == []


def test_an_extension_through_another_socket_is_put_back_with_that_one(queue: Room, bob: User) -> None:
    order(queue)
    leased = take_one(queue, bob)
    settle(extend(leased, bob, "p/Sother"))
    assert leases.put_back([socket(bob)]) == []
    assert seqs(leases.put_back(["p/Sother"])) == [1]


def test_nothing_is_locked_where_nothing_lapsed(queue: Room, bob: User) -> None:
    """Each process asks about once a second: on SQLite that must not take the only writer."""
    order(queue)
    take(queue, bob)
    asked: list[str] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append(sql)
        assert not connection.in_atomic_block
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        assert leases.sweep() == []
    assert asked

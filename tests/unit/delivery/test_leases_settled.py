"""What a worker's answer does to an order, and when it counts no more."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from chat.delivery import leases
from chat.delivery.leases import Done, Leased
from chat.models import Room

from .conftest import MakeRoom
from .orders import (
    dead_orders,
    done,
    extend,
    fail,
    kill,
    order,
    outcome,
    row,
    settle,
    socket,
    states,
    take,
    take_one,
    wait_out,
    want,
)


@pytest.fixture
def leased(queue: Room, bob: User) -> Leased:
    """Bob works on the only order of the kitchen."""
    order(queue)
    return take_one(queue, bob)


def lapse(queue: Room) -> None:
    wait_out(queue)
    leases.sweep()


def lose(queue: Room, user: User) -> None:
    """The worker's socket closes."""
    leases.put_back([socket(user)])


# Done


def test_a_done_order_is_given_to_nobody(queue: Room, leased: Leased, bob: User) -> None:
    assert settle(done(leased, bob)) == ["done"]
    wait_out(queue)
    assert leases.sweep() == []
    assert take(queue, bob) == []


def test_a_repeated_done_is_answered_again(queue: Room, leased: Leased, bob: User) -> None:
    assert settle(done(leased, bob, "first")) == ["done"]
    assert settle(done(leased, bob, "second")) == ["done again"]
    assert row(queue, 1).result == '"first"'


def test_of_two_in_one_batch_the_second_is_a_duplicate(leased: Leased, bob: User) -> None:
    assert settle(done(leased, bob), done(leased, bob)) == ["done", "done again"]


@pytest.mark.parametrize("put_back", [lambda queue, bob: lapse(queue), lose], ids=["lapsed", "lost"])
def test_a_done_after_a_mere_lapse_or_a_lost_socket_still_counts(
    queue: Room, leased: Leased, bob: User, put_back: Callable[..., None]
) -> None:
    put_back(queue, bob)
    assert states(queue) == ["queued"]
    assert settle(done(leased, bob), done(leased, bob)) == ["done", "done again"]
    assert take(queue, bob) == []


def test_a_done_that_comes_late_counts_while_nobody_has_put_the_order_back(
    queue: Room, leased: Leased, bob: User
) -> None:
    wait_out(queue)
    assert settle(done(leased, bob)) == ["done"]


@pytest.mark.parametrize("next_worker", ["alice", "bob"])
def test_after_another_lease_was_given_the_old_ones_answers_are_stale(
    queue: Room, leased: Leased, alice: User, bob: User, next_worker: str
) -> None:
    lapse(queue)
    other = {"alice": alice, "bob": bob}[next_worker]
    current = take_one(queue, other)
    acts = (done(leased, bob), fail(leased, bob), extend(leased, bob))
    assert settle(*acts) == ["stale_lease"] * 3
    assert settle(done(current, other), *acts) == ["done", *["stale_lease"] * 3]


def test_a_done_after_a_fail_is_stale(queue: Room, leased: Leased, bob: User) -> None:
    assert settle(fail(leased, bob), done(leased, bob)) == ["queued", "stale_lease"]
    assert states(queue) == ["queued"]


def test_a_fail_after_a_done_is_stale(queue: Room, leased: Leased, bob: User) -> None:
    assert settle(done(leased, bob), fail(leased, bob), extend(leased, bob)) == [
        "done",
        "stale_lease",
        "stale_lease",
    ]
    assert states(queue) == ["done"]


def test_a_result_is_kept_as_json(queue: Room, leased: Leased, bob: User) -> None:
    result = {"table": 4, "words": "bon appétit", "nul": "\0"}
    settle(done(leased, bob, result))
    assert json.loads(row(queue, 1).result) == result


# Whose answer it is


def test_another_persons_token_is_stale(queue: Room, leased: Leased, alice: User, bob: User) -> None:
    assert settle(done(leased, alice), fail(leased, alice), extend(leased, alice)) == ["stale_lease"] * 3
    assert settle(done(leased, bob)) == ["done"]
    assert settle(done(leased, alice)) == ["stale_lease"]


@pytest.mark.parametrize("token", ["", "0" * 32, "\0", "\ud800", "x" * 10_000])
def test_a_token_that_was_never_given_is_stale(queue: Room, leased: Leased, bob: User, token: str) -> None:
    order(queue)
    for seq in (1, 2):
        act = replace(done(leased, bob), seq=seq, token=token)
        assert settle(act) == ["stale_lease"]
    assert states(queue) == ["leased", "queued"]


@pytest.mark.parametrize("seq", [-1, 0, 2, 2**63, 10**40])
def test_an_order_that_is_not_there_is_not_found(leased: Leased, bob: User, seq: int) -> None:
    assert settle(replace(done(leased, bob), seq=seq), done(leased, bob)) == ["not_found", "done"]


def test_a_token_opens_no_order_of_another_queue(
    make_queue: MakeRoom, queue: Room, leased: Leased, bob: User
) -> None:
    other = make_queue()
    order(other)
    take(other, bob)
    assert settle(replace(done(leased, bob), queue_id=other.pk)) == ["stale_lease"]
    assert settle(replace(done(leased, bob), queue_id=10**9)) == ["not_found"]
    assert states(queue) == states(other) == ["leased"]


# Failed


def test_a_failed_order_is_given_again_after_its_delay(queue: Room, leased: Leased, bob: User) -> None:
    assert settle(fail(leased, bob, delay=60)) == ["queued"]
    assert take(queue, bob) == []
    wait_out(queue)
    assert take_one(queue, bob).order.attempts == 2


def test_a_repeated_fail_is_answered_again_and_counts_once(queue: Room, leased: Leased, bob: User) -> None:
    assert settle(fail(leased, bob), fail(leased, bob)) == ["queued", "queued again"]
    assert settle(fail(leased, bob, "another reason", delay=60)) == ["queued again"]
    assert (row(queue, 1).reason, row(queue, 1).attempts) == ("out of cheese", 1)
    assert take_one(queue, bob).order.attempts == 2


def test_a_repeated_fail_of_an_order_that_died_of_it_is_answered_again(queue: Room, bob: User) -> None:
    order(queue)
    last = kill(queue, bob)
    assert settle(fail(last, bob)) == ["dead again"]
    assert len(dead_orders(queue)) == 1


def test_a_fail_after_a_mere_lapse_keeps_its_reason_and_delay(queue: Room, leased: Leased, bob: User) -> None:
    lapse(queue)
    assert settle(fail(leased, bob, delay=60), fail(leased, bob)) == ["queued", "queued again"]
    assert (row(queue, 1).reason, row(queue, 1).attempts) == ("out of cheese", 1)
    assert take(queue, bob) == []


def test_an_order_says_why_its_last_attempt_came_to_nothing(queue: Room, leased: Leased, bob: User) -> None:
    (settled,) = leases.settle([fail(leased, bob)])
    assert settled.order.as_dict()["reason"] == "out of cheese"
    lose(queue, bob)
    again = take_one(queue, bob)
    assert again.order.reason == "out of cheese"
    wait_out(queue)
    (lapsed,) = leases.sweep()
    assert lapsed.as_dict()["reason"] == leases.LAPSED
    (settled,) = leases.settle([done(again, bob)])
    assert "reason" not in settled.order.as_dict()


def test_a_reason_is_cut_and_never_refused(queue: Room, leased: Leased, bob: User) -> None:
    """It could leave the order with a worker who has given it up."""
    assert settle(fail(leased, bob, "\0\ud800" + "x" * 1000)) == ["queued"]
    assert row(queue, 1).reason == "\ufffd?" + "x" * 498


# Extended


def test_an_extension_lasts_as_long_as_a_lease_and_moves_it_to_who_asks(
    queue: Room, leased: Leased, bob: User
) -> None:
    wait_out(queue)
    (settled,) = leases.settle([extend(leased, bob, "other/socket")])
    until = datetime.fromisoformat(settled.lease_until)
    assert until == row(queue, 1).visible_at > datetime.now(UTC) + timedelta(seconds=20)
    assert row(queue, 1).holder == "other/socket"
    assert leases.sweep() == leases.put_back([socket(bob)]) == []


def test_what_is_not_running_cannot_be_extended(queue: Room, leased: Leased, bob: User) -> None:
    lapse(queue)
    assert settle(extend(leased, bob)) == ["stale_lease"]
    assert states(queue) == ["queued"]


def test_what_was_extended_and_then_done_is_answered_for_both(leased: Leased, bob: User) -> None:
    answers = leases.settle([extend(leased, bob), extend(leased, bob), done(leased, bob)])
    assert [answer.duplicate for answer in answers] == [False, False, False]
    assert answers[0].lease_until == answers[1].lease_until != answers[2].lease_until is None


# A batch


def test_a_batch_is_one_transaction(queue: Room, bob: User) -> None:
    order(queue, 20)
    taken = take(queue, bob, 20)
    begun: list[str] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        begun.extend([sql] if connection.in_atomic_block else [])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch), transaction.atomic():
        acts = [done(leased, bob) if leased.order.seq % 2 else fail(leased, bob) for leased in taken]
        assert set(settle(*acts)) == {"done", "queued"}
        transaction.set_rollback(True)
    assert states(queue) == ["leased"] * 20
    assert len([sql for sql in begun if sql.startswith(("WITH", "SELECT", "UPDATE"))]) <= 3


def test_what_is_settled_makes_room_for_what_is_taken_in_the_same_transaction(
    queue: Room, line: Room, bob: User
) -> None:
    for each in (queue, line):
        order(each, 2)
    acts = [done(take_one(queue, bob), bob), fail(take_one(line, bob), bob)]
    answers, taken = leases.settle_and_take(acts, [want(queue, bob), want(line, bob)])
    assert [outcome(answer) for answer in answers] == ["done", "queued"]
    assert [(each.order.queue, each.order.seq, each.order.attempts) for each in taken] == [
        ("kitchen", 2, 1),
        ("line", 1, 2),
    ]


def test_one_bad_answer_does_not_spoil_the_others(queue: Room, alice: User, bob: User) -> None:
    order(queue, 4)
    one, two, three, four = take(queue, bob, 4)
    assert settle(
        done(one, bob),
        fail(two, alice),
        fail(three, bob, "\0"),
        Done(queue.pk, 2**70, "?", bob.pk),
        done(four, bob, {"ok": True}),
    ) == ["done", "stale_lease", "queued", "not_found", "done"]
    assert states(queue) == ["done", "leased", "queued", "done"]


def test_no_answers_are_no_transaction() -> None:
    assert leases.settle([]) == []


# The last attempt


@pytest.mark.parametrize("how", ["failed", "lapsed", "lost"])
def test_after_max_attempts_an_order_is_dead(make_queue: MakeRoom, bob: User, how: str) -> None:
    queue = make_queue(max_attempts=2)
    order(queue)
    for _ in range(2):
        leased = take_one(queue, bob)
        if how == "failed":
            settle(fail(leased, bob))
        elif how == "lapsed":
            lapse(queue)
        else:
            lose(queue, bob)
    assert states(queue) == ["dead"]
    assert dead_orders(queue) == [(1, 1, 2, "max_attempts")]
    wait_out(queue)
    assert take(queue, bob) == []
    assert settle(done(leased, bob)) == ["stale_lease"]


def test_a_dead_letter_is_written_with_the_death_or_not_at_all(make_queue: MakeRoom, bob: User) -> None:
    queue = make_queue(max_attempts=1)
    order(queue)
    leased = take_one(queue, bob)
    with transaction.atomic():
        settle(fail(leased, bob))
        transaction.set_rollback(True)
    assert (states(queue), dead_orders(queue)) == (["leased"], [])


def test_a_queue_with_one_attempt_gives_each_order_once(make_queue: MakeRoom, bob: User) -> None:
    queue = make_queue(max_attempts=1)
    order(queue, 2)
    one, two = take(queue, bob, 2)
    assert settle(done(one, bob), fail(two, bob, delay=60)) == ["done", "dead"]

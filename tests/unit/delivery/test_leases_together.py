"""Several workers, processes and sweepers at one queue, each with a connection of its own."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from chat.delivery import leases, retention
from chat.delivery.leases import Leased
from chat.models import Lease, Room

from .conftest import MakeRoom
from .orders import done, fail, kill, order, row, seqs, settle, socket, states, take, take_one, wait_out, want
from .support import held, on_postgres, others, wait_until_someone_waits_for_a_lock

WORKERS = 4


#: Somebody failed: what the others wait for may never come.
trouble = threading.Event()


def at_once(*work: Callable[[], object]) -> None:
    """Run each in a thread of its own, and raise what one of them raises."""

    def run(each: Callable[[], object]) -> None:
        try:
            each()
        except BaseException:
            trouble.set()
            raise

    trouble.clear()
    with others(len(work)) as threads:
        for running in [threads.submit(run, each) for each in work]:
            running.result(60)


# None twice


def test_of_many_workers_nobody_gets_what_another_has(queue: Room, bob: User) -> None:
    order(queue, 100)
    got: list[int] = []

    def work() -> None:
        while taken := take(queue, bob, 3):
            got.extend(seqs(taken))
            assert set(settle(*(done(leased, bob) for leased in taken))) == {"done"}

    at_once(*[work] * WORKERS)
    assert Counter(got) == Counter(range(1, 101))
    assert set(states(queue)) == {"done"}
    assert set(Lease.objects.values_list("attempts", flat=True)) == {1}


def test_of_many_workers_at_an_ordered_queue_one_works_at_a_time(line: Room, bob: User) -> None:
    order(line, 40)
    got: list[int] = []

    def work() -> None:
        while "queued" in states(line) and not trouble.is_set():
            for leased in take(line, bob, 3):
                got.append(leased.order.seq)
                assert states(line).count("leased") == 1
                assert settle(done(leased, bob)) == ["done"]

    at_once(*[work] * WORKERS)
    assert got == list(range(1, 41))


def test_a_done_that_is_sent_twice_at_once_is_done_once(queue: Room, bob: User) -> None:
    order(queue, 10)
    answers: list[str] = []
    for leased in take(queue, bob, 10):
        at_once(*[lambda leased=leased: answers.extend(settle(done(leased, bob)))] * 2)  # type: ignore[misc]
    assert sorted(answers) == ["done"] * 10 + ["done again"] * 10


def test_workers_writers_and_sweepers_do_not_lock_each_other_out(
    make_queue: MakeRoom, alice: User, bob: User
) -> None:
    """Nobody deadlocks, every order comes to an end, and its attempts are true."""
    queues = [
        make_queue(ordering=ordering, max_attempts=3, retain_entries=5)
        for ordering in ("ordered", "unordered", "ordered", "unordered")
    ]
    given: list[Leased] = []
    written = {seed: threading.Event() for seed in (1, 2)}

    def write(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(25):
            with transaction.atomic():  # as the journal does it: several rooms, by id
                for queue in sorted(chance.sample(queues, 2), key=lambda queue: queue.pk):
                    order(queue, 2)
        written[seed].set()

    def work(seed: int) -> None:
        chance = random.Random(seed)
        while not is_over():
            wants = [want(queue, chance.choice([alice, bob]), 2, f"p/S{seed}") for queue in queues]
            chance.shuffle(wants)
            taken = leases.take(wants)
            given.extend(taken)
            chance.shuffle(taken)
            settle(*(act(chance, leased) for leased in taken))

    def act(chance: random.Random, leased: Leased) -> leases.Act:
        worker = {alice.pk: alice, bob.pk: bob}[leased.order.worker.id if leased.order.worker else 0]
        return chance.choice([done, done, fail])(leased, worker)

    def disturb(seed: int) -> None:
        chance = random.Random(seed)
        while not is_over():
            leases.sweep()
            leases.put_back(["p/S11"])
            queue = chance.choice(queues)
            leases.due([each.pk for each in queues])
            retention.trim_slice(queue.pk)
            dead = list(Lease.objects.filter(room=queue, state="dead").values_list("seq", flat=True)[:1])
            for seq in dead:
                chance.choice([leases.revive, leases.bury])("orders", queue.slug, seq, 0)

    def is_over() -> bool:
        open_ones = Lease.objects.exclude(state__in=("done", "buried"))
        ended = all(each.is_set() for each in written.values()) and not open_ones.exists()
        return ended or trouble.is_set()

    at_once(
        *(lambda seed=seed: write(seed) for seed in written),  # type: ignore[misc]
        *(lambda seed=seed: work(seed) for seed in (11, 12, 13)),  # type: ignore[misc]
        lambda: disturb(21),
    )
    assert {leased.order.attempts for leased in given} <= {1, 2, 3}
    assert len({leased.token for leased in given}) == len(given)
    for queue in queues:
        assert set(states(queue)) <= {"done", "buried"}


# Locks


@on_postgres
def test_what_someone_else_is_about_to_take_or_settle_is_passed_over(
    queue: Room, alice: User, bob: User
) -> None:
    order(queue, 3)
    with held(lambda: take(queue, alice)):
        assert seqs(take(queue, bob)) == [2]
    assert seqs(take(queue, bob, 9)) == [3]


@on_postgres
def test_who_takes_from_an_ordered_queue_waits_for_another_who_does(
    line: Room, alice: User, bob: User
) -> None:
    order(line, 2)
    with others() as threads, held(lambda: take(line, alice)) as end:
        waiting = threads.submit(take, line, bob)
        wait_until_someone_waits_for_a_lock()
        end.set()
        assert waiting.result() == []
    assert states(line) == ["leased", "queued"]


@on_postgres
def test_an_ordered_queue_does_not_begin_its_second_order_while_the_first_is_being_revived(
    line: Room, bob: User
) -> None:
    order(line, 3)
    kill(line, bob)
    with held(lambda: leases.revive("orders", "line", 1, 0)):
        assert seqs(take(line, bob)) == [2]  # as before the revival, which has not committed
    assert take(line, bob) == []
    assert states(line) == ["queued", "leased", "queued"]


@on_postgres
def test_an_order_that_is_being_done_late_is_not_given_to_another(line: Room, alice: User, bob: User) -> None:
    order(line, 2)
    leased = take_one(line, bob)
    leases.put_back([socket(bob)])
    with others() as threads, held(lambda: settle(done(leased, bob))) as end:
        waiting = threads.submit(take, line, alice)
        wait_until_someone_waits_for_a_lock()
        end.set()
        assert seqs(waiting.result()) in ([], [2])
    assert row(line, 1).state == "done"


@on_postgres
def test_an_answer_waits_for_a_sweep_and_counts_after_it(queue: Room, bob: User) -> None:
    order(queue)
    leased = take_one(queue, bob)
    wait_out(queue)
    with others() as threads, held(leases.sweep) as end:
        waiting = threads.submit(settle, done(leased, bob))
        wait_until_someone_waits_for_a_lock()
        end.set()
        assert waiting.result() == ["done"]


@on_postgres
def test_a_sweep_passes_over_what_is_being_settled(queue: Room, bob: User) -> None:
    order(queue, 2)
    one, _ = take(queue, bob, 2)
    wait_out(queue)
    with held(lambda: settle(done(one, bob))):
        assert seqs(leases.sweep()) == [2]


@on_postgres
def test_who_works_does_not_wait_for_who_orders_nor_the_other_way(queue: Room, bob: User) -> None:
    order(queue, 2)
    with held(lambda: order(queue, 1)):
        (leased,) = take(queue, bob)
        assert settle(fail(leased, bob)) == ["queued"]
    with held(lambda: take(queue, bob, 2)):
        assert order(queue, 1) == [4]


def test_a_change_under_a_lock_is_a_bug_and_rolls_back(queue: Room, bob: User) -> None:
    """Each change is an UPDATE on the state and the token that were read, whatever the locks."""
    order(queue)
    leased = take_one(queue, bob)

    def steal(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("UPDATE"):
            connection.connection.cursor().execute(f"UPDATE {Lease._meta.db_table} SET token = 'stolen'")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(steal), pytest.raises(RuntimeError):
        settle(done(leased, bob))
    assert (row(queue, 1).state, row(queue, 1).token) == ("leased", leased.token)

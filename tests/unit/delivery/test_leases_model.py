"""Queues against a model of them: whatever happens in whatever order, both agree."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

from django.contrib.auth.models import User
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from chat.delivery import leases
from chat.delivery.leases import Act, Done, Extend, Fail, Settled, Want
from chat.errors import EventError
from chat.models import Lease, Room
from chat.services import queues

from .conftest import erase
from .orders import dead_orders, order

WORKERS = 3
HOLDERS = ("p/S1", "p/S2", "q/S3")
PAST = timedelta(seconds=5)

_numbers = count(1)

some_worker = st.integers(0, WORKERS - 1)
some_holder = st.sampled_from(HOLDERS)
#: Which of all leases that were ever given, or of all orders; the last one is asked for most.
any_one = st.integers(0, 30) | st.just(-1)


@dataclass
class Kept:
    """What the model knows of an order. `lease` is the number of the last one that counts."""

    seq: int
    state: str = "queued"
    attempts: int = 0
    due: bool = True
    lease: int | None = None
    holder: str = ""
    failed: bool = False


@dataclass
class Given:
    seq: int
    token: str
    worker: int


@dataclass
class Model:
    ordered: bool
    max_attempts: int
    orders: list[Kept] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)

    def of(self, state: str) -> list[Kept]:
        return [order for order in self.orders if order.state == state]

    def available(self) -> list[Kept]:
        queued = self.of("queued")
        if self.ordered:
            queued = [] if self.of("leased") else queued[:1]
        return [order for order in queued if order.due]

    def give_back(self, order: Kept) -> None:
        order.state = "dead" if order.attempts >= self.max_attempts else "queued"
        order.due, order.holder = True, ""

    def answer(self, kind: str, given: int, worker: int, delay: bool, holder: str) -> str:
        order = self.orders[self.given[given].seq - 1]
        if order.lease != given or self.given[given].worker != worker:
            return "stale_lease"
        if kind == "done" and order.state == "done":
            return "again"
        if kind == "fail" and order.failed:
            return "again"
        if order.failed or order.state not in (("leased",) if kind == "extend" else ("leased", "queued")):
            return "stale_lease"
        if kind == "done":
            order.state, order.holder = "done", ""
        elif kind == "fail":
            self.give_back(order)
            order.failed, order.due = True, not delay
        else:
            order.holder, order.due = holder, False
        return "ok"


def _answer(answer: Settled | EventError) -> str:
    if isinstance(answer, EventError):
        return answer.code
    return "again" if answer.duplicate else "ok"


class Queues(RuleBasedStateMachine):
    @initialize(ordered=st.booleans(), max_attempts=st.integers(1, 3))
    def begin(self, ordered: bool, max_attempts: int) -> None:
        self.queue = Room.objects.create(
            namespace="orders",
            slug=f"model{next(_numbers)}",
            kind="queue",
            ordering="ordered" if ordered else "unordered",
            max_attempts=max_attempts,
        )
        self.people = [User.objects.create(username=f"w{next(_numbers)}").pk for _ in range(WORKERS)]
        self.model = Model(ordered, max_attempts)

    def teardown(self) -> None:
        erase()

    # What happens

    @rule(times=st.integers(1, 3))
    def create(self, times: int) -> None:
        for seq in order(self.queue, times):
            assert seq == len(self.model.orders) + 1
            self.model.orders.append(Kept(seq))

    @rule(wants=st.lists(st.tuples(some_worker, some_holder, st.integers(0, 3)), min_size=1, max_size=3))
    def take(self, wants: list[tuple[int, str, int]]) -> None:
        taken = leases.take([Want(self.queue.pk, self.people[w], h, most) for w, h, most in wants])
        places = [p for turn in range(3) for p, (_, _, most) in enumerate(wants) if turn < most]
        expected = list(zip(self.model.available(), places, strict=False))
        assert len(taken) == len(expected)
        by_seq = {leased.order.seq: leased for leased in taken}
        for kept, place in expected:
            worker, holder, _ = wants[place]
            leased = by_seq[kept.seq]
            kept.state, kept.due, kept.failed, kept.holder = "leased", False, False, holder
            kept.attempts += 1
            kept.lease = len(self.model.given)
            assert (leased.order.attempts, leased.holder) == (kept.attempts, holder)
            assert leased.order.worker is not None
            assert leased.order.worker.id == self.people[worker]
            self.model.given.append(Given(kept.seq, leased.token, worker))

    @rule(
        acts=st.lists(
            st.tuples(
                st.sampled_from(["done", "fail", "extend"]), any_one, st.none() | some_worker, st.booleans()
            ),
            min_size=1,
            max_size=5,
        ),
        holder=some_holder,
    )
    def settle(self, acts: list[tuple[str, int, int | None, bool]], holder: str) -> None:
        """With any token that was ever given, mostly by whom it was given to."""
        if not self.model.given:
            return
        sent: list[Act] = []
        expected: list[str] = []
        for kind, which, other, delay in acts:
            number = len(self.model.given) - 1 if which < 0 else which % len(self.model.given)
            given = self.model.given[number]
            worker = given.worker if other is None else other
            key = (self.queue.pk, given.seq, given.token, self.people[worker])
            act = {
                "done": Done(*key),
                "fail": Fail(*key, "no", 1000.0 * delay),
                "extend": Extend(*key, holder),
            }
            sent.append(act[kind])
            expected.append(self.model.answer(kind, number, worker, delay, holder))
        assert [_answer(each) for each in leases.settle(sent)] == expected

    @rule(which=any_one)
    def time_passes(self, which: int) -> None:
        """A delay is over or a lease lapses."""
        if self.model.orders:
            kept = self.model.orders[which % len(self.model.orders)]
            kept.due = kept.due or kept.state in ("queued", "leased")
            Lease.objects.filter(room=self.queue, seq=kept.seq).update(visible_at=datetime.now(UTC) - PAST)

    @rule()
    def sweep(self) -> None:
        lapsed = [kept for kept in self.model.of("leased") if kept.due]
        swept = leases.sweep()
        for kept in lapsed:
            self.model.give_back(kept)
        assert [(each.seq, each.state) for each in swept] == [(kept.seq, kept.state) for kept in lapsed]

    @rule(holders=st.lists(some_holder, max_size=2, unique=True))
    def lose(self, holders: list[str]) -> None:
        lost = [kept for kept in self.model.of("leased") if kept.holder in holders]
        back = leases.put_back(holders)
        for kept in lost:
            self.model.give_back(kept)
        assert [(each.seq, each.state) for each in back] == [(kept.seq, kept.state) for kept in lost]

    @rule(worker=some_worker, holder=some_holder, alive=st.sets(some_holder))
    def adopt(self, worker: int, holder: str, alive: set[str]) -> None:
        orphans = [
            kept
            for kept in self.model.of("leased")
            if not kept.due and kept.holder not in alive and self._worker(kept) == worker
        ]
        adopted = leases.adopt(self.queue.pk, self.people[worker], holder, lambda each: each in alive)
        assert [each.order.seq for each in adopted] == [kept.seq for kept in orphans]
        for kept in orphans:
            kept.holder = holder

    @rule(which=any_one, revive=st.booleans())
    def judge(self, which: int, revive: bool) -> None:
        dead = self.model.of("dead")
        if not dead:
            return
        kept = dead[which % len(dead)]
        if revive:
            leases.revive("orders", self.queue.slug, kept.seq, 0)
            kept.state, kept.attempts, kept.lease, kept.failed, kept.due = "queued", 0, None, False, True
        else:
            leases.bury("orders", self.queue.slug, kept.seq, 0)
            kept.state = "buried"

    def _worker(self, kept: Kept) -> int | None:
        return None if kept.lease is None else self.model.given[kept.lease].worker

    # What is true after each step

    @invariant()
    def rows_are_as_the_model_has_them(self) -> None:
        rows = Lease.objects.filter(room=self.queue).order_by("seq")
        tokens = [each.token for each in self.model.given]
        assert [(row.seq, row.state, row.attempts, row.token, row.holder, row.failed) for row in rows] == [
            (
                kept.seq,
                kept.state,
                kept.attempts,
                "" if kept.lease is None else tokens[kept.lease],
                kept.holder,
                kept.failed,
            )
            for kept in self.model.orders
        ]

    @invariant()
    def one_is_in_flight_in_an_ordered_queue(self) -> None:
        if self.model.ordered:
            assert Lease.objects.filter(room=self.queue, state="leased").count() <= 1

    @invariant()
    def no_token_is_given_twice(self) -> None:
        assert len({each.token for each in self.model.given}) == len(self.model.given)

    @invariant()
    def counts_are_true(self) -> None:
        queue = Room.objects.get(pk=self.queue.pk)
        assert queues.counts(queue) == {
            state: len(self.model.of(state)) for state in ("queued", "leased", "done", "dead")
        }

    @invariant()
    def dead_letters_are_the_dead_orders(self) -> None:
        assert dead_orders(self.queue) == [
            (kept.seq, kept.seq, kept.attempts, "max_attempts") for kept in self.model.of("dead")
        ]

    @invariant()
    def what_is_due_is_what_can_be_taken(self) -> None:
        due = leases.due([self.queue.pk])[self.queue.pk]
        assert (due == 0) == bool(self.model.available())
        in_flight = self.model.ordered and self.model.of("leased")
        assert (due is None) == bool(in_flight or not self.model.of("queued"))


def test_whatever_happens_to_a_queue_is_what_its_rules_say() -> None:
    # A story that fails is shown as it is: to shrink it would take minutes.
    run_state_machine_as_test(
        Queues,
        settings=settings(
            max_examples=10,
            stateful_step_count=30,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )

"""Dead orders: revived or buried, by who may."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from chat.delivery import leases
from chat.delivery.entries import SYSTEM
from chat.delivery.leases import Leased
from chat.models import Membership, Room

from .orders import dead_orders, done, fail, kill, order, row, seqs, settle, states, take, take_one
from .support import refused

Judge = Callable[..., leases.Order]
both = pytest.mark.parametrize("judge", [leases.revive, leases.bury])


@pytest.fixture
def last(queue: Room, bob: User) -> Leased:
    """The last lease of order 1, which is dead of it; order 2 is queued."""
    order(queue, 2)
    return kill(queue, bob)


def test_a_revived_order_begins_again(queue: Room, last: Leased, alice: User, bob: User) -> None:
    revived = leases.revive("orders", "kitchen", 1, alice.pk)
    assert (revived.state, revived.attempts, revived.worker, revived.reason) == ("queued", 0, None, "")
    assert revived == leases.load([(queue.pk, 1)])[0]
    assert dead_orders(queue) == []
    assert [leased.order.attempts for leased in take(queue, bob)] == [1]


def test_a_revived_order_is_first_again_by_its_seq(queue: Room, last: Leased, alice: User, bob: User) -> None:
    leases.revive("orders", "kitchen", 1, alice.pk)
    assert seqs(take(queue, bob, 2)) == [1, 2]


def test_a_revival_voids_the_token(queue: Room, last: Leased, alice: User, bob: User) -> None:
    leases.revive("orders", "kitchen", 1, alice.pk)
    assert settle(done(last, bob), fail(last, bob)) == ["stale_lease", "stale_lease"]
    assert states(queue) == ["queued", "queued"]
    assert row(queue, 1).token == ""


def test_a_revived_order_can_die_again(queue: Room, last: Leased, alice: User, bob: User) -> None:
    leases.revive("orders", "kitchen", 1, alice.pk)
    kill(queue, bob)
    assert dead_orders(queue) == [(1, 1, 5, "max_attempts")]


def test_a_buried_order_is_settled_for_good(queue: Room, last: Leased, alice: User, bob: User) -> None:
    buried = leases.bury("orders", "kitchen", 1, alice.pk)
    assert (buried.state, buried.attempts) == ("buried", 5)
    assert dead_orders(queue) == []
    for judge in (leases.revive, leases.bury):
        error = refused(judge, "orders", "kitchen", 1, alice.pk)
        assert (error.code, error.more) == ("conflict", {"state": "buried"})
    assert settle(done(last, bob)) == ["stale_lease"]
    assert seqs(take(queue, bob, 9)) == [2]


@both
def test_only_the_dead_are_judged(queue: Room, last: Leased, alice: User, bob: User, judge: Judge) -> None:
    assert refused(judge, "orders", "kitchen", 2, alice.pk).more == {"state": "queued"}
    leased = take_one(queue, bob)
    assert refused(judge, "orders", "kitchen", 2, alice.pk).more == {"state": "leased"}
    settle(done(leased, bob))
    error = refused(judge, "orders", "kitchen", 2, alice.pk)
    assert (error.code, error.message) == ("conflict", "order 2 is done, not dead")


@both
@pytest.mark.parametrize(
    ("namespace", "slug", "seq"),
    [("orders", "kitchen", 3), ("orders", "kitchen", 10**40), ("orders", "?", 1), ("chat", "kitchen", 1)],
)
def test_what_is_not_there_is_not_found(
    last: Leased, alice: User, judge: Judge, namespace: str, slug: str, seq: int
) -> None:
    assert refused(judge, namespace, slug, seq, alice.pk).code == "not_found"


@both
def test_an_owner_a_moderator_and_staff_may_and_nobody_else(
    queue: Room, last: Leased, alice: User, bob: User, charlie: User, judge: Judge
) -> None:
    Membership.objects.create(room=queue, user=bob)
    staff, moderator = User.objects.create(username="staff", is_staff=True), User.objects.create(username="m")
    Membership.objects.create(room=queue, user=moderator, role="moderator")
    gone = User.objects.create(username="gone", is_staff=True, is_active=False)
    for person in (bob, charlie, gone):
        assert refused(judge, "orders", "kitchen", 1, person.pk).code == "forbidden"
    for person_id in (alice.pk, staff.pk, moderator.pk, SYSTEM):
        with transaction.atomic():
            assert judge("orders", "kitchen", 1, person_id).state != "dead"
            transaction.set_rollback(True)
    assert row(queue, 1).state == "dead"


@both
def test_a_private_queue_is_as_absent_to_an_outsider_as_none(
    queue: Room, last: Leased, charlie: User, judge: Judge
) -> None:
    Room.objects.filter(pk=queue.pk).update(private=True)
    hidden = refused(judge, "orders", "kitchen", 1, charlie.pk).as_dict()
    absent = refused(judge, "orders", "absent", 1, charlie.pk).as_dict()
    assert hidden["code"] == "not_found"
    assert str(hidden).replace("kitchen", "absent") == str(absent)

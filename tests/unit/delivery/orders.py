"""The words in which the tests of queues speak."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from django.contrib.auth.models import User

from chat.delivery import door, leases
from chat.delivery.entries import SYSTEM, Draft
from chat.delivery.leases import Act, Done, Extend, Fail, Leased, Order, Settled, Want
from chat.errors import EventError
from chat.models import DeadLetter, Lease, Room

MOMENT = timedelta(milliseconds=10)

_numbers = count(1)


# Ordering


def item(queue: Room, user: User | None = None, value: Any = None, **more: Any) -> Draft:
    """An order by this person, by the system where there is none."""
    client_id = more.pop("client_id", None) or f"o{next(_numbers)}"
    sender = SYSTEM if user is None else user.pk
    return Draft(queue.namespace, queue.slug, sender, client_id, "item", body=json.dumps(value), **more)


def order(queue: Room, times: int = 1, user: User | None = None) -> list[int]:
    """Put orders into a queue; returns their seqs."""
    return [receipt.seq for receipt in door.write(*(item(queue, user, n) for n in range(times)))]


# Working


def want(queue: Room, user: User, most: int = 1, holder: str = "") -> Want:
    return Want(queue.pk, user.pk, holder or socket(user), most)


def socket(user: User) -> str:
    """As who holds a lease for this person."""
    return f"process/S{user.pk}"


def take(queue: Room, user: User, most: int = 1) -> list[Leased]:
    return leases.take([want(queue, user, most)])


def take_one(queue: Room, user: User) -> Leased:
    (leased,) = take(queue, user)
    return leased


def done(leased: Leased, user: User, result: Any = None) -> Done:
    return Done(leased.order.queue_id, leased.order.seq, leased.token, user.pk, result)


def fail(leased: Leased, user: User, reason: str = "out of cheese", delay: float = 0.0) -> Fail:
    return Fail(leased.order.queue_id, leased.order.seq, leased.token, user.pk, reason, delay)


def extend(leased: Leased, user: User, holder: str = "process/Snew") -> Extend:
    return Extend(leased.order.queue_id, leased.order.seq, leased.token, user.pk, holder)


def settle(*acts: Act) -> list[str]:
    """For each act the state of its order, `again` where it was a duplicate, or the error's code."""
    return [outcome(answer) for answer in leases.settle(acts)]


def outcome(answer: Settled | EventError) -> str:
    if isinstance(answer, EventError):
        return answer.code
    return f"{answer.order.state}{' again' * answer.duplicate}"


def wait_out(queue: Room) -> None:
    """All that the queue's times wait for has come: leases lapse, delays are over."""
    Lease.objects.filter(room=queue).update(visible_at=datetime.now(UTC) - MOMENT)


def kill(queue: Room, user: User, attempts: int = 5) -> Leased:
    """The queue's next order fails until it is dead; returns its last lease."""
    for _ in range(attempts):
        leased = take_one(queue, user)
        leases.settle([fail(leased, user)])
    assert row(queue, leased.order.seq).state == "dead"
    return leased


# Looking


def row(queue: Room, seq: int) -> Lease:
    return Lease.objects.get(room=queue, seq=seq)


def states(queue: Room) -> list[str]:
    return list(Lease.objects.filter(room=queue).order_by("seq").values_list("state", flat=True))


def seqs(some: list[Leased] | list[Order]) -> list[int]:
    return [each.order.seq if isinstance(each, Leased) else each.seq for each in some]


def dead_orders(queue: Room) -> list[tuple[int, int, int, str]]:
    """First, last, attempts and reason of each dead letter of the queue itself."""
    rows = DeadLetter.objects.filter(room=queue, user=None).order_by("first")
    return list(rows.values_list("first", "last", "attempts", "reason"))

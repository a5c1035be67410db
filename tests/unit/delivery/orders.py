"""The words in which the tests of queues speak."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.models import User

from chat.delivery import door, leases
from chat.delivery.entries import SYSTEM, Draft
from chat.delivery.leases import Act, Done, Extend, Fail, Leased, Settled, Want
from chat.errors import EventError
from chat.models import Lease, Room

from .support import _numbers


def item(queue: Room, user: User | None, value: Any = None, **more: Any) -> Draft:
    client_id = more.pop("client_id", None) or f"o{next(_numbers)}"
    sender = SYSTEM if user is None else user.pk
    body = json.dumps({"n": 1} if value is None else value)
    return Draft(queue.namespace, queue.slug, sender, client_id, "item", body=body, **more)


def order(queue: Room, user: User | None = None, count: int = 1) -> list[int]:
    return [receipt.seq for receipt in door.write(*(item(queue, user) for _ in range(count)))]


def want(queue: Room, user: User, most: int = 1, holder: str = "") -> Want:
    return Want(queue.pk, user.pk, holder or f"p/S{user.pk}", most)


def take(queue: Room, user: User, most: int = 1, holder: str = "") -> list[Leased]:
    return leases.take([want(queue, user, most, holder)])


def done(queue: Room, lease: Leased, user: User, result: Any = None) -> Done:
    return Done(queue.pk, lease.order.seq, lease.token, user.pk, result)


def fail(queue: Room, lease: Leased, user: User, reason: str = "no", delay: float = 0.0) -> Fail:
    return Fail(queue.pk, lease.order.seq, lease.token, user.pk, reason, delay)


def extend(queue: Room, lease: Leased, user: User, holder: str = "p/S") -> Extend:
    return Extend(queue.pk, lease.order.seq, lease.token, user.pk, holder)


def outcomes(*acts: Act) -> list[str]:
    """For each act the state of its order, with `again` where it was a duplicate, or the error."""
    return [_outcome(answer) for answer in leases.settle(acts)]


def _outcome(answer: Settled | EventError) -> str:
    if isinstance(answer, EventError):
        return answer.code
    return f"{answer.order.state}{' again' * answer.duplicate}"


def row(queue: Room, seq: int) -> Lease:
    return Lease.objects.get(room=queue, seq=seq)


def states(queue: Room) -> list[str]:
    return list(Lease.objects.filter(room=queue).order_by("seq").values_list("state", flat=True))

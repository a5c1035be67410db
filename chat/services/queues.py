"""Work queues: making, finding and listing them and their orders.

What becomes of an order is `chat.delivery.leases`'s.
"""

from __future__ import annotations

import json
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from chat.delivery import leases
from chat.errors import EventError
from chat.models import Ban, Lease, Membership, Message, Room

from . import people
from .paging import LARGEST, check_seq, clamp, fitting
from .rooms import checked_choice, checked_range, checked_slug, checked_text, seat_person

State = Lease.State

LONGEST_DELAY = 7 * 24 * 3600  #: seconds

ITEM = RESULT = 32 * 1024  #: bytes of JSON
NESTING = 30  #: levels: in a packet that is two more, as many as one may have


# Checking


def as_json(field: str, value: Any, most: int = ITEM) -> str:
    """What a worker or a client gave, as it is stored. `too_large`, or `bad_data` for what JSON
    can't say."""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError):
        raise EventError("bad_data", f"`{field}` must be JSON", field=field) from None
    if text.count("[") + text.count("{") > NESTING and _nested(value, NESTING):
        message = f"`{field}` is nested deeper than {NESTING} levels"
        raise EventError("bad_data", message, field=field)
    if size > most:
        raise EventError("too_large", f"`{field}` is at most {most} bytes of JSON", field=field, limit=most)
    return text


def _nested(value: Any, levels: int) -> bool:
    """Whether lists and objects are in each other more than so many times."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list | tuple):
        return False
    return levels == 0 or any(_nested(child, levels - 1) for child in value)


def check_delay(field: str, delay: float) -> None:
    """Seconds before an order that failed may be leased again."""
    checked_range(field, delay, 0, LONGEST_DELAY)


# Making and finding


def create(
    namespace: str,
    user_id: int,
    slug: str,
    *,
    ordering: str = Room.Ordering.UNORDERED,
    lease_seconds: float = 30.0,
    max_attempts: int = 5,
    name: str = "",
) -> Room:
    """A new queue, owned by its creator. `conflict` where the name is taken."""
    queue = Room(
        namespace=namespace,
        slug=checked_slug(slug, "queue"),
        kind=Room.Kind.QUEUE,
        name=checked_text("name", name, 100),
        ordering=checked_choice("ordering", ordering, Room.Ordering.values),
        lease_seconds=checked_range("lease_seconds", lease_seconds, 1, 86400),
        max_attempts=checked_range("max_attempts", max_attempts, 1, 1000),
    )
    try:
        with transaction.atomic():
            queue.save()
            seat_person(queue, user_id, Membership.Role.OWNER)
    except IntegrityError:
        raise EventError("conflict", f"there is a queue {slug!r} already", queue=slug) from None
    return queue


def look(namespace: str, slug: str, user_id: int) -> Room:
    """The queue, if this person may see it. Raises `not_found`, or `banned` from a public one."""
    here = {"room__namespace": namespace, "room__slug": slug, "user": user_id}
    # All three, whatever the first one says: a queue that's hidden takes as long as none.
    queue = Room.objects.filter(namespace=namespace, slug=slug, kind=Room.Kind.QUEUE).first()
    is_member = Membership.objects.filter(**here).exists()
    ban = Ban.objects.filter(people.in_force(), **here).first()
    if queue is None or (queue.private and (ban or not is_member)):
        raise EventError("not_found", f"there is no queue {slug!r}, or it is not open to you")
    if ban:
        raise people.banned(ban)
    return queue


# Listing


def describe(queue: Room) -> dict[str, Any]:
    return _described(_counted(Room.objects.filter(pk=queue.pk)).get())


def list_queues(namespace: str, user_id: int, after: str = "", limit: int | None = None) -> dict[str, Any]:
    """`{"queues", "more", "next"?}`: the queues that this person may see, by slug."""
    limit = clamp(limit)
    queues = _visible(user_id).filter(namespace=namespace, slug__gt=after).order_by("slug")
    found = list(_counted(queues)[: limit + 1])
    fit = fitting(_described(queue) for queue in found[:limit])
    reply: dict[str, Any] = {"queues": fit, "more": len(fit) < len(found)}
    if reply["more"]:
        reply["next"] = fit[-1]["queue"]
    return reply


def list_orders(
    namespace: str,
    user_id: int,
    queue: str | None = None,
    state: str | None = None,
    before: int | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """`{"orders", "counts", "more", "next"?}`: the newest first, of one queue or of all that this
    person may see; then without `next`, since `before` is a place in one queue."""
    check_seq("before", before)
    limit = clamp(limit)
    here = Q(pk=look(namespace, queue, user_id).pk) if queue is not None else Q(namespace=namespace)
    queues = list(_counted(_visible(user_id).filter(here)))
    found = _listed(queues, state)
    if queue is not None:
        found = found.filter(seq__lt=LARGEST if before is None else before).order_by("-seq")
    keys = list(found.values_list("room_id", "seq")[: limit + 1])
    orders = leases.load(keys[:limit])
    fit = fitting(order.as_dict() for order in orders)
    # What was trimmed since the keys were read had nothing below it.
    more = len(fit) < len(orders) or len(orders) == limit < len(keys)
    reply: dict[str, Any] = {"orders": fit, "counts": _sum(queues), "more": more}
    if more and queue is not None:
        reply["next"] = fit[-1]["seq"]
    return reply


def _listed(queues: list[Room], state: str | None) -> QuerySet[Lease]:
    found = Lease.objects.filter(room__in=queues).order_by("-id")
    if state is not None:
        found = found.filter(state=checked_choice("state", state, State.values))
    if state in (None, State.DONE):
        return found
    # The index of what isn't done, in its words; that of `id` leads through all that is.
    return found.exclude(state=State.DONE).order_by(-F("id"))


def counts(queue: Room) -> dict[str, int]:
    """How many orders are queued, leased, done and dead, as of now."""
    return _counts(_counted(Room.objects.filter(pk=queue.pk)).get())


COUNTED = (State.QUEUED, State.LEASED, State.DEAD, State.BURIED)


def _counted(queues: QuerySet[Room]) -> QuerySet[Any]:
    """With what their counts are made of, in one query, so that they agree. What is done isn't
    counted, but is what remains of all: there may be millions."""
    trimmed = Message.objects.filter(room=OuterRef("pk"), seq=OuterRef("first") - 1).values("ordinal")
    return queues.annotate(
        **{f"{state}_orders": Coalesce(_count(state), 0) for state in COUNTED},
        trimmed_orders=Coalesce(Subquery(trimmed), 0),
    )


def _count(state: State) -> Subquery:
    # The first condition is in the words of the index of what isn't done.
    found = Lease.objects.exclude(state=State.DONE).filter(room=OuterRef("pk"), state=state).order_by()
    return Subquery(found.values("room").annotate(orders=Count("pk")).values("orders"))


def _counts(queue: Any) -> dict[str, int]:
    open_or_buried = {state: getattr(queue, f"{state}_orders") for state in COUNTED}
    return {
        "queued": open_or_buried[State.QUEUED],
        "leased": open_or_buried[State.LEASED],
        "done": queue.messages - queue.trimmed_orders - sum(open_or_buried.values()),
        "dead": open_or_buried[State.DEAD],
    }


def _sum(queues: list[Any]) -> dict[str, int]:
    all_counts = [_counts(queue) for queue in queues]
    return {state: sum(each[state] for each in all_counts) for state in ("queued", "leased", "done", "dead")}


def _visible(user_id: int) -> QuerySet[Room]:
    mine = Membership.objects.filter(user=user_id, room=OuterRef("pk"))
    bans = Ban.objects.filter(people.in_force(), user=user_id, room=OuterRef("pk"))
    return Room.objects.filter(Q(private=False) | Exists(mine), ~Exists(bans), kind=Room.Kind.QUEUE)


def _described(queue: Any) -> dict[str, Any]:
    return {
        "queue": queue.slug,
        "name": queue.name or queue.slug,
        "ordering": queue.ordering,
        "lease_seconds": queue.lease_seconds,
        "max_attempts": queue.max_attempts,
        "closed": queue.closed_at is not None,
        "counts": _counts(queue),
    }

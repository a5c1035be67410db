"""Leases: who works on an order of a queue, and what became of it.

A lease row stays as long as its order's entry. Every change locks its row, judges it by the
database's clock and is one conditional UPDATE on what was judged. Locks are taken in one
order: rooms by id, then leases by room and seq.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from itertools import cycle
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection, transaction

from ..errors import EventError
from ..models import Ban, DeadLetter, Lease, Membership, Room
from .clock import present, stored
from .entries import SYSTEM, Person, rfc3339
from .log import MODERATORS
from .orders import (
    Act,
    Done,
    Extend,
    Fail,
    Leased,
    Order,
    Row,
    Settled,
    State,
    Want,
    aware,
    created,
)
from .rows import NONE_LEASED, OPEN, keyed, lock_keys, locked, marks, store

__all__ = [
    "Act",
    "Done",
    "Extend",
    "Fail",
    "Leased",
    "Order",
    "Settled",
    "Want",
    "adopt",
    "bury",
    "created",
    "due",
    "load",
    "put_back",
    "revive",
    "settle",
    "settle_and_take",
    "sweep",
    "take",
]

_ROOM = Room._meta.db_table
_LEASE = Lease._meta.db_table
_DEAD = DeadLetter._meta.db_table
_BAN = Ban._meta.db_table
_MEMBER = Membership._meta.db_table
_USER = get_user_model()._meta.db_table
_NAME = get_user_model().USERNAME_FIELD

#: Leases changed in one transaction: nobody else's write waits for more than about 50 ms.
SLICE = 500
LAPSED = "the lease lapsed"
LOST = "the worker was lost"

_LARGEST_SEQ = 2**63 - 1


# -- Taking


def take(wants: Sequence[Want]) -> list[Leased]:
    """Lease what may be taken now, to each want of a queue in turn, until one or the other is
    used up. An ordered queue has one order in flight. Who may not work there gets nothing."""
    left = {place: want.most for place, want in enumerate(wants)}
    taken: list[tuple[int, Row]] = []
    while some := _take_slice(wants, left):
        for place, _ in some:
            left[place] -= 1
        taken += some
        if len(some) < SLICE:
            break
    return [row.leased for _, row in taken]


def _take_slice(wants: Sequence[Want], left: dict[int, int]) -> list[tuple[int, Row]]:
    by_queue: dict[int, list[int]] = defaultdict(list)
    for place, want in enumerate(wants):
        if left[place] > 0:
            by_queue[want.queue_id].append(place)
    if not by_queue:
        return []
    taken: list[tuple[int, Row]] = []
    with transaction.atomic(), connection.cursor() as cursor:
        ordered = _lock_ordered(cursor, list(by_queue))
        at = present(cursor)
        workers = _workers(cursor, {(want.queue_id, want.worker) for want in wants}, at)
        for queue_id in sorted(by_queue):
            places = [p for p in by_queue[queue_id] if (queue_id, wants[p].worker) in workers]
            most = min(sum(left[place] for place in places), SLICE - len(taken))
            rows = _first(cursor, queue_id, at) if queue_id in ordered else _next(cursor, queue_id, at, most)
            for place, row in zip(_in_turn(places, left), rows, strict=False):
                want = wants[place]
                row.lease(workers[queue_id, want.worker], want.holder, at)
                taken.append((place, row))
        store(cursor, [row for _, row in taken], at)
    return taken


def _in_turn(places: list[int], left: dict[int, int]) -> Iterator[int]:
    open_places = {place: left[place] for place in places}
    for place in cycle(places):
        if not any(open_places.values()):
            return
        if open_places[place]:
            open_places[place] -= 1
            yield place


def _workers(cursor: Any, keys: Collection[tuple[int, int]], at: datetime) -> dict[tuple[int, int], Person]:
    """Who of these (queue, person) may work there now: the system anywhere. A lost right acts
    here, too, whoever has yet to hear of it."""
    cursor.execute(
        f"WITH k (queue, person) AS (VALUES {', '.join(['(%s, %s)'] * len(keys))})"
        f" SELECT r.id, u.id, u.{_NAME} FROM k CROSS JOIN {_ROOM} r CROSS JOIN {_USER} u"
        f" WHERE r.id = k.queue AND u.id = k.person AND (u.id = {SYSTEM} OR u.is_active"
        f" AND NOT EXISTS (SELECT 1 FROM {_BAN} b WHERE b.user_id = u.id"
        f" AND (b.room_id IS NULL OR b.room_id = r.id) AND (b.until IS NULL OR b.until > %s))"
        f" AND (NOT r.private OR EXISTS (SELECT 1 FROM {_MEMBER} m"
        f" WHERE m.room_id = r.id AND m.user_id = u.id)))",
        [*(value for key in keys for value in key), stored(at)],
    )
    return {(queue, person): Person(person, name) for queue, person, name in cursor.fetchall()}


def _lock_ordered(cursor: Any, queue_ids: list[int]) -> set[int]:
    """The ordered ones of these queues, their rooms locked: two who take at once would both find
    nothing in flight."""
    lock = "" if connection.vendor == "sqlite" else " FOR NO KEY UPDATE"
    cursor.execute(
        f"SELECT id FROM {_ROOM} WHERE id IN {marks(len(queue_ids))} AND ordering = 'ordered'"
        f" ORDER BY id{lock}",
        queue_ids,
    )
    return {row[0] for row in cursor.fetchall()}


def _first(cursor: Any, queue_id: int, at: datetime) -> list[Row]:
    """An ordered queue's first order, if it may be taken: one that failed stays the first, and
    the queue waits out its delay."""
    rows = locked(
        cursor,
        f"room_id = %s AND state = 'queued' AND {OPEN} AND {NONE_LEASED} ORDER BY seq LIMIT 1",
        queue_id,
        queue_id,
    )
    return [row for row in rows if row.visible_at <= at]


def _next(cursor: Any, queue_id: int, at: datetime, most: int) -> list[Row]:
    return locked(
        cursor,
        f"room_id = %s AND state = 'queued' AND {OPEN} AND visible_at <= %s ORDER BY seq LIMIT %s",
        queue_id,
        stored(at),
        most,
        skip=True,
    )


# -- Settling


def settle(acts: Sequence[Act]) -> list[Settled | EventError]:
    """Answer acts of workers in their order, in one transaction.

    `stale_lease`: another lease has been given since, it is another person's, or the order is
    dead. `not_found`: there is no such order. What was answered before is answered again.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        keys = {(act.queue_id, act.seq) for act in acts if 0 < act.seq <= _LARGEST_SEQ}
        rows = {(row.room, row.seq): row for row in lock_keys(cursor, keys)}
        at = present(cursor)
        outcomes = [_settle(act, rows.get((act.queue_id, act.seq)), at) for act in acts]
        store(cursor, list(rows.values()), at)
    orders = {key: row.order for key, row in rows.items()}
    return [_answer(act, outcome, orders, rows) for act, outcome in zip(acts, outcomes, strict=True)]


def _absent(seq: int) -> EventError:
    return EventError("not_found", f"there is no order {seq} in this queue")


def _settle(act: Act, row: Row | None, at: datetime) -> bool | EventError:
    if row is None:
        return _absent(act.seq)
    try:
        return row.settle(act, at)
    except EventError as refusal:
        return refusal


def _answer(
    act: Act,
    outcome: bool | EventError,
    orders: dict[tuple[int, int], Order],
    rows: dict[tuple[int, int], Row],
) -> Settled | EventError:
    if isinstance(outcome, EventError):
        return outcome
    key = (act.queue_id, act.seq)
    until = rfc3339(rows[key].visible_at) if isinstance(act, Extend) else None
    return Settled(orders[key], outcome, until)


def settle_and_take(
    acts: Sequence[Act], wants: Sequence[Want]
) -> tuple[list[Settled | EventError], list[Leased]]:
    """First settle, then take, in one transaction, which syncs once."""
    with transaction.atomic():
        if acts and wants:
            with connection.cursor() as cursor:
                _lock_ordered(cursor, sorted({want.queue_id for want in wants}))  # rooms before leases
        return settle(acts) if acts else [], take(wants)


# -- Lost workers


def put_back(holders: Sequence[str]) -> list[Order]:
    """Put back what lost sockets had, at once. Their tokens still count for `done` until
    someone else gets the order."""
    if not holders:
        return []
    which = f"state = 'leased' AND holder IN {marks(len(holders))}"
    return _give_back_all(LOST, lambda at: (which, list(holders)))


def sweep() -> list[Order]:
    """Put back what nobody has settled in time, in all queues."""
    with connection.cursor() as cursor:
        # Asked before a transaction begins: SQLite's would take the only writer for nothing.
        cursor.execute(
            f"SELECT 1 FROM {_LEASE} WHERE state = 'leased' AND visible_at <= %s LIMIT 1",
            [stored(present(cursor))],
        )
        if cursor.fetchone() is None:
            return []
    return _give_back_all(LAPSED, lambda at: ("state = 'leased' AND visible_at <= %s", [stored(at)]))


def _give_back_all(reason: str, which: Callable[[datetime], tuple[str, list[Any]]]) -> list[Order]:
    given_back: list[Row] = []
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            at = present(cursor)
            condition, params = which(at)
            rows = locked(cursor, f"{condition} ORDER BY room_id, seq LIMIT %s", *params, SLICE, skip=True)
            for row in rows:
                row.give_back(reason, at)
            store(cursor, rows, at)
        given_back += rows
        if len(rows) < SLICE:
            return [row.order for row in given_back]


def adopt(queue_id: int, worker: int, holder: str, is_alive: Callable[[str], bool]) -> list[Leased]:
    """Give the person's running leases whose holders are gone a new one, and return them.

    They run no longer for it. `is_alive` is called in this thread with each lease's holder.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        at = present(cursor)
        rows = locked(
            cursor,
            f"room_id = %s AND state = 'leased' AND {OPEN} AND worker_id = %s ORDER BY seq",
            queue_id,
            worker,
        )
        orphans = [row for row in rows if row.visible_at > at and not is_alive(row.holder)]
        for row in orphans:
            row.holder, row.changed = holder, True
        store(cursor, orphans, at)
    return [row.leased for row in orphans]


# -- The dead


def revive(namespace: str, slug: str, seq: int, by: int) -> Order:
    """Queue a dead order once more, at its old place, as if it had never been leased.

    By staff, or by an owner or a moderator of the queue, else `forbidden`; `conflict` where it
    isn't dead.
    """
    return _judge(namespace, slug, seq, by, State.QUEUED)


def bury(namespace: str, slug: str, seq: int, by: int) -> Order:
    """Give a dead order up for good. Raises as `revive` does."""
    return _judge(namespace, slug, seq, by, State.BURIED)


def _judge(namespace: str, slug: str, seq: int, by: int, state: Lease.State) -> Order:
    with transaction.atomic(), connection.cursor() as cursor:
        queue = _queue_to_judge(namespace, slug, by)
        rows = lock_keys(cursor, {(queue.pk, seq)}) if 0 < seq <= _LARGEST_SEQ else []
        if not rows:
            raise _absent(seq)
        at = present(cursor)
        rows[0].judge(state, at)
        store(cursor, rows, at)
        cursor.execute(
            f"DELETE FROM {_DEAD} WHERE room_id = %s AND first = %s AND user_id IS NULL", [queue.pk, seq]
        )
    return rows[0].order


def _queue_to_judge(namespace: str, slug: str, by: int) -> Room:
    person = {"user": by, "user__is_active": True}
    queue = Room.objects.filter(namespace=namespace, slug=slug, kind=Room.Kind.QUEUE).first()
    role = Membership.objects.filter(room=queue, **person).values_list("role", flat=True).first()
    staff = by == SYSTEM or get_user_model().objects.filter(pk=by, is_active=True, is_staff=True).exists()
    if queue is None or (queue.private and role is None and not staff):
        raise EventError("not_found", f"there is no queue {slug!r}, or it is not open to you")
    if not staff and role not in MODERATORS:
        raise EventError("forbidden", f"only staff, an owner or a moderator of {slug!r} may do this")
    return queue


# -- Looking


def due(queue_ids: Sequence[int]) -> dict[int, float | None]:
    """Seconds until the next order of each queue may be taken: 0 for now, None where none is
    queued or where an ordered queue has one in flight."""
    if not queue_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, ordering FROM {_ROOM} WHERE id IN {marks(len(queue_ids))}", list(queue_ids)
        )
        queues = cursor.fetchall()
        at = present(cursor)
        return {queue_id: _due(cursor, queue_id, ordering == "ordered", at) for queue_id, ordering in queues}


def _due(cursor: Any, queue_id: int, ordered: bool, at: datetime) -> float | None:
    queued = f"SELECT visible_at FROM {_LEASE} WHERE room_id = %s AND state = 'queued' AND {OPEN}"
    if ordered:
        cursor.execute(f"{queued} AND {NONE_LEASED} ORDER BY seq LIMIT 1", [queue_id, queue_id])
    else:
        # Most often some order may be taken: found at once, where the earliest of all is not.
        cursor.execute(f"{queued} AND visible_at <= %s ORDER BY seq LIMIT 1", [queue_id, stored(at)])
        if cursor.fetchone() is not None:
            return 0.0
        cursor.execute(f"{queued} ORDER BY visible_at LIMIT 1", [queue_id])
    row = cursor.fetchone()
    return None if row is None else max(0.0, (aware(row[0]) - at).total_seconds())


def load(keys: Sequence[tuple[int, int]]) -> list[Order]:
    """Orders of (queue id, seq), in the order of the keys; what isn't there is left out."""
    with connection.cursor() as cursor:
        rows = {(row.room, row.seq): row for row in keyed(cursor, keys)}
    return [rows[key].order for key in keys if key in rows]

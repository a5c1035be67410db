"""Retention: what may leave a log, from the bottom only, and nothing unseen.

A trimmed entry stays as a row without its body, so that its `client_id` still finds its first
answer; `first` says where the log begins for readers. (Of the control log, which nobody retries
into and which never ends, nothing stays.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from ..models import DeadLetter, Lease, Membership, Mention, Message, Room
from .entries import now
from .ranges import Ranges

#: Entries trimmed in one transaction: nobody else's write waits for more than about 50 ms.
SLICE = 500


@dataclass(slots=True, frozen=True)
class Trimmed:
    room_id: int
    first: int


def due() -> list[int]:
    """The rooms with a policy of retention; of the others nothing is ever trimmed."""
    policies = Room.objects.exclude(retain_entries=None, retain_seconds=None, expire_seconds=None)
    return list(policies.values_list("id", flat=True))


def trimmable(room_id: int) -> int:
    """How many entries the policy lets go as things stand."""
    room = Room.objects.get(pk=room_id)
    return max(0, _last_to_trim(room, now(), room.head) - room.first + 1)


def trim(room_id: int) -> Iterator[Trimmed]:
    """Trim a room as its policy says, a slice in each step of the iteration."""
    while (step := trim_slice(room_id)) is not None:
        yield step


def trim_slice(room_id: int, at: datetime | None = None) -> Trimmed | None:
    """Trim one slice in a transaction of its own; None when nothing is left to trim.

    Takes what the policy lets go and all members have received. What is older than
    `expire_seconds` goes even so: each member who missed some of it gets one dead letter for
    the whole range, in the same transaction that moves their cursor past it. A queue lets go
    only what is done or buried, whoever its members are; nothing of it expires.
    """
    at = at or now()
    with transaction.atomic():
        room = Room.objects.select_for_update(no_key=True).get(pk=room_id)
        upto = room.first + SLICE - 1
        upto = min(upto, _last_to_trim(room, at, upto))
        if upto < room.first:
            return None
        if room.kind == Room.Kind.QUEUE:
            Lease.objects.filter(room=room, seq__lte=upto).delete()
        else:
            _expire(room, upto)
        _empty(room, upto)
        return Trimmed(room.pk, upto + 1)


def _last_to_trim(room: Room, at: datetime, upto: int) -> int:
    """Of the entries up to `upto`; it may be one above them, too."""
    allowed = [
        *([room.head - room.retain_entries] if room.retain_entries is not None else []),
        *([_older_than(room, at, room.retain_seconds, upto)] if room.retain_seconds is not None else []),
    ]
    if room.kind == Room.Kind.QUEUE:
        return min(*allowed, _settled(room)) if allowed else 0
    lowest = (
        Membership.objects.filter(room=room).order_by("received").values_list("received", flat=True).first()
    )
    received = room.head if lowest is None else lowest
    seen = min(*allowed, received) if allowed else 0
    expired = _older_than(room, at, room.expire_seconds, upto) if room.expire_seconds is not None else 0
    return max(seen, expired)


def _settled(room: Room) -> int:
    """The last entry below the first order that someone may still work on, or judge."""
    open_ones = Lease.objects.filter(room=room).exclude(state=Lease.State.DONE)  # as its index says
    first = [
        open_ones.filter(state=state).order_by("seq").values_list("seq", flat=True).first()
        for state in (Lease.State.QUEUED, Lease.State.LEASED, Lease.State.DEAD)
    ]
    return min((seq for seq in first if seq is not None), default=room.head + 1) - 1


def _older_than(room: Room, at: datetime, seconds: int, upto: int) -> int:
    """The last entry up to `upto` that is older; the log is in the order of its times."""
    limit = at - timedelta(seconds=seconds)
    there = Message.objects.filter(room=room, seq__gte=room.first, seq__lte=upto)
    younger = there.filter(at__gte=limit).order_by("seq").values_list("seq", flat=True).first()
    return min(upto, room.head) if younger is None else younger - 1


def _expire(room: Room, upto: int) -> None:
    behind = Membership.objects.select_for_update().filter(room=room, received__lt=upto).order_by("id")
    letters = []
    for member in behind:
        missed = list(Ranges.parse(member.acked).gaps(max(member.received, room.first - 1), upto))
        if missed:
            letter = DeadLetter(room=room, user_id=member.user_id, reason=DeadLetter.Reason.EXPIRED)
            letter.first, letter.last = missed[0][0], missed[-1][1]
            letters.append(letter)
    DeadLetter.objects.bulk_create(letters, ignore_conflicts=True)
    behind.update(received=upto)


def _empty(room: Room, upto: int) -> None:
    gone = Message.objects.filter(room=room, seq__gte=room.first, seq__lte=upto)
    if room.kind == Room.Kind.CONTROL:
        gone.delete()
    else:
        gone.update(body="", html="", extra="", deleted="")
    Mention.objects.filter(room=room, seq__lte=upto).delete()
    _run(f"UPDATE {Room._meta.db_table} SET first = %s WHERE id = %s", upto + 1, room.pk)


def _run(sql: str, *params: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)

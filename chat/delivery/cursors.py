"""Members' cursors: moved in memory by the hub, written here about once a second.

Losing that second to a crash costs a redelivery, which the client drops.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import connection, transaction

from ..models import DeadLetter, Membership, Message, Room
from .entries import now
from .ranges import Ranges

_ROOM = Room._meta.db_table
_MEMBER = Membership._meta.db_table
_MESSAGE = Message._meta.db_table
_DEAD = DeadLetter._meta.db_table

#: Acknowledged ranges kept for one member of an unordered room. Past it the lowest open entry
#: becomes a dead letter, so that a membership stays a small row.
MAX_RANGES = 1000


@dataclass(slots=True)
class Progress:
    """What one process learned of a member since the last flush.

    `received` and `read` are cursors. Unordered rooms: `acked` holds what was acknowledged
    above the cursor, `deliveries` the deliveries so far of what is open, and `dead` the
    entries that are given up, with their deliveries.
    """

    member: int
    room: int
    epoch: str
    received: int = 0
    read: int = 0
    acked: Ranges = field(default_factory=Ranges)
    deliveries: dict[int, int] = field(default_factory=dict)
    dead: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True, frozen=True)
class Lowest:
    """The lowest cursors of a room's members: what everyone has received and read."""

    received: int
    read: int


@dataclass(slots=True, frozen=True)
class Dead:
    """An entry that a member will not be sent again."""

    room: int
    user: int
    seq: int
    attempts: int
    reason: str


class Flushed(NamedTuple):
    """The lowest cursors of the rooms that were touched, and what became a dead letter."""

    lowest: dict[int, Lowest]
    dead: list[Dead]


def flush(progress: Iterable[Progress]) -> Flushed:
    """Move cursors forward in one transaction, rows locked in the order of their ids.

    Progress of another epoch, or of a membership that is gone, is discarded: it speaks of a
    log that is no more.
    """
    by_member = {p.member: p for p in progress}
    if not by_member:
        return Flushed({}, [])
    with transaction.atomic(), connection.cursor() as cursor:
        updates: list[tuple[Any, ...]] = []
        dead: list[Dead] = []
        for row in _lock(cursor, sorted(by_member)):
            member, user, epoch, head, received, acked, read = row
            p = by_member[member]
            if p.epoch != epoch:
                continue
            moved, ranges, given_up = _merge(received, Ranges.parse(acked), p, head)
            dead += [Dead(p.room, user, seq, tries, reason) for seq, tries, reason in given_up]
            read_to = min(max(read, p.read), head)
            kept = {seq: n for seq, n in p.deliveries.items() if moved < seq <= head and seq not in ranges}
            updates.append((moved, str(ranges), json.dumps(kept), read_to, p.room, read_to, member))
        _write(cursor, updates, dead)
        return Flushed(_lowest(cursor, {p.room for p in by_member.values()}), dead)


def _lock(cursor: Any, members: list[int]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    lock = "" if connection.vendor == "sqlite" else " FOR UPDATE OF m"
    for start in range(0, len(members), 1000):
        some = members[start : start + 1000]
        cursor.execute(
            f"SELECT m.id, m.user_id, r.epoch, r.head, m.received, m.acked, m.read"
            f" FROM {_MEMBER} m JOIN {_ROOM} r ON r.id = m.room_id"
            f" WHERE m.id IN ({', '.join(['%s'] * len(some))}) ORDER BY m.id{lock}",
            some,
        )
        rows += cursor.fetchall()
    return rows


def _merge(
    received: int, ranges: Ranges, progress: Progress, head: int
) -> tuple[int, Ranges, list[tuple[int, int, DeadLetter.Reason]]]:
    """The stored cursor and set with what this process learned; never past the head, since a
    log that was restored may be shorter than what this process remembers of it."""
    dead = [
        (seq, tries, DeadLetter.Reason.MAX_DELIVER)
        for seq, tries in progress.dead.items()
        if received < seq <= head and seq not in ranges  # else another device acknowledged it after all
    ]
    for seq in progress.dead:
        ranges.add(seq)
    ranges.update(progress.acked)
    ranges.cut(head)
    received = ranges.absorb(max(received, min(progress.received, head)))
    while len(ranges) >= MAX_RANGES:
        lowest = received + 1
        dead.append((lowest, progress.deliveries.get(lowest, 0), DeadLetter.Reason.TOO_MANY_OPEN))
        ranges.add(lowest)
        received = ranges.absorb(received)
    return received, ranges, dead


def _write(cursor: Any, updates: list[tuple[Any, ...]], dead: list[Dead]) -> None:
    if updates:
        cursor.executemany(
            f"UPDATE {_MEMBER} SET received = %s, acked = %s, deliveries = %s, read = %s,"
            f" read_messages = COALESCE((SELECT ordinal FROM {_MESSAGE} WHERE room_id = %s AND seq = %s),"
            f" read_messages) WHERE id = %s",
            updates,
        )
    if dead:
        at = connection.ops.adapt_datetimefield_value(now())
        cursor.executemany(
            f"INSERT INTO {_DEAD} (room_id, user_id, first, last, attempts, reason, at)"
            f" VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [(each.room, each.user, each.seq, each.seq, each.attempts, each.reason, at) for each in dead],
        )


def _lowest(cursor: Any, rooms: set[int]) -> dict[int, Lowest]:
    """One look-up in an index for each cursor, however many members a room has."""
    found: dict[int, Lowest] = {}
    for room in rooms:
        cursor.execute(
            f"SELECT (SELECT MIN(received) FROM {_MEMBER} WHERE room_id = %s),"
            f" (SELECT MIN(read) FROM {_MEMBER} WHERE room_id = %s)",
            [room, room],
        )
        received, read = cursor.fetchone()
        found[room] = Lowest(received or 0, read or 0)
    return found

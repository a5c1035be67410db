"""Whole logs out of the database, as of one moment, and into it, in slices.

A log that comes in lies in a room of the reserved namespace `_import`, which nobody finds, until
all of it is there; one short transaction then gives the room its name. So nobody sees half a
room, nobody waits for more than a slice, and what a crash left behind is gone on with.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import IntegrityError, connection, transaction

from ..errors import EventError
from ..models import Ban, DeadLetter, Lease, Membership, Mention, Message, Report, Room, new_epoch
from . import door, search

NAMESPACE = "_import"
#: Entries deleted in one transaction: nobody else's write waits for more than about 50 ms.
SLICE = 500

_ROOM = Room._meta.db_table
_MESSAGE = Message._meta.db_table


@contextmanager
def one_moment() -> Iterator[None]:
    """What is read in the block is as of its beginning, and nobody waits for it. On PostgreSQL
    and SQLite alike the database keeps what others change meanwhile: not for hours."""
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")  # not IMMEDIATE, as `atomic` would
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")
    else:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield


class Key(NamedTuple):
    """What an entry is known by."""

    seq: int
    sender: int
    client_id: str
    kind: str


def keys(room_id: int, after: int, limit: int) -> list[Key]:
    rows = Message.objects.filter(room=room_id, seq__gt=after).order_by("seq")
    return [Key(*row) for row in rows.values_list("seq", "sender_id", "client_id", "kind")[:limit]]


# A room that is coming in


@dataclass(slots=True)
class Rows:
    """What one slice adds, a tuple a row without its room: in the columns below."""

    entries: list[tuple[Any, ...]] = field(default_factory=list)
    orders: list[tuple[Any, ...]] = field(default_factory=list)
    mentions: list[tuple[Any, ...]] = field(default_factory=list)
    letters: list[tuple[Any, ...]] = field(default_factory=list)
    #: The last value is `read` once more, for the count of messages up to it.
    members: list[tuple[Any, ...]] = field(default_factory=list)
    bans: list[tuple[Any, ...]] = field(default_factory=list)
    reports: list[tuple[Any, ...]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.entries) + len(self.members) + len(self.bans) + len(self.reports) + len(self.letters)


_COLUMNS: dict[str, tuple[str, str]] = {
    "entries": (_MESSAGE, "seq, sender_id, client_id, kind, target, ordinal, body, html, extra, deleted, at"),
    "orders": (
        Lease._meta.db_table,
        "seq, state, attempts, visible_at, changed_at, worker_id, token, holder, failed, reason, result",
    ),
    "mentions": (Mention._meta.db_table, "user_id, seq"),
    "letters": (DeadLetter._meta.db_table, "user_id, first, last, attempts, reason, at"),
    "members": (
        Membership._meta.db_table,
        "user_id, role, joined_at, joined_at_seq, muted_until, notify, received, acked, deliveries,"
        " wrote_at, read, read_messages",
    ),
    "bans": (Ban._meta.db_table, "user_id, reason, until, by_id, at"),
    "reports": (
        Report._meta.db_table,
        "seq, reporter_id, reason, state, handled_by_id, handled_at, outcome, at",
    ),
}


#: What comes with its entry and not again.
FRESH = frozenset({"entries", "orders", "mentions"})


def begin(key: str, name: str) -> Room:
    """A hidden room for what is known by this key (a slug); the one that is there already goes on.
    Its kind is the server's own, which no list shows and nothing is written to."""
    made, _ = Room.objects.get_or_create(
        namespace=NAMESPACE, slug=key, defaults={"kind": Room.Kind.CONTROL, "name": name}
    )
    return made


def unfinished() -> list[Room]:
    return list(Room.objects.filter(namespace=NAMESPACE).order_by("pk"))


def add(room_id: int, after: int, messages: int, rows: Rows) -> None:
    """Store a slice in a transaction of its own; `messages` is their number with this slice.

    What isn't an entry may come again and stays as it is. Raises `conflict` where the log
    doesn't end at `after`: someone else was at it.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        _lock(cursor, room_id, after)
        with search.indexed(cursor) if rows.entries else nullcontext():
            for what, (table, columns) in _COLUMNS.items():
                if added := getattr(rows, what):
                    _insert(cursor, what, table, columns, room_id, added)
        if rows.entries:
            cursor.execute(
                f"UPDATE {_ROOM} SET head = %s, messages = %s WHERE id = %s",
                [rows.entries[-1][0], messages, room_id],
            )


def _lock(cursor: Any, room_id: int, head: int) -> None:
    lock = "" if connection.vendor == "sqlite" else " FOR NO KEY UPDATE"
    cursor.execute(f"SELECT head FROM {_ROOM} WHERE id = %s AND namespace = %s{lock}", [room_id, NAMESPACE])
    if cursor.fetchone() != (head,):
        raise EventError("conflict", "someone else is importing the same: when that is done, run it again")


def _insert(cursor: Any, what: str, table: str, columns: str, room_id: int, rows: list[Any]) -> None:
    if what in FRESH and connection.vendor == "postgresql":
        _copy(cursor, f"{table} (room_id, {columns})", room_id, rows)
        return
    marks = ["%s"] * len(rows[0])
    if what == "members":
        read = f"SELECT ordinal FROM {_MESSAGE} WHERE room_id = {int(room_id)} AND seq = %s"
        marks[-1] = f"COALESCE(({read}), 0)"
    again = "" if what in FRESH else " ON CONFLICT DO NOTHING"
    cursor.executemany(
        f"INSERT INTO {table} (room_id, {columns}) VALUES ({int(room_id)}, {', '.join(marks)}){again}", rows
    )


def _copy(cursor: Any, where: str, room_id: int, rows: list[Any]) -> None:
    """A fifth of the time that INSERT takes on PostgreSQL."""
    with connection.wrap_database_errors, cursor.copy(f"COPY {where} FROM STDIN") as copy:
        for row in rows:
            copy.write_row((room_id, *row))


def publish(room_id: int, head: int, **fields: Any) -> None:
    """The room is there, under its name and with a new epoch. `conflict` where the name is taken."""
    namespace, slug = fields["namespace"], fields["slug"]
    try:
        with door.controlled():
            with connection.cursor() as cursor:
                _lock(cursor, room_id, head)
            Room.objects.filter(pk=room_id).update(epoch=new_epoch(), **fields)
            if fields.get("filtered_words"):
                door.control("rules")
    except IntegrityError:
        raise EventError("conflict", f"there is a {namespace}/{slug} meanwhile") from None


def discard(room_id: int) -> Iterator[int]:
    """Delete what has come in so far; gives the number of entries of each slice."""
    while gone := _discard_slice(room_id):
        yield gone
    with transaction.atomic(), connection.cursor() as cursor:
        for model in (Membership, Ban, DeadLetter, Report):
            cursor.execute(f"DELETE FROM {model._meta.db_table} WHERE room_id = %s", [room_id])
        cursor.execute(f"DELETE FROM {_ROOM} WHERE id = %s AND namespace = %s", [room_id, NAMESPACE])


def _discard_slice(room_id: int) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        head = Room.objects.select_for_update(no_key=True).get(pk=room_id, namespace=NAMESPACE).head
        rest = max(head - SLICE, 0)
        for model in (Mention, Lease, Message):
            cursor.execute(
                f"DELETE FROM {model._meta.db_table} WHERE room_id = %s AND seq > %s", [room_id, rest]
            )
        cursor.execute(f"UPDATE {_ROOM} SET head = %s WHERE id = %s", [rest, room_id])
    return head - rest

"""Rows of leases: locked and read as `Row`s, and what changed of them stored.

On PostgreSQL a row is locked by what reads it; SQLite's IMMEDIATE transaction holds the whole
database already.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection

from ..models import DeadLetter, Lease, Message, Room
from .clock import stored
from .orders import Row, State

_ROOM = Room._meta.db_table
_LEASE = Lease._meta.db_table
_MESSAGE = Message._meta.db_table
_DEAD = DeadLetter._meta.db_table
_USER = get_user_model()._meta.db_table
_NAME = get_user_model().USERNAME_FIELD

#: In the words of the index `lease_open`: SQLite uses it for no others.
OPEN = "NOT (state = 'done')"
NONE_LEASED = f"NOT EXISTS (SELECT 1 FROM {_LEASE} WHERE room_id = %s AND state = 'leased' AND {OPEN})"


def locked(cursor: Any, condition: str, *params: Any, skip: bool = False) -> list[Row]:
    """The leases that meet a condition; with `skip` those that someone else holds are left out."""
    which = f"SELECT * FROM {_LEASE} WHERE {condition}{_for_update(' SKIP LOCKED' if skip else '')}"
    return _rows(cursor, "", which, params)


def lock_keys(cursor: Any, keys: Collection[tuple[int, int]]) -> list[Row]:
    return keyed(cursor, keys, _for_update(" OF l"))


def keyed(cursor: Any, keys: Collection[tuple[int, int]], lock: str = "") -> list[Row]:
    if not keys:
        return []
    with_keys = f"WITH k (room, seq) AS (VALUES {', '.join(['(%s, %s)'] * len(keys))}) "
    which = (
        f"SELECT l.* FROM k CROSS JOIN {_LEASE} l WHERE l.room_id = k.room AND l.seq = k.seq"
        f" ORDER BY l.room_id, l.seq{lock}"
    )
    return _rows(cursor, with_keys, which, [value for key in keys for value in key])


def _rows(cursor: Any, with_keys: str, which: str, params: Sequence[Any]) -> list[Row]:
    cursor.execute(
        f"{with_keys}SELECT l.room_id, r.slug, r.lease_seconds, r.max_attempts, l.seq, l.state, l.attempts,"
        f" l.visible_at, l.worker_id, (SELECT {_NAME} FROM {_USER} WHERE id = l.worker_id), l.token,"
        f" l.holder, l.failed, l.reason, m.body, m.at"
        f" FROM ({which}) l CROSS JOIN {_ROOM} r CROSS JOIN {_MESSAGE} m"
        f" WHERE r.id = l.room_id AND m.room_id = l.room_id AND m.seq = l.seq ORDER BY l.room_id, l.seq",
        params,
    )
    return [Row(*row) for row in cursor.fetchall()]


def store(cursor: Any, rows: Sequence[Row], at: datetime) -> None:
    """Write what changed; who died gets a dead letter in the same transaction."""
    changed = [row for row in rows if row.changed]
    if not changed:
        return
    in_words = cache(stored)  # most of them share their times
    _update(cursor, [_as_stored(row, in_words(at), in_words(row.visible_at)) for row in changed])
    if cursor.rowcount != len(changed):
        raise RuntimeError("a lease changed under its lock")
    dead = [row for row in changed if row.state == State.DEAD]
    if dead:
        cursor.executemany(
            f"INSERT INTO {_DEAD} (room_id, user_id, first, last, attempts, reason, at)"
            f" VALUES (%s, NULL, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [
                (row.room, row.seq, row.seq, row.attempts, DeadLetter.Reason.MAX_ATTEMPTS, in_words(at))
                for row in dead
            ],
        )


_COLUMNS = (
    *("state", "attempts", "visible_at", "changed_at", "worker_id"),
    *("token", "holder", "failed", "reason", "result"),
)


def _update(cursor: Any, rows: list[tuple[Any, ...]]) -> None:
    """SQLite is fastest with a statement a row, PostgreSQL with one for all."""
    if connection.vendor == "sqlite":
        cursor.executemany(
            f"UPDATE {_LEASE} SET {', '.join(f'{name} = %s' for name in _COLUMNS)}"
            f" WHERE room_id = %s AND seq = %s AND state = %s AND token = %s",
            rows,
        )
        return
    columns = f"{', '.join(_COLUMNS)}, room, seq, was, was_token"
    values = ", ".join([marks(len(rows[0]))] * len(rows))
    # A column of nothing but NULL would be text.
    changes = ", ".join(f"{name} = v.{name}{'::bigint' * (name == 'worker_id')}" for name in _COLUMNS)
    cursor.execute(
        f"UPDATE {_LEASE} l SET {changes} FROM (VALUES {values}) v ({columns})"
        f" WHERE l.room_id = v.room AND l.seq = v.seq AND l.state = v.was AND l.token = v.was_token",
        [value for row in rows for value in row],
    )


def _as_stored(row: Row, changed_at: Any, visible_at: Any) -> tuple[Any, ...]:
    return (
        row.state,
        row.attempts,
        visible_at,
        changed_at,
        row.worker,
        row.token,
        row.holder,
        row.failed,
        row.reason,
        row.result,
        row.room,
        row.seq,
        *row.was,
    )


def marks(count: int) -> str:
    return "(" + ", ".join(["%s"] * count) + ")"


def _for_update(how: str = "") -> str:
    return "" if connection.vendor == "sqlite" else f" FOR UPDATE{how}"

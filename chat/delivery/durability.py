"""A commit that returned has been synced to disk, on every connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F

from ..models import Room
from .door import CONTROL

#: The advisory lock of who migrates: a number of ours among those of the database.
MIGRATIONS = 0x63686174


def make_durable(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """Set by us at connect: a server's or build's default may be weaker.

    SQLite in WAL mode syncs at each commit only with FULL; NORMAL can lose the last
    commits at a power cut. PostgreSQL may have been configured to answer before it syncs.
    """
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA synchronous=FULL")
        elif connection.vendor == "postgresql":
            cursor.execute("SET synchronous_commit TO on")


def use_wal(connection: BaseDatabaseWrapper) -> None:
    """Put a SQLite file into WAL mode, so that readers and the writer don't wait for each other.

    The mode is kept in the file, but a copy made by `VACUUM INTO` comes out without it:
    called by a migration and again when a server starts.
    """
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode=WAL")


def modes() -> dict[str, str]:
    """What decides whether a commit outlives a power cut, by the database's own names."""
    asked = {
        "sqlite": {"journal_mode": "PRAGMA journal_mode", "synchronous": "PRAGMA synchronous"},
        "postgresql": {name: f"SHOW {name}" for name in ("synchronous_commit", "fsync", "full_page_writes")},
    }
    with connection.cursor() as cursor:
        return {name: str(_value(cursor, query)) for name, query in asked[connection.vendor].items()}


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Nobody else is in here meanwhile, on whichever machine: for migrations. SQLite's file is one
    machine's, and its own lock does."""
    if connection.vendor == "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATIONS])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATIONS])


def touch() -> None:
    """A commit that writes and changes nothing."""
    namespace, slug = CONTROL
    Room.objects.filter(namespace=namespace, slug=slug).update(first=F("first"))


def _value(cursor: Any, query: str) -> Any:
    cursor.execute(query)
    return cursor.fetchone()[0]

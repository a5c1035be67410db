"""A commit that returned has been synced to disk, on every connection."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper


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

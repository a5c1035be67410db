"""The database's clock: leases given by several processes are measured by one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import connection

from .entries import now


def present(cursor: Any) -> datetime:
    """The database's present in UTC, to the millisecond; not the begin of the transaction, which
    may have waited for locks since. SQLite's clock is its host's."""
    if connection.vendor == "sqlite":
        return now()
    cursor.execute("SELECT date_trunc('milliseconds', statement_timestamp())")
    at: datetime = cursor.fetchone()[0]
    return at.astimezone(UTC)


def read() -> datetime:
    """The same for who has no cursor."""
    with connection.cursor() as cursor:
        return present(cursor)


def stored(at: datetime) -> Any:
    """A time as a parameter of a query written by hand."""
    return connection.ops.adapt_datetimefield_value(at)

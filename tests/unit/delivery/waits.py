"""Waiting for what only the database knows."""

from __future__ import annotations

import time

from django.db import connection

from .support import execute


def wait_until_someone_waits_for_a_lock() -> int:
    """Returns who, as a process of PostgreSQL's. Asks on a connection of its own thread."""
    deadline = time.monotonic() + 10
    try:
        while time.monotonic() < deadline:
            waiting = execute(
                "SELECT pid FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            if waiting:
                return int(waiting[0][0])
    finally:
        connection.close()
    raise AssertionError("nobody waits")

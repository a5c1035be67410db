"""A commit that returned is on disk: set by us on every connection, not hoped for."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from django.db import connection
from django.db.backends.signals import connection_created

from chat.delivery import durability, pools

from .support import (
    execute,
    in_writer,
    on_postgres,
    on_sqlite,
    others,
    wait_until_someone_waits_for_a_lock,
)


def settings_of_a_connection() -> tuple[Any, ...]:
    if connection.vendor == "sqlite":
        return execute("PRAGMA synchronous")[0][0], execute("PRAGMA journal_mode")[0][0]
    return execute("SHOW synchronous_commit")[0]


def durable() -> tuple[Any, ...]:
    return (2, "wal") if connection.vendor == "sqlite" else ("on",)


def test_the_callers_connection_is_durable() -> None:
    assert settings_of_a_connection() == durable()


def test_the_connections_of_other_threads_are_durable() -> None:
    with others(3) as threads:
        assert {threads.submit(settings_of_a_connection).result() for _ in range(6)} == {durable()}


def test_the_journals_connection_is_durable() -> None:
    async def scenario() -> Any:
        return await in_writer(settings_of_a_connection)

    assert asyncio.run(scenario()) == durable()


def test_the_readers_and_the_polls_connections_are_durable() -> None:
    together = threading.Barrier(pools.READERS)

    def look() -> Any:
        found = settings_of_a_connection()
        connection.close()
        return found

    def look_together() -> Any:
        together.wait(10)  # so that each reader does it
        return look()

    async def scenario() -> list[Any]:
        readers = (pools.read(look_together) for _ in range(pools.READERS))
        return [await pools.poll(look), *await asyncio.gather(*readers)]

    assert asyncio.run(scenario()) == [durable()] * (1 + pools.READERS)


def test_a_connection_that_was_lost_comes_back_durable() -> None:
    connection.close()
    assert settings_of_a_connection() == durable()


@on_sqlite
def test_a_connection_that_syncs_less_is_overruled() -> None:
    """SQLite's own default is FULL; a build of it, or a handler before ours, may say otherwise."""
    execute("PRAGMA synchronous=OFF")
    connection_created.send(type(connection), connection=connection)
    assert settings_of_a_connection() == durable()


@on_sqlite
def test_a_transaction_begins_as_a_writer() -> None:
    """One that begins as a reader fails at once, unheard, when it comes to write under load."""
    assert connection.settings_dict["OPTIONS"]["transaction_mode"] == "IMMEDIATE"


@on_sqlite
def test_foreign_keys_are_enforced() -> None:
    assert execute("PRAGMA foreign_keys") == [(1,)]


@on_postgres
@pytest.mark.parametrize("weak", ["off", "local"])
def test_a_database_that_was_set_to_answer_before_it_syncs_is_overruled(weak: str) -> None:
    name = connection.settings_dict["NAME"]
    execute(f"ALTER DATABASE {name} SET synchronous_commit = {weak}")
    try:
        connection.close()
        assert settings_of_a_connection() == ("on",)
    finally:
        execute(f"ALTER DATABASE {name} RESET synchronous_commit")


@on_postgres
def test_a_statement_sees_what_was_committed_before_it() -> None:
    """READ COMMITTED: what the last holder of a room's lock wrote is found by the next."""
    assert execute("SHOW transaction_isolation") == [("read committed",)]


@on_postgres
def test_only_one_migrates_at_a_time() -> None:
    def enter() -> None:
        with durability.one_at_a_time():
            pass

    with others(2) as threads:
        with durability.one_at_a_time():
            second = threads.submit(enter)
            threads.submit(wait_until_someone_waits_for_a_lock).result(30)
            assert not second.done()
        second.result(10)

"""A queue may have millions of orders that are done: what workers wait for reads none of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from chat.delivery import leases
from chat.models import Lease, Room

from .orders import done, fail, order, socket, take, take_one

TABLE = Lease._meta.db_table


def plans(work: Callable[[], object]) -> list[str]:
    """How the database finds the leases that `work` reads, a line for each access."""
    found: list[str] = []
    explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN (COSTS OFF) "

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not many and (f"FROM {TABLE}" in sql or f"CROSS JOIN {TABLE}" in sql):
            execute(explain + sql, params, many, context)
            found.extend(str(row[-1]) for row in context["cursor"].fetchall())
        return execute(sql, params, many, context)

    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        with connection.execute_wrapper(watch):
            work()
    found = [line for line in found if "Sort Key" not in line]
    return [line for line in found if any(word in line for word in (TABLE, " l USING", "lease_"))]


@pytest.fixture(autouse=True)
def busy(queue: Room, line: Room, bob: User) -> None:
    for each in (queue, line):
        order(each, 500)
        Lease.objects.filter(room=each, seq__lte=450).update(state="done")
    with connection.cursor() as cursor:  # without what other tests left behind
        cursor.execute("ANALYZE" if connection.vendor == "sqlite" else f"VACUUM ANALYZE {TABLE}")
    take(queue, bob)


CALLS: dict[str, Callable[[Room, User], object]] = {
    "take": take,
    "due": lambda queue, user: leases.due([queue.pk]),
    "put_back": lambda queue, user: leases.put_back([socket(user)]),
    "sweep": lambda queue, user: leases.sweep(),
    "adopt": lambda queue, user: leases.adopt(queue.pk, user.pk, "p/S", lambda holder: False),
}


@pytest.mark.parametrize("call", CALLS)
def test_what_workers_wait_for_reads_nothing_that_is_done(
    queue: Room, line: Room, bob: User, call: str
) -> None:
    for each in (queue, line):
        lines = plans(lambda each=each: CALLS[call](each, bob))  # type: ignore[misc]
        assert lines
        partial = ("lease_open", "lease_running", "lease_holder")
        assert [line for line in lines if not any(name in line for name in partial)] == []


def test_a_settled_order_is_found_by_its_key(line: Room, bob: User) -> None:
    one = take_one(line, bob)
    lines = plans(lambda: leases.settle([done(one, bob), fail(one, bob)]))
    key = "lease_room_seq" if connection.vendor == "postgresql" else "SEARCH l USING INDEX"
    assert any(key in line for line in lines)
    assert not any("SCAN l" in line or "Seq Scan" in line for line in lines)

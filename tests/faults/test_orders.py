"""Work queues while workers and the server are killed, and the check that tells.

`FAULT_ORDERS`, `FAULT_KILLS` and `FAULT_SEED` make it longer, or the same again.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import MakeServer

from .order_mutants import mutant
from .orders import OrderHistory, check_orders
from .shift import Shift


def chosen_seed() -> int:
    return int(os.environ.get("FAULT_SEED") or random.SystemRandom().randrange(1_000_000))


def report(seed: int, shift: Shift) -> None:
    history = shift.history
    noted = Counter(line["what"] for line in history.lines)
    states = Counter(state for state, _ in history.final.values())
    print(
        f"seed {seed}: {shift.orders} orders in {shift.seconds:.1f} s, {len(history.kills)} workers killed;"
    )
    print(f"{dict(states)}; workers noted {dict(noted)}")


def check(history: OrderHistory) -> None:
    findings = check_orders(history)
    assert not findings, "\n".join(map(str, findings[:20]))


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("kind", "database"), [("daphne", "sqlite"), ("uvicorn", "postgres")])
async def test_each_order_is_done_once_or_dead_with_true_attempts_while_workers_are_killed(
    request: pytest.FixtureRequest, make_server: MakeServer, tmp_path: Path, kind: str, database: str
) -> None:
    seed = chosen_seed()
    url = request.getfixturevalue("postgres_url") if database == "postgres" else ""
    server = make_server(kind, database_url=url, env={"RATE_LIMIT": "off"}).start()
    orders = int(os.environ.get("FAULT_ORDERS") or 2_000)
    kills = int(os.environ.get("FAULT_KILLS") or 10)
    shift = Shift(server, seed, tmp_path, orders=orders, kills=kills)

    history = await shift.run()

    report(seed, shift)
    check(history)
    assert len(history.created) == orders and len(history.kills) == kills
    assert {state for state, _ in history.final.values()} == {"done", "dead"}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_an_ordered_queue_keeps_its_order_while_workers_are_killed(
    request: pytest.FixtureRequest, make_server: MakeServer, tmp_path: Path, database: str
) -> None:
    seed = chosen_seed()
    url = request.getfixturevalue("postgres_url") if database == "postgres" else ""
    server = make_server("uvicorn", database_url=url, env={"RATE_LIMIT": "off"}).start()
    shift = Shift(server, seed, tmp_path, orders=300, kills=5, ordered=True, lease_seconds=1.0)

    history = await shift.run()

    report(seed, shift)
    check(history)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_no_order_is_lost_or_done_twice_while_servers_are_killed_too(
    request: pytest.FixtureRequest, make_server: MakeServer, tmp_path: Path, database: str
) -> None:
    seed = chosen_seed()
    url = request.getfixturevalue("postgres_url") if database == "postgres" else ""
    server = make_server("uvicorn", database_url=url, env={"RATE_LIMIT": "off"}).start()
    shift = Shift(server, seed, tmp_path, orders=600, kills=4, server_kills=3)

    history = await shift.run()

    report(seed, shift)
    check(history)


# The check finds queues that are broken on purpose


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("mutation", "found"),
    [
        ("token", {"done twice"}),
        ("lease", {"double lease"}),
        ("giving back", {"phantom"}),
        ("attempts", {"attempts"}),
        ("order", {"disorder"}),
    ],
)
async def test_the_check_finds_a_queue_that_is_broken(
    make_server: MakeServer, tmp_path: Path, mutation: str, found: set[str]
) -> None:
    server = make_server("uvicorn", **mutant(mutation)).start()
    ordered = mutation == "order"
    # So late that others have done what was slow, also on a busy machine.
    late = 6.0 if mutation == "token" else 1.5
    shift = Shift(
        server, 1, tmp_path, orders=200, kills=2, ordered=ordered, lease_seconds=1.0, late=late, patience=10
    )
    findings = check_orders(await shift.run())
    assert found <= {finding.kind for finding in findings}, findings[:20]

"""A queue in two server processes on one PostgreSQL, with Redis for hints and without."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from chat.delivery import door
from chat.delivery.entries import SYSTEM, Draft
from tests.conftest import MakeServer
from tests.support import Client, Server, databases
from tests.support.client import Packet

from .queues import ban, done, fail, given, make_queue, order, watch, work


@pytest.fixture(scope="module", params=["redis", "no redis"])
def pair(
    request: pytest.FixtureRequest, new_server: MakeServer, postgres_server_url: str
) -> Iterator[tuple[Server, Server]]:
    url = databases.new_database(postgres_server_url)
    env = {"REDIS_URL": request.getfixturevalue("redis_url") if request.param == "redis" else ""}
    with (
        new_server("daphne", database_url=url, env=env) as first,
        new_server("uvicorn", database_url=url, env=env) as second,
    ):
        yield first, second


@pytest.fixture
def queue(pair: tuple[Server, Server]) -> str:
    return make_queue(pair[0], max_attempts=2)


@pytest.fixture
async def clients(pair: tuple[Server, Server]) -> AsyncIterator[tuple[Client, Client]]:
    """Alice on one process, Bob on the other."""
    opened = []
    for server, name in zip(pair, ("alice", "bob"), strict=True):
        person = pair[0].person(name)
        opened.append(await Client.open(server.ws, "orders", token=person.token))
        opened[-1].person = person
    yield opened[0], opened[1]
    for client in opened:
        await client.drop()


async def test_work_that_appears_in_one_process_reaches_an_idle_worker_in_another(
    clients: tuple[Client, Client], queue: str
) -> None:
    alice, bob = clients
    await work(bob, queue)
    for number in range(3):
        began = time.monotonic()
        await order(alice, queue, number)
        mine = await given(bob)
        assert mine["item"] == number
        assert time.monotonic() - began < 3  # without a hint the poll finds it within a second
        await done(bob, mine)


async def test_what_a_command_puts_in_reaches_an_idle_worker(
    pair: tuple[Server, Server], clients: tuple[Client, Client], queue: str
) -> None:
    _, bob = clients
    await work(bob, queue)
    draft = Draft("orders", queue, SYSTEM, uuid.uuid4().hex, "item", body='"from a command"')
    pair[0].django(door.write, draft)
    assert (await given(bob))["item"] == "from a command"


async def test_what_one_process_puts_back_another_gives_out(
    clients: tuple[Client, Client], queue: str
) -> None:
    alice, bob = clients
    await order(alice, queue)
    await work(alice, queue)
    lost = await given(alice)
    await work(bob, queue)
    await alice.drop()
    found = await given(bob)
    assert (found["seq"], found["attempts"]) == (lost["seq"], 2)


async def one_leased(client: Client, queue: str) -> Packet:
    """The one order that is leased, once there is one."""
    while True:
        found: list[Packet] = (await client.call("order:list", {"queue": queue, "state": "leased"}))["orders"]
        if found:
            (leased,) = found
            return leased


async def test_an_ordered_queue_has_one_order_in_flight_in_all_processes(
    pair: tuple[Server, Server], clients: tuple[Client, Client]
) -> None:
    alice, bob = clients
    queue = make_queue(pair[0], ordering="ordered")
    workers = {alice.id: alice, bob.id: bob}
    for worker in workers.values():
        await work(worker, queue, 10)
    for number in range(6):
        await order(alice, queue, number)
    for number in range(6):
        leased = await one_leased(alice, queue)
        worker = workers[leased["worker"]["id"]]
        mine = await given(worker)
        assert mine["item"] == number == leased["item"]
        await done(worker, mine)


@pytest.mark.parametrize("pair", ["redis"], indirect=True)
async def test_watchers_in_another_process_hear_everything_in_order(
    clients: tuple[Client, Client], queue: str
) -> None:
    alice, bob = clients
    await watch(bob, queue)
    await work(alice, queue)
    await order(alice, queue, "pizza")
    await fail(alice, await given(alice))
    await fail(alice, await given(alice))
    await bob.expect("order:dead")
    heard = [packet["event"] for packet in bob.packets if "event" in packet][1:]
    assert heard == [f"order:{event}" for event in ("created", "leased", "failed", "leased", "dead")]


async def test_without_a_hint_watchers_hear_of_new_orders(clients: tuple[Client, Client], queue: str) -> None:
    alice, bob = clients
    await watch(bob, queue)
    for number in range(3):
        await order(alice, queue, number)
    assert [(await bob.expect("order:created"))["data"]["item"] for _ in range(3)] == [0, 1, 2]


async def test_a_ban_ends_work_in_every_process(
    pair: tuple[Server, Server], clients: tuple[Client, Client], queue: str
) -> None:
    alice, bob = clients
    await order(alice, queue)
    await work(bob, queue)
    mine = await given(bob)
    pair[0].django(ban, queue, bob.id)
    await bob.expect_error("banned")
    await work(alice, queue)
    assert (await given(alice))["seq"] == mine["seq"]

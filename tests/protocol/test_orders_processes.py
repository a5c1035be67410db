"""A queue in two server processes on one PostgreSQL, with Redis for hints and without."""

from __future__ import annotations

import time
import uuid

import pytest

from chat.delivery import door
from chat.delivery.entries import SYSTEM, Draft
from tests.support import Client
from tests.support.client import Packet

from .conftest import OpenAt, Pair
from .queues import ban, done, fail, given, hand, make_queue, order, orders, watch, work


@pytest.fixture
def queue(pair: Pair) -> str:
    return make_queue(pair[0], max_attempts=2)


@pytest.fixture
async def clients(open_at: OpenAt) -> tuple[Client, Client]:
    """Alice on one process, Bob on the other."""
    return await open_at(0, "alice", "orders"), await open_at(1, "bob", "orders")


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
    pair: Pair, clients: tuple[Client, Client], queue: str
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
    lost = await hand(alice, alice, queue)
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
    pair: Pair, clients: tuple[Client, Client]
) -> None:
    alice, bob = clients
    queue = make_queue(pair[0], ordering="ordered")
    workers = {alice.id: alice, bob.id: bob}
    for worker in workers.values():
        await work(worker, queue, 10)
    await orders(alice, queue, 6)
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
    await orders(alice, queue, 3)
    assert [(await bob.expect("order:created"))["data"]["item"] for _ in range(3)] == [0, 1, 2]


async def test_a_ban_ends_work_in_every_process(
    pair: Pair, clients: tuple[Client, Client], queue: str
) -> None:
    alice, bob = clients
    mine = await hand(alice, bob, queue)
    pair[0].django(ban, queue, bob.id)
    await bob.expect_error("banned")
    await work(alice, queue)
    assert (await given(alice))["seq"] == mine["seq"]

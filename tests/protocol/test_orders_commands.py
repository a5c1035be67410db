"""Commands beside a running server: those who watch see them, and nobody gets in their way."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import Client, Server
from tests.support.worker import Conducted, Worker

from .queues import die, given, make_queue, order, watch, work

pytestmark = pytest.mark.namespace("orders")


@pytest.fixture
def conducted(tmp_path: Path) -> Iterator[Conducted]:
    with contextlib.closing(Conducted(tmp_path)) as command:
        yield command


@pytest.mark.each_server
async def test_watchers_hear_what_commands_do_in_its_order(
    server: Server, alice: Client, bob: Client
) -> None:
    queue = make_queue(server, alice.person, max_attempts=2)
    await watch(bob, queue)
    command = ["sh", "-c", "echo no gas >&2; test $ORDER_SEQ = 1"]
    with Worker(server, queue, "--user", alice.name, "--delay", "0", command=command):
        await asyncio.to_thread(server.manage, "order", queue, "soup")
        await order(alice, queue, "tea")
        dead = (await bob.expect("order:dead"))["data"]
    assert dead["seq"] == 2
    assert dead["reason"] == "exit status 1: no gas"
    assert dead["worker"] == {"id": alice.id, "name": alice.name}
    heard = [packet for packet in bob.packets if packet.get("event", "").startswith("order:")]
    events = {seq: [packet["event"] for packet in heard if packet["data"]["seq"] == seq] for seq in (1, 2)}
    assert events == {
        1: ["order:created", "order:leased", "order:done"],
        2: ["order:created", "order:leased", "order:failed", "order:leased", "order:dead"],
    }


async def test_a_person_who_works_in_a_browser_does_not_take_over_what_their_command_has(
    server: Server, alice: Client, conducted: Conducted
) -> None:
    queue = make_queue(server, alice.person)
    seq = await order(alice, queue)
    with Worker(server, queue, "--user", alice.name, "--drain", command=conducted.command) as worker:
        assert (await asyncio.to_thread(conducted.begun))[0] == seq
        assert await work(alice, queue) == []
        conducted.end()
        assert await asyncio.to_thread(worker.end) == 0
    assert worker.count("order done .*attempt=1") == 1


async def test_an_order_that_a_command_revives_goes_to_who_is_waiting(
    server: Server, alice: Client, bob: Client
) -> None:
    queue = make_queue(server, alice.person, max_attempts=1)
    seq = await die(alice, queue)
    await watch(bob, queue)
    await work(bob, queue)
    await asyncio.to_thread(server.manage, "deadletters", "revive", queue, str(seq))
    assert (await given(bob))["seq"] == seq
    assert (await bob.expect("order:revived"))["data"]["attempts"] == 0
    await bob.expect("order:leased")


async def test_the_next_order_of_an_ordered_queue_follows_when_a_command_has_done_the_first(
    server: Server, alice: Client, conducted: Conducted
) -> None:
    queue = make_queue(server, alice.person, ordering="ordered")
    first, second = [await order(alice, queue) for _ in range(2)]
    with Worker(server, queue, command=conducted.command) as worker:
        assert (await asyncio.to_thread(conducted.begun))[0] == first
        assert await work(alice, queue) == []
        worker.signal(signal.SIGTERM)
        await asyncio.to_thread(worker.said, "stopping")
        conducted.end()
        assert (await given(alice))["seq"] == second
        assert await asyncio.to_thread(worker.end) == 0

"""What a slow reader costs: a cursor, not memory; and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator

import pytest

from chat.errors import Close
from tests.conftest import Connect
from tests.support import Client, Server

from .acts import fill

KB, MB = 2**10, 2**20
BODY = 16 * KB


async def read_all(client: Client, room: str, head: int) -> None:
    """Read and acknowledge as a client does, up to `head`."""
    async for entry in client.entries(room):
        if entry["seq"] % 16 == 0 or entry["seq"] == head:
            await client.received(room, entry["seq"])
        if entry["seq"] == head:
            return


async def sees_leave(client: Client, other: Client) -> None:
    gone = {"user": {"id": other.id, "name": other.name}, "state": "offline"}
    while gone not in (await client.expect("presence"))["data"]["changes"]:
        pass


@pytest.fixture
async def slow(connect: Connect) -> Client:
    """A client in whose place the kernel takes little, once it stops reading."""
    return await connect("slow", kernel_buffer=16 * KB)


def stop_reading(client: Client) -> None:
    client.connection.transport.pause_reading()


def read_again(client: Client) -> None:
    with contextlib.suppress(RuntimeError):  # the server has cut the connection
        client.connection.transport.resume_reading()


@contextlib.contextmanager
def grows_by_at_most(server: Server, most: int) -> Iterator[None]:
    before = server.memory()
    yield
    assert server.memory() - before < most


@pytest.mark.each_server
async def test_a_client_that_acknowledges_nothing_is_sent_a_thousand_entries_and_no_more(
    server: Server, alice: Client, bob: Client
) -> None:
    room = server.room("window", [alice.person, bob.person], ack_wait=3600)
    server.django(fill, room, alice.id, 1500)
    await bob.join(room)
    await bob.gets_upto(room, 1000)
    await alice.say(room, "one more")
    await bob.call("rooms")
    assert bob.seqs(room) == list(range(1, 1001))
    await bob.received(room, 1000)
    await bob.gets(room, seq=1501)
    assert bob.seqs(room) == list(range(1, 1502))


@pytest.mark.each_server
async def test_a_client_that_acknowledges_nothing_is_sent_a_mebibyte_and_no_more(
    server: Server, alice: Client, bob: Client
) -> None:
    room = server.room("window", [alice.person, bob.person], ack_wait=3600)
    server.django(fill, room, alice.id, 80, BODY)
    await bob.join(room)
    await bob.gets(room, seq=50)
    await bob.call("rooms")
    came = len(bob.seqs(room))
    assert came * BODY <= MB
    await bob.received(room, came)
    await bob.gets(room, seq=80)
    assert bob.seqs(room) == list(range(1, 81))


@pytest.mark.each_server
@pytest.mark.shortened(
    hub__outbox__LIMIT=1.5 * MB, hub__outbox__GRACE=60, namespace__sockets__CLOSE_TIMEOUT=60
)
async def test_a_client_that_stops_reading_holds_up_nobody_else_and_is_closed_at_its_bound(
    server: Server, alice: Client, slow: Client
) -> None:
    room = server.room("slow", [alice.person, slow.person])
    await alice.join(room)
    await slow.join(room, ack=False)
    stop_reading(slow)
    server.django(fill, room, alice.id, 400, BODY)
    await read_all(alice, room, 400)
    read_again(slow)
    assert await slow.closed() == Close.TOO_SLOW
    assert (await slow.expect_error())["code"] == "too_slow"
    came = len(slow.seqs(room))
    assert came < 400
    assert slow.seqs(room) == list(range(1, came + 1)), "nothing follows the gap"


@pytest.mark.each_server
@pytest.mark.shortened(
    hub__outbox__STALL=1.0, hub__outbox__LIMIT=64 * MB, hub__outbox__GRACE=0.5, hub__transport__FAREWELL=1.0
)
async def test_a_client_that_takes_nothing_for_long_is_closed_and_resumes(
    server: Server, connect: Connect, alice: Client, slow: Client
) -> None:
    room = server.room("slow", [alice.person, slow.person])
    await alice.join(room)
    await slow.join(room, ack=False)
    stop_reading(slow)
    server.django(fill, room, alice.id, 500, BODY)
    await read_all(alice, room, 500)
    await sees_leave(alice, slow)
    read_again(slow)
    assert await slow.closed() == 1006
    top = len(slow.seqs(room))
    assert slow.seqs(room) == list(range(1, top + 1))
    back = await connect(slow)
    await back.join(room, after=top)
    await read_all(back, room, 500)
    assert back.seqs(room) == list(range(top + 1, 501))


@pytest.mark.each_server
@pytest.mark.shortened(hub__outbox__GRACE=0.5)
async def test_a_hundred_stalled_readers_of_a_busy_room_cost_little_memory(
    server: Server, connect: Connect, alice: Client
) -> None:
    room = server.room("busy", [alice.person])
    await alice.join(room)
    for client in await asyncio.gather(
        *(connect(person, kernel_buffer=16 * KB) for person in server.people(100))
    ):
        await client.join(room)
        stop_reading(client)
    with grows_by_at_most(server, 120 * MB):
        server.django(fill, room, alice.id, 600, BODY)
        await read_all(alice, room, 600)


@pytest.mark.each_server
@pytest.mark.shortened(hub__outbox__GRACE=0.5)
async def test_a_client_that_reads_nothing_and_asks_a_thousand_times_for_history_is_closed(
    server: Server, alice: Client, slow: Client
) -> None:
    room = server.room("history", [alice.person, slow.person])
    server.django(fill, room, alice.id, 20, BODY)
    await alice.join(room)
    await slow.join(room)
    await alice.call("history", {"room": room})
    stop_reading(slow)
    with grows_by_at_most(server, 40 * MB):
        for number in range(1000):
            await slow.send_raw(json.dumps({"event": "history", "data": {"room": room}, "id": number}))
        await sees_leave(alice, slow)

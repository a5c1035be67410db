"""Floods: of events, of acknowledgements, of connections."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.conftest import Connect, MakeServer
from tests.support import Client, Refused, Server

pytestmark = pytest.mark.each_server


@pytest.fixture
def server(server_kind: str, probes: Callable[[str], Server]) -> Server:
    """Its probe namespace lets in 50 events a second and 200 at once."""
    return probes(server_kind)


def codes(client: Client) -> Counter[str]:
    return Counter(packet["error"]["code"] for packet in client.packets if "error" in packet)


async def fill(client: Client, events: int, first: int = 1000) -> None:
    """Several frames' worth of events, and wait for the last one's answer."""
    numbers = range(first, first + events)
    for start in range(0, events, 500):
        lines = [json.dumps({"event": "echo", "id": number}) for number in numbers[start : start + 500]]
        await client.send_raw("\n".join(lines))
    await client.expect_ack(numbers[-1])


class TestEvents:
    async def test_past_the_burst_an_event_is_refused_for_now_and_told_when_to_come_again(
        self, connect: Connect
    ) -> None:
        client = await connect("alice", namespace="probe")
        await fill(client, 260)
        with pytest.raises(Refused) as refused:
            await client.call("echo")
        error = refused.value.error
        assert (error["code"], error["temporary"]) == ("rate_limited", True)
        assert 0 < error["retry_after"] < 3
        await asyncio.sleep(error["retry_after"])
        await client.call("echo")

    async def test_another_person_is_not_held_up(self, connect: Connect) -> None:
        alice, bob = [await connect(name, namespace="probe") for name in ("alice", "bob")]
        await fill(alice, 260)
        assert codes(alice)["rate_limited"] > 0
        await bob.call("echo")

    async def test_another_socket_of_the_same_person_is(self, connect: Connect) -> None:
        alice = await connect("alice", namespace="probe")
        again = await connect(alice, namespace="probe")
        await fill(alice, 260)
        with pytest.raises(Refused, match="rate_limited"):
            await again.call("echo")

    async def test_a_whole_burst_in_debt_is_closed_with_its_frames_unparsed(self, connect: Connect) -> None:
        client = await connect("alice", namespace="probe")
        await fill(client, 500)
        await client.send_raw("not even JSON")
        assert await client.closed() == 4004
        assert list(client.packets[-1]) == ["error"]
        assert client.packets[-1]["error"]["code"] == "rate_limited"
        assert codes(client)["bad_packet"] == 0
        # Coming back at once does not help.
        again = await connect(client, namespace="probe")
        assert await again.closed() == 4004
        assert again.hello == {}

    async def test_acks_and_received_cost_nothing_up_to_a_thousand(self, connect: Connect) -> None:
        client = await connect("alice", namespace="probe")
        await client.send_raw("\n".join(['{"ack":1}'] * 900))
        for _ in range(150):
            await client.call("echo")
        assert codes(client) == {}

    async def test_a_flood_of_acks_ends_as_one_of_events_does(self, connect: Connect) -> None:
        client = await connect("alice", namespace="probe")
        frame = "\n".join(['{"ack":1}'] * 1000)
        for _ in range(4):
            await client.send_raw(frame)
        assert await client.closed() == 4004

    async def test_frames_that_are_too_large_count_as_events(self, connect: Connect) -> None:
        client = await connect("alice", namespace="probe")
        frame = "x" * 65_537
        with contextlib.suppress(ConnectionClosed):
            for _ in range(1500):
                await client.send_raw(frame)
        assert await client.closed() == 4004
        assert codes(client)["too_large"] >= 200


class TestOrder:
    async def test_a_senders_order_outlives_the_rate_limit(
        self, make_server: MakeServer, server_kind: str
    ) -> None:
        """The client waits for all answers and sends again from the first unanswered one."""
        server = make_server(server_kind, env={"RATE_LIMIT": "40/s:30"}).start()
        client = await Client.open(server.ws, token=server.person("alice").token)
        room = server.room(members=[client])
        await client.join(room)
        wanted = [f"message-{number}" for number in range(45)]
        pending = list(wanted)
        while pending:
            answers = [
                await client.submit("message", {"room": room, "client_id": each, "body": each})
                for each in pending
            ]
            results = await asyncio.gather(*answers, return_exceptions=True)
            stored = [isinstance(result, dict) for result in results]
            accepted = stored.index(False) if False in stored else len(stored)
            assert not any(stored[accepted:]), "a later message passed one that was refused"
            refusals = [result.error for result in results[accepted:] if isinstance(result, Refused)]
            for error in refusals:
                assert error["temporary"]
                assert error.get("behind", pending[accepted]) == pending[accepted]
            pending = pending[accepted:]
            await asyncio.sleep(max((error.get("retry_after", 0) for error in refusals), default=0))
        await client.gets(room, body=wanted[-1])
        assert client.bodies(room) == wanted
        await client.drop()

    async def test_a_moderators_deletion_does_not_pass_a_message_that_was_refused_for_now(
        self, make_server: MakeServer, server_kind: str
    ) -> None:
        server = make_server(server_kind, env={"RATE_LIMIT": "2/s:3"}).start()
        owner, bob = [await Client.open(server.ws, token=server.person(name).token) for name in ("o", "b")]
        room = server.room(members=[owner, bob])
        delete = {"room": room, "client_id": "delete", "target": (await bob.say(room, "rude"))["seq"]}
        with pytest.raises(Refused, match="rate_limited") as refused:
            for number in range(20):
                await owner.say(room, "hello", client_id=f"message-{number}")
        await asyncio.sleep(
            refused.value.error["retry_after"] + 1
        )  # of the bucket alone, which nothing tells about
        with pytest.raises(Refused, match="unavailable") as behind:
            await owner.call("delete", delete)
        assert behind.value.error["behind"] == f"message-{number}"
        seq = (await owner.say(room, "hello", client_id=f"message-{number}"))["seq"]
        assert (await owner.call("delete", delete))["seq"] == seq + 1
        for client in (owner, bob):
            await client.drop()


class TestConnections:
    async def test_a_flood_from_one_address_is_sent_away_for_now(
        self, make_server: MakeServer, server_kind: str
    ) -> None:
        options: Any = {"app": "tests.protocol.probe:application", "env": {"CONNECTIONS": "0.1/s:20"}}
        server = make_server(server_kind, **options).start()
        token = server.person("alice").token
        for number in range(20):
            client = await Client.open(server.ws, token=token if number % 2 else "wrong")
            assert bool(client.hello) == bool(number % 2)
            await client.drop()
        client = await Client.open(server.ws, token=token)
        assert await client.closed() == 4004
        (packet,) = client.packets
        assert packet["error"]["code"] == "rate_limited"
        assert 0 < packet["error"]["retry_after"] <= 20


class TestTurnedOff:
    async def test_with_rate_limit_off_nothing_is_limited(
        self, make_server: MakeServer, server_kind: str
    ) -> None:
        options: Any = {"app": "tests.protocol.probe:application", "env": {"RATE_LIMIT": "off"}}
        server = make_server(server_kind, **options).start()
        client = await Client.open(server.ws, "probe", token=server.person("alice").token)
        began = time.monotonic()
        await fill(client, 1500)
        assert codes(client) == {}, time.monotonic() - began
        await client.drop()


class TestSlowReaders:
    """A client that reads nothing costs a bounded amount of memory and is closed."""

    async def test_one_that_reads_nothing_is_closed_as_too_slow(
        self, make_server: MakeServer, server_kind: str
    ) -> None:
        options: Any = {"app": "tests.protocol.probe:application", "env": {"RATE_LIMIT": "off"}}
        server = make_server(server_kind, **options).start()
        client = await Client.open(server.ws, "probe", token=server.person("alice").token)
        before = server.memory()
        client.connection.transport.pause_reading()
        packet = json.dumps({"event": "echo", "data": {"value": "x" * 60_000}, "id": 1000})
        peak = before
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(5):  # uvicorn stops reading, and the client waits
                for _ in range(1000):
                    await client.send_raw(packet)
                    peak = max(peak, server.memory())
        assert peak - before < 40 * 1024 * 1024
        client.connection.transport.resume_reading()
        assert await client.closed() in (4002, 1006)

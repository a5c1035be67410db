"""The message arrives, its answer doesn't."""

from __future__ import annotations

import asyncio

import pytest

from tests.conftest import Connect
from tests.support import Proxy, Server
from tests.support.client import Closed

pytestmark = pytest.mark.each_server


async def test_a_message_whose_ack_was_lost_is_answered_with_its_first_place(
    server: Server, connect: Connect, room: str
) -> None:
    bob = await connect("bob")
    await bob.join(room)
    async with Proxy(server.port) as proxy:
        alice = await connect("alice", via=proxy)
        await alice.join(room)
        proxy.lose_answer()
        with pytest.raises(Closed):
            await alice.say(room, "hello", client_id="one")
        first = await bob.gets(room, body="hello")
        alice = await connect(alice, via=proxy)
        again = await alice.say(room, "hello", client_id="one")
    assert again == {"room": room, "seq": first["seq"], "client_id": "one", "duplicate": True}
    fence = await bob.say(room, "next")
    await bob.gets_upto(room, fence["seq"])
    assert bob.bodies(room) == ["hello", "next"]


async def test_a_pipeline_that_is_cut_is_sent_again_in_order_and_once(
    server: Server, connect: Connect, room: str
) -> None:
    bob = await connect("bob")
    await bob.join(room)
    async with Proxy(server.port) as proxy:
        alice = await connect("alice", via=proxy)
        await alice.join(room)
        messages = [{"room": room, "client_id": f"c{n}", "body": f"{n}"} for n in range(40)]
        answers = [await alice.submit("message", message) for message in messages]
        await bob.gets(room, body="5")
        proxy.cut()
        answered = [
            not isinstance(a, Exception) for a in await asyncio.gather(*answers, return_exceptions=True)
        ]
        alice = await connect(alice, via=proxy)
        first = answered.index(False) if False in answered else len(messages)
        for message in messages[first:]:
            await alice.call("message", message)
    await bob.gets(room, body="39")
    assert bob.bodies(room) == [f"{n}" for n in range(40)]

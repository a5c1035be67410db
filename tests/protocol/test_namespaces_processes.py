"""The API of sockets and namespaces across two server processes on one PostgreSQL.

With Redis everything reaches both. Without it what goes at most once stays in its process, and
what goes through the control log still reaches both, within about a second.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chat.emit import emit
from tests.conftest import MakeServer
from tests.stage.calls import namespace, socket
from tests.support import Client
from tests.support.server import fresh

from .conftest import OpenAt, Pair


@pytest.fixture(scope="module")
def pair_options() -> dict[str, Any]:
    return {"env": {"DJANGO_SETTINGS_MODULE": "tests.extended"}}


with_redis = pytest.mark.parametrize("pair", ["redis"], indirect=True)
without_redis = pytest.mark.parametrize("pair", ["no redis"], indirect=True)


@pytest.fixture
async def clients(open_at: OpenAt) -> tuple[Client, Client]:
    """Alice in one process, Bob in the other."""
    return await open_at(0, "alice", "stage"), await open_at(1, "bob", "stage")


@pytest.fixture
def room() -> str:
    return fresh("room")


async def join(room: str, *clients: Client) -> None:
    for client in clients:
        await client.call("join", {"room": room})


def sid(client: Client) -> str:
    return str(client.hello["sid"])


async def asking(calls: Any) -> Any:
    return await calls


def bells(client: Client) -> list[Any]:
    return [packet["data"] for packet in client.packets if packet.get("event") == "bell"]


@with_redis
class TestWithRedis:
    async def test_events_reach_rooms_people_and_sockets_of_every_process(
        self, clients: tuple[Client, Client], room: str
    ) -> None:
        alice, bob = clients
        await join(room, alice, bob)
        await namespace(alice).to(room).emit("bell", 1)
        await socket(alice).broadcast.emit("bell", 2)
        await namespace(alice).to(f"user:{bob.id}").emit("bell", 3)
        await namespace(alice).to(sid(bob)).volatile.emit("bell", 4)
        await namespace(alice).to(room).except_(sid(bob)).emit("bell", 5)
        await namespace(alice).to(room).local.emit("bell", 6)
        await namespace(alice).to(room).emit("bell", 7)
        await bob.expect("bell", data=7)
        await alice.expect("bell", data=7)
        assert bells(bob) == [1, 2, 3, 4, 7]
        assert bells(alice) == [1, 5, 6, 7]

    async def test_acks_come_from_every_process(self, clients: tuple[Client, Client], room: str) -> None:
        alice, bob = clients
        await join(room, alice, bob)
        call = namespace(alice).to(room).emit("ready?", ack=True, timeout=5.0)
        asked = asyncio.ensure_future(asking(call))
        for client in clients:
            await client.ack((await client.expect("ready?"))["id"], client.name)
        expected = {sid(alice): alice.name, sid(bob): bob.name}
        assert await asked == {"answers": expected, "missing": []}
        asked = asyncio.ensure_future(asking(namespace(alice).to(room).emit("ready?", ack=True, timeout=1.0)))
        await alice.ack((await alice.expect("ready?"))["id"], "yes")
        assert await asked == {"answers": {sid(alice): "yes"}, "missing": [sid(bob)]}

    async def test_sockets_of_every_process_are_fetched(
        self, clients: tuple[Client, Client], room: str
    ) -> None:
        alice, bob = clients
        await join(room, alice, bob)
        found = {each["id"]: each for each in await namespace(alice).to(room).fetch_sockets()}
        assert found.keys() == {sid(alice), sid(bob)}
        assert found[sid(bob)]["user"]["name"] == bob.name
        assert found[sid(alice)]["process"] != found[sid(bob)]["process"]
        (local,) = await namespace(alice).to(room).local.fetch_sockets()
        assert local["id"] == sid(alice)

    async def test_a_namespace_talks_to_itself_in_the_other_processes(
        self, clients: tuple[Client, Client]
    ) -> None:
        alice, bob = clients
        word = fresh("word")
        await namespace(alice).server_emit("cue", {"word": word})
        await bob.expect("cue heard", word=word)
        assert {"word": word} in await bob.call("heard")
        assert {"word": word} not in await alice.call("heard")

    async def test_every_process_is_waited_for_and_one_that_is_gone_not_for_long(
        self, pair: Pair, clients: tuple[Client, Client], new_server: MakeServer, room: str
    ) -> None:
        alice, bob = clients
        await join(room, alice, bob)
        env = {"REDIS_URL": pair[0].environment["REDIS_URL"], "DJANGO_SETTINGS_MODULE": "tests.extended"}
        with new_server("uvicorn", database_url=pair[0].database_url, env=env) as third:
            charlie = await Client.open(third.ws, "stage", token=third.person("charlie").token)
            await join(room, charlie)
            asked = asyncio.ensure_future(
                asking(namespace(alice).to(room).emit("ready?", ack=True, timeout=20.0))
            )
            for client in (alice, bob, charlie):  # the third process answers when the second has
                await client.ack((await client.expect("ready?"))["id"], client.name)
                await client.call("direct")
            everyone = {sid(client): client.name for client in (alice, bob, charlie)}
            assert await asked == {"answers": everyone, "missing": []}
            third.kill()
        found = await namespace(alice).to(room).fetch_sockets()
        assert {each["id"] for each in found} == {sid(alice), sid(bob)}


@without_redis
class TestWithoutRedis:
    async def test_what_goes_at_most_once_stays_in_its_process(
        self, clients: tuple[Client, Client], room: str
    ) -> None:
        alice, bob = clients
        await join(room, alice, bob)
        await namespace(alice).to(room).emit("bell", 1)
        await namespace(bob).to(room).emit("bell", 2)
        await alice.expect("bell", data=1)
        await bob.expect("bell", data=2)
        assert [each["id"] for each in await namespace(alice).to(room).fetch_sockets()] == [sid(alice)]
        assert bells(alice) == [1]
        assert bells(bob) == [2]


class TestThroughTheControlLog:
    """With Redis and without."""

    async def test_sockets_of_every_process_are_moved(
        self, clients: tuple[Client, Client], room: str
    ) -> None:
        alice, bob = clients
        await join(room, alice, bob)
        await namespace(alice).to(room).local.sockets_join("Here")
        await namespace(alice).to(room).sockets_join("Third")
        await until_in(bob, {room, "Third"})
        await namespace(alice).to(room).sockets_leave("Here")
        await namespace(alice).to("Third").except_(sid(alice)).sockets_leave(room)
        await until_in(bob, {"Third"})
        assert set(await socket(alice).rooms) == {room, "Third"}

    async def test_sockets_of_every_process_are_disconnected(
        self, clients: tuple[Client, Client], room: str
    ) -> None:
        alice, bob = clients
        await join(room, bob)
        await namespace(alice).to(room).disconnect_sockets(4509)
        assert (await bob.expect_error())["code"] == "kicked"
        assert await bob.closed() == 4509
        assert await alice.call("direct") == "past the middleware"

    async def test_an_event_from_a_command_reaches_every_process(
        self, clients: tuple[Client, Client], room: str, pair: Pair
    ) -> None:
        alice, bob = clients
        await join(room, alice, bob)
        pair[0].django(emit, "/stage", "bell", {"rings": 2}, to=room)
        for client in clients:
            assert (await client.expect("bell"))["data"] == {"rings": 2}
        assert bells(alice) == bells(bob) == [{"rings": 2}]


async def until_in(client: Client, rooms: set[str]) -> None:
    async with asyncio.timeout(10):
        while set(await socket(client).rooms) != rooms:
            pass

"""SIGTERM: what was taken in is stored and answered, then everyone is sent away to come back."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from chat.errors import Close
from chat.models import Membership, Message
from tests.conftest import Connect, MakeServer
from tests.support import Client, Server
from tests.support.client import Closed

from .acts import fill

pytestmark = pytest.mark.each_server


@pytest.fixture
def server(server_kind: str, make_server: MakeServer) -> Server:
    """One of the test's own, since it is stopped."""
    return make_server(server_kind, env={"RATE_LIMIT": "off"}).start()


@contextmanager
def writing_is_held_up(server: Server) -> Iterator[None]:
    """Another process is in a transaction, so that nothing can be stored."""

    def execute(sql: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql)

    server.django(execute, "BEGIN IMMEDIATE")
    try:
        yield
    finally:
        server.django(execute, "COMMIT")


def stored(slug: str) -> set[str]:
    return set(Message.objects.filter(room__slug=slug).values_list("client_id", flat=True))


async def acked(futures: dict[str, asyncio.Future[dict[str, int]]]) -> set[str]:
    answers = await asyncio.gather(*futures.values(), return_exceptions=True)
    for answer in answers:
        assert isinstance(answer, dict | Closed), answer
    return {name for name, answer in zip(futures, answers, strict=True) if isinstance(answer, dict)}


async def test_what_was_taken_in_is_stored_and_answered_before_the_sockets_close(
    server: Server, alice: Client, bob: Client
) -> None:
    room = server.room("room", [alice.person, bob.person])
    await bob.join(room)
    futures = {}
    for number in range(500):
        data = {"room": room, "client_id": f"c{number}", "body": "hello"}
        futures[f"c{number}"] = await alice.submit("message", data)
    began = time.monotonic()
    assert await asyncio.to_thread(server.stop) == ended_by(server)
    assert time.monotonic() - began < 30
    for client in (alice, bob):
        assert await client.closed() == Close.GOING_AWAY
        error = await client.expect_error("unavailable")
        assert error["temporary"] is True
    answered = await acked(futures)
    assert answered
    assert answered == server.django(stored, room)


def ended_by(server: Server) -> int:
    """Daphne ends by itself, uvicorn raises the signal again."""
    return 0 if server.kind == "daphne" else -signal.SIGTERM


async def test_a_stop_waits_for_what_can_not_be_stored_yet_and_lets_nobody_in_meanwhile(
    server: Server, connect: Connect, alice: Client
) -> None:
    room, person = server.room("room", [alice.person]), server.person("late")
    with writing_is_held_up(server):
        data = {"room": room, "client_id": "one", "body": "hello"}
        answer = await alice.submit("message", data)
        await alice.call("history", {"room": room})  # it has been taken in
        stopping = asyncio.create_task(asyncio.to_thread(server.stop))
        while (late := await connect(person)).hello:  # until the signal has come
            await late.drop()
        assert (await late.expect_error("unavailable"))["temporary"] is True
        assert await late.closed() == Close.GOING_AWAY
        assert not answer.done()
    assert (await answer)["seq"] == 1
    assert await alice.closed() == Close.GOING_AWAY
    await stopping


async def test_cursors_are_written_before_the_end(server: Server, alice: Client, bob: Client) -> None:
    room = server.room("room", [alice.person, bob.person])
    server.django(fill, room, alice.id, 100)
    await bob.join(room)
    for upto in range(1, 101):
        await bob.gets(room, seq=upto)
        await bob.received(room, upto)
    await bob.call("read", {"room": room, "seq": 50})
    await asyncio.to_thread(server.stop)
    member = server.django(Membership.objects.get, room__slug=room, user=bob.id)
    assert (member.received, member.read) == (100, 50)


async def test_everyone_comes_back_where_they_were_after_a_restart(
    server: Server, connect: Connect, alice: Client, bob: Client
) -> None:
    room = server.room("room", [alice.person, bob.person])
    await bob.join(room)
    await alice.say(room, "before")
    await bob.gets(room, seq=1)
    await asyncio.to_thread(server.stop)
    assert await bob.closed() == Close.GOING_AWAY
    server.django(fill, room, alice.id, 1)
    server.start()
    back = await connect(bob)
    await back.join(room, after=1)
    await (await connect(alice)).say(room, "after")
    await back.gets(room, seq=3)
    assert back.seqs(room) == [2, 3]


async def test_every_worker_sends_its_sockets_away(make_server: MakeServer) -> None:
    server = make_server("uvicorn", env={"RATE_LIMIT": "off", "WEB_CONCURRENCY": "2"}).start()
    person = server.person("alice")
    clients = [await Client.open(server.ws, token=person.token) for _ in range(10)]
    await asyncio.to_thread(server.stop)
    assert {await client.closed() for client in clients} == {Close.GOING_AWAY}

"""`/users`: who comes online and goes, told once, across tabs and server processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import ExitStack
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction

from chat.models import LastSeen, Message, Presence, Process
from chat.services import presence
from tests.conftest import Connect, MakeServer
from tests.support import Client, Person, Server

from .conftest import Pair
from .shortened import shortened

#: Seconds; the real ones are five times as long.
SHORT = {
    "services__presence__TIMEOUT": 3.0,
    "services__presence__GRACE": 1.0,
    "hub__processes__BEAT": 0.5,
    "hub__presence__CHECK": 1.0,
}

EVENTS = ("user:connected", "user:disconnected")


def told(client: Client, person: Person) -> list[str]:
    """What this client has heard of a person so far."""
    return [
        packet["event"]
        for packet in client.packets
        if packet.get("event") in EVENTS and packet["data"]["user"]["id"] == person.id
    ]


async def hears(client: Client, event: str, person: Person) -> None:
    await client.expect(event, user={"id": person.id, "name": person.name})


async def hears_all_so_far(client: Client, server: Server, connect: Connect) -> None:
    """Someone else comes and goes; whatever was to be told before has been told then."""
    other = await connect("other", via=server)
    await hears(client, "user:connected", other.person)
    await other.close()
    await hears(client, "user:disconnected", other.person)


async def online(client: Client, person: Person) -> bool:
    (shown,) = (await client.call("user:list", {"query": person.name}))["users"]
    return bool(shown["online"])


# One process


@pytest.fixture
async def watcher(connect: Connect) -> Client:
    return await connect("watcher", namespace="users")


@pytest.mark.each_server
@pytest.mark.shortened(**SHORT)
class TestOneProcess:
    async def test_a_second_tab_is_no_arrival_and_a_reload_no_departure(
        self, server: Server, watcher: Client, connect: Connect
    ) -> None:
        alice = await connect("alice")
        await hears(watcher, "user:connected", alice.person)
        tab = await connect(alice, namespace="users")
        await alice.close()
        await tab.close()
        again = await connect(alice)
        await hears_all_so_far(watcher, server, connect)
        assert told(watcher, again.person) == ["user:connected"]
        assert await online(watcher, again.person)

    async def test_a_person_goes_once_their_last_socket_has_gone(
        self, watcher: Client, connect: Connect
    ) -> None:
        alice = await connect("alice", namespace="users")
        tab = await connect(alice)
        await hears(watcher, "user:connected", alice.person)
        await asyncio.gather(alice.drop(), tab.drop())
        await hears(watcher, "user:disconnected", alice.person)
        assert not await online(watcher, alice.person)
        assert told(watcher, alice.person) == list(EVENTS)

    async def test_one_who_is_refused_was_never_here(
        self, server: Server, watcher: Client, connect: Connect
    ) -> None:
        alice = server.person()
        stranger = await connect(alice, by="cookie", origin="https://elsewhere.example")
        await stranger.expect_error("forbidden")
        await hears_all_so_far(watcher, server, connect)
        assert told(watcher, alice) == []

    async def test_those_who_come_together_cost_a_few_statements(
        self, server: Server, watcher: Client, connect: Connect
    ) -> None:
        people = server.people(60)
        await asyncio.gather(*(connect(person) for person in people))
        await asyncio.gather(*(hears(watcher, "user:connected", person) for person in people))
        assert server.django(entries_about, {person.id for person in people}) <= 10

    async def test_one_whose_account_is_deleted_goes_at_once(
        self, server: Server, watcher: Client, connect: Connect
    ) -> None:
        alice = await connect("alice")
        await hears(watcher, "user:connected", alice.person)
        server.django(delete_account, alice.person)
        await hears(watcher, "user:disconnected", alice.person)
        await alice.closed()
        await hears_all_so_far(watcher, server, connect)
        assert told(watcher, alice.person) == list(EVENTS)

    async def test_rows_that_a_restore_lost_come_back_and_nobody_notices(
        self, server: Server, watcher: Client, connect: Connect
    ) -> None:
        alice = await connect("alice")
        await hears(watcher, "user:connected", alice.person)
        server.django(lambda: Process.objects.all().delete())
        while not server.django(is_stored, alice.person):  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.05)
        assert await online(watcher, alice.person)
        await alice.close()
        await hears(watcher, "user:disconnected", alice.person)


def entries_about(users: set[int]) -> int:
    """Entries of the control log that tell of these people."""
    found = Message.objects.filter(kind="control", extra__contains='"presence"').values_list(
        "extra", flat=True
    )
    return sum(any(person["id"] in users for person in json.loads(extra)["came"]) for extra in found)


def delete_account(person: Person) -> None:
    get_user_model().objects.get(pk=person.id).delete()


def is_stored(person: Person) -> bool:
    return Presence.objects.filter(user=person.id).exists()


# Stops and crashes


@pytest.fixture
def lone(make_server: MakeServer) -> Server:
    """A server of a test's own, since it is stopped."""
    return make_server("uvicorn", **shortened(**SHORT)).start()


async def test_a_restart_is_no_departure_of_those_who_come_back(lone: Server, connect: Connect) -> None:
    alice, bob = lone.person("alice"), lone.person("bob")
    watcher = await connect("watcher", via=lone, namespace="users")
    await asyncio.gather(connect(alice, via=lone), connect(bob, via=lone))
    await asyncio.gather(*(hears(watcher, "user:connected", each) for each in (alice, bob)))
    lone.stop()
    assert lone.django(Process.objects.count) == 1  # its people may come back
    lone.start()
    watcher = await connect("watcher", via=lone, namespace="users")
    await connect(alice, via=lone)
    await hears(watcher, "user:disconnected", bob)  # who doesn't
    await hears_all_so_far(watcher, lone, connect)
    assert told(watcher, alice) == []
    assert await online(watcher, alice)
    assert lone.django(Process.objects.count) == 1
    assert lone.django(LastSeen.objects.filter(user=bob.id).exists)


async def test_a_process_without_people_leaves_no_row_when_it_stops(lone: Server) -> None:
    assert lone.django(Process.objects.count) == 1
    lone.stop()
    assert lone.django(Process.objects.count) == 0


# Two processes


@pytest.fixture(scope="module")
def pair_options() -> dict[str, Any]:
    return shortened(**SHORT)


@pytest.fixture
async def both(pair: Pair, connect: Connect) -> list[Client]:
    """A client of `/users` at each process."""
    return [await connect("watcher", via=server, namespace="users") for server in pair]


# The fixture `connect` makes people on the shared server unless it is told otherwise.
@pytest.fixture
def server(request: pytest.FixtureRequest, server_kind: str) -> Server:
    if "pair" in request.fixturenames:
        return request.getfixturevalue("pair")[0]
    if "lone" in request.fixturenames:
        return request.getfixturevalue("lone")
    marker = request.node.get_closest_marker("shortened")
    running: Server = request.getfixturevalue("shortened_servers")(server_kind, **marker.kwargs)
    return running


async def test_one_who_comes_to_both_processes_comes_once_and_goes_once(
    pair: Pair, both: list[Client], connect: Connect
) -> None:
    alice = pair[0].person()
    tabs = await asyncio.gather(*(connect(alice, via=server) for server in pair for _ in range(3)))
    for watcher in both:
        await hears(watcher, "user:connected", alice)
    for tab in tabs[:3]:
        await tab.close()
    for watcher in both:
        await hears_all_so_far(watcher, pair[0], connect)
        assert told(watcher, alice) == ["user:connected"]
    await asyncio.gather(*(tab.close() for tab in tabs[3:]))
    for watcher in both:
        await hears(watcher, "user:disconnected", alice)
    for watcher in both:
        await hears_all_so_far(watcher, pair[1], connect)
        assert told(watcher, alice) == list(EVENTS)


async def test_one_who_moves_to_the_other_process_is_not_noticed(
    pair: Pair, both: list[Client], connect: Connect
) -> None:
    alice = await connect("alice", via=pair[0])
    for watcher in both:
        await hears(watcher, "user:connected", alice.person)
    await alice.close()
    moved = await connect(alice, via=pair[1])
    for watcher in both:
        await hears_all_so_far(watcher, pair[0], connect)
        assert told(watcher, moved.person) == ["user:connected"]


async def test_many_who_come_to_both_at_once_are_each_told_once(
    pair: Pair, both: list[Client], connect: Connect
) -> None:
    people = pair[0].people(40)
    await asyncio.gather(*(connect(person, via=server) for person in people for server in pair))
    for watcher in both:
        await asyncio.gather(*(hears(watcher, "user:connected", person) for person in people))
        await hears_all_so_far(watcher, pair[0], connect)
        assert [told(watcher, person) for person in people] == [["user:connected"]] * 40


async def test_of_two_processes_that_write_at_once_the_second_sees_what_the_first_wrote(
    pair: Pair, both: list[Client], connect: Connect
) -> None:
    alice = pair[0].person()
    await hears_all_so_far(both[0], pair[1], connect)  # now nobody else has anything to write
    first = pair[0].django(comes_in_an_open_transaction, alice)
    try:
        await connect(alice, via=pair[1])
        while not pair[1].django(someone_waits_for_a_lock):  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.02)
    finally:
        pair[0].django(first.close)
    for watcher in both:
        await hears(watcher, "user:connected", alice)
        await hears_all_so_far(watcher, pair[0], connect)
        assert told(watcher, alice) == ["user:connected"]


def comes_in_an_open_transaction(person: Person) -> ExitStack:
    """To a third process. Closing what is returned commits."""
    open_transaction = ExitStack()
    open_transaction.enter_context(transaction.atomic())
    presence.register("third")
    presence.change("third", [person.id], [])
    return open_transaction


def someone_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return cursor.fetchone() is not None


async def test_a_process_that_was_paused_for_too_long_comes_back_with_its_people(
    pair: Pair, both: list[Client], connect: Connect
) -> None:
    alice = await connect("alice", via=pair[0])
    for watcher in both:
        await hears(watcher, "user:connected", alice.person)
    os.kill(pair[0].pid, signal.SIGSTOP)
    try:
        await hears(both[1], "user:disconnected", alice.person)
        assert not await online(both[1], alice.person)
    finally:
        os.kill(pair[0].pid, signal.SIGCONT)
    await hears(both[1], "user:connected", alice.person)
    assert await alice.call("rooms")
    await hears_all_so_far(both[0], pair[0], connect)
    for watcher in both:
        assert told(watcher, alice.person) == [*EVENTS, "user:connected"]


async def test_the_people_of_a_process_that_is_killed_go_after_the_time_out(
    pair: Pair, both: list[Client], connect: Connect
) -> None:
    alice, bob = pair[0].person("alice"), pair[0].person("bob")
    await asyncio.gather(connect(alice, via=pair[0]), connect(bob, via=pair[0]), connect(bob, via=pair[1]))
    watcher = both[1]
    await asyncio.gather(*(hears(watcher, "user:connected", each) for each in (alice, bob)))
    pair[0].kill()
    try:
        assert await online(watcher, alice)
        await hears(watcher, "user:disconnected", alice)
        assert told(watcher, bob) == ["user:connected"]  # is at the other one, too
        assert await online(watcher, bob)
        assert pair[1].django(Process.objects.count) == 1
    finally:
        pair[0].start()

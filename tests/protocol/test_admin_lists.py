"""What the staff see of the site: people, rooms, sockets and counts.

Alice is one of the staff, Bob a member, Charlie an outsider.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from chat.models import Ban, DeadLetter, Report, Room
from tests.conftest import Connect
from tests.support import Client, Server


@pytest.fixture
async def alice(server: Server, connect: Connect) -> Client:
    return await connect(server.person("alice", staff=True), namespace="admin")


async def pages(client: Client, event: str, key: str, **data: Any) -> list[dict[str, Any]]:
    """All of a list, page after page."""
    found: list[dict[str, Any]] = []
    more: dict[str, Any] = {}
    while True:
        reply = await client.call(event, {**data, **more})
        found += reply[key]
        if not reply["more"]:
            return found
        more = {"after": reply["next"]}


async def test_people_are_listed_with_what_the_staff_need_to_know(
    server: Server, alice: Client, bob: Client
) -> None:
    mark = secrets.token_hex(4)
    banned, expired, gone = (server.person(f"{mark}-{each}") for each in ("banned", "expired", "gone"))

    def prepare() -> None:
        Ban.objects.create(user_id=banned.id)
        Ban.objects.bulk_create([Ban(user_id=expired.id, until=timezone.now() - timedelta(seconds=1))])
        User.objects.filter(pk=gone.id).update(is_active=False, email="gone@example.org")

    server.django(prepare)
    found = await pages(alice, "user:list", "users", query=mark.upper(), limit=2)
    assert [each["name"] for each in found] == [banned.name, expired.name, gone.name]
    assert [each["banned"] for each in found] == [True, False, False]
    assert [each["active"] for each in found] == [True, True, False]
    assert found[0] == {
        "id": banned.id, "name": banned.name, "staff": False, "active": True,
        "online": False, "last_seen": None, "banned": True,
    }  # fmt: skip
    (me,) = (await alice.call("user:list", {"query": alice.name}))["users"]
    assert me["staff"]
    everyone = await pages(alice, "user:list", "users", limit=100)
    assert {alice.name, bob.name, banned.name} <= {each["name"] for each in everyone}
    assert "system" not in {each["name"] for each in everyone}


async def test_who_is_online_is_listed_so(server: Server, alice: Client, connect: Connect) -> None:
    watcher = await connect(alice, namespace="users")
    bob = await connect("bob")
    await watcher.expect("user:connected", user={"id": bob.id, "name": bob.name})
    (listed,) = (await alice.call("user:list", {"query": bob.name}))["users"]
    assert listed["online"] and listed["last_seen"]


async def test_rooms_are_listed_private_and_closed_ones_too(
    server: Server, alice: Client, bob: Client
) -> None:
    mark = secrets.token_hex(4)
    private = server.room(f"{mark}-a", [bob.person], private=True)
    closed = server.room(f"{mark}-b", [], closed_at=timezone.now())
    await bob.say(private, "hello")
    found = {each["room"]: each for each in await pages(alice, "room:list", "rooms", limit=1)}
    assert found[private] == {
        "room": private, "name": private, "kind": "fanout", "ordering": "ordered", "private": True,
        "closed": False, "members": 1, "head": 1, "first": 1, "slow_mode": 0,
    }  # fmt: skip
    assert found[closed]["closed"]
    server.django(lambda: Room.objects.create(namespace="orders", slug=f"{mark}-q", kind="queue"))
    queues = await pages(alice, "room:list", "rooms", namespace="orders")
    assert f"{mark}-q" in {each["room"] for each in queues} and f"{mark}-q" not in found


async def test_sockets_are_listed_with_who_and_where_they_are(
    server: Server, connect: Connect, alice: Client, bob: Client
) -> None:
    room = server.room("room", [bob.person])
    await bob.join(room)
    found = {each["sid"]: each for each in await pages(alice, "sockets:list", "sockets", limit=1)}
    listed = found[bob.hello["sid"]]
    assert listed["user"] == {"id": bob.id, "name": bob.name}
    assert (listed["namespace"], listed["rooms"]) == ("chat", [room])
    assert found[alice.hello["sid"]]["namespace"] == "admin"
    await bob.drop()
    await connect("charlie")
    left = {each["sid"] for each in await pages(alice, "sockets:list", "sockets")}
    assert bob.hello["sid"] not in left


async def test_stats_count_what_there_is(
    server: Server, connect: Connect, alice: Client, bob: Client
) -> None:
    before = await alice.call("stats")
    room = server.room("room", [bob.person])
    for number in range(3):
        await bob.say(room, str(number))
    await connect("charlie")

    def prepare() -> None:
        found = Room.objects.get(slug=room)
        DeadLetter.objects.create(room=found, user_id=bob.id, first=1, last=1, reason="max_deliver")
        Report.objects.create(room=found, seq=1, reporter_id=bob.id, reason="rude")
        Report.objects.create(room=found, seq=2, reporter_id=bob.id, reason="rude", state="resolved")

    server.django(prepare)
    after = await alice.call("stats")
    grown = {key: after[key] - before[key] for key in ("rooms", "entries", "dead_letters", "open_reports")}
    assert grown == {"rooms": 1, "entries": 3, "dead_letters": 1, "open_reports": 1}
    assert after["sockets"]["chat"] == before["sockets"]["chat"] + 1
    assert set(after["orders"]) == {"queued", "leased", "dead"}
    assert after["online"] >= 0


async def test_a_queue_can_be_moderated_like_a_room(
    server: Server, connect: Connect, alice: Client, bob: Client
) -> None:
    worker = await connect(bob, namespace="orders")
    queue = f"queue-{secrets.token_hex(4)}"
    await worker.call("queue:create", {"queue": queue})
    await alice.call("user:ban", {"user": bob.id, "room": queue, "namespace": "orders", "reason": "spam"})
    error = await worker.refusal("order:work", {"queue": queue})
    assert error["code"] == "banned"
    await alice.call("user:unban", {"user": bob.id, "room": queue, "namespace": "orders"})
    await alice.call("room:close", {"room": queue, "namespace": "orders"})
    error = await worker.refusal("order:create", {"queue": queue, "client_id": "c1", "item": 1})
    assert error["code"] == "forbidden"

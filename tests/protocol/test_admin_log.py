"""The event log: live for those of the staff who watch, and in the server's own log.

Alice is one of the staff, Bob a member, Charlie an outsider.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.conftest import Connect
from tests.support import Client, Refused, Server


@pytest.fixture
async def alice(server: Server, connect: Connect) -> Client:
    client = await connect(server.person("alice", staff=True), namespace="admin")
    await client.call("log:watch")
    return client


@pytest.fixture
def room(server: Server, bob: Client) -> str:
    return server.room("room", [server.person("owner"), bob.person])


async def line(client: Client, text: str, **fields: Any) -> dict[str, Any]:
    wanted = {"text": text, **fields}
    packet = await client._take(lambda p: p.get("event") == "log" and wanted.items() <= p["data"].items())
    data: dict[str, Any] = packet["data"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", data["at"])
    return data


@pytest.mark.each_server
async def test_who_watches_sees_people_come_and_go(server: Server, connect: Connect, alice: Client) -> None:
    bob = await connect("bob")
    sid = bob.hello["sid"]
    about = {"user": bob.name, "id": bob.id, "namespace": "/chat", "sid": sid}
    assert about.items() <= (await line(alice, "a user connected", sid=sid)).items()
    await bob.drop()
    assert about.items() <= (await line(alice, "a user disconnected", sid=sid)).items()
    logged = server.log()
    for what in ("connected", "disconnected"):
        expected = f"chat.events: a user {what} user={bob.name} id={bob.id} namespace=/chat sid={sid}"
        assert expected in logged


async def test_who_watches_sees_rooms_joined_and_left(
    connect: Connect, alice: Client, bob: Client, room: str
) -> None:
    await bob.join(room)
    await line(alice, "a user joined a room", user=bob.name, room=room, namespace="/chat")
    await bob.call("leave", {"room": room})
    await line(alice, "a user left a room", user=bob.name, room=room)
    plain = await connect(bob, namespace="users")
    await plain.call("join", {"room": "lobby"})
    await line(alice, "a user joined a room", user=bob.name, room="lobby", namespace="/users")
    await plain.call("leave", {"room": "lobby"})
    await line(alice, "a user left a room", user=bob.name, room="lobby")


async def test_who_watches_sees_what_the_staff_do(
    server: Server, connect: Connect, alice: Client, bob: Client, room: str
) -> None:
    other = await connect(server.person("other", staff=True), namespace="admin")
    seq = (await bob.say(room, "hello"))["seq"]
    for event, data, text in (
        ("user:mute", {"user": bob.id, "room": room, "reason": "caps"}, "a user was muted"),
        ("user:mute", {"user": bob.id, "room": room, "reason": "", "seconds": 0}, "a user was unmuted"),
        ("room:kick", {"user": bob.id, "room": room}, "a user was removed from a room"),
        ("user:ban", {"user": bob.id, "room": room, "reason": "spam"}, "a user was banned"),
        ("user:unban", {"user": bob.id, "room": room}, "a user was unbanned"),
        ("user:kick", {"user": bob.id}, "a user was sent away"),
        ("user:kick", {"sid": other.hello["sid"]}, "a user was sent away"),
    ):
        await alice.call(event, data)
        said = await line(alice, text, by=alice.name)
        assert said.get("room") == data.get("room") and said.get("reason", "") == data.get("reason", "")
        await line(alice, "an event", event=event, outcome="ok", user=alice.name)
    await alice.call("message:delete", {"room": room, "seq": seq, "reason": "rude"})
    assert (await line(alice, "a message was deleted", by=alice.name))["seq"] == seq
    await alice.call("room:close", {"room": room})
    await line(alice, "a room was closed", room=room, by=alice.name)
    await alice.call("user:delete", {"user": bob.id})
    await line(alice, "a user was deleted", id=bob.id, user=f"deleted-{bob.id}", by=alice.name)
    assert f"a user was deleted user=deleted-{bob.id} id={bob.id} by={alice.name}" in server.log()


async def test_who_watches_sees_what_was_refused(alice: Client) -> None:
    with pytest.raises(Refused):
        await alice.call("room:close", {"room": "absent"})
    await line(alice, "an event", event="room:close", outcome="not_found")


async def test_who_watches_sees_dead_letters(server: Server, alice: Client, bob: Client) -> None:
    room = server.room(
        "unordered", [server.person("owner"), bob.person], ordering="unordered", ack_wait=0.1, max_deliver=1
    )
    await bob.join(room)
    seq = (await bob.say(room, "hello"))["seq"]
    said = await line(alice, "a message became a dead letter", room=room)
    assert (said["id"], said["seq"], said["attempts"]) == (bob.id, seq, 1)


async def test_who_stops_watching_sees_no_more(connect: Connect, alice: Client) -> None:
    await alice.call("log:unwatch")
    await connect("bob")
    watcher = await connect(alice, namespace="admin")
    await watcher.call("log:watch")
    somebody = await connect("charlie")
    await line(watcher, "a user connected", sid=somebody.hello["sid"])
    after = [
        packet["data"]
        for packet in alice.packets
        if packet.get("event") == "log" and "event" not in packet["data"]
    ]
    assert all(said.get("sid") == alice.hello["sid"] for said in after)


async def test_nobody_but_the_staff_can_listen(connect: Connect, alice: Client, bob: Client) -> None:
    for namespace in ("chat", "users"):
        spy = await connect(bob, namespace=namespace)
        for name in ("log:watch", "log"):
            with pytest.raises(Refused):
                await spy.call("log:watch")
            with pytest.raises(Refused):
                await spy.call("join", {"room": name if name != "log" else "log:watch"})
        assert not [packet for packet in spy.packets if packet.get("event") == "log"]


async def test_a_name_cannot_forge_a_line(server: Server, connect: Connect, alice: Client) -> None:
    eve = server.person('eve id=1 sid="x"\nINFO chat.events: a user connected user=root')
    client = await connect(eve)
    await line(alice, "a user connected", user=eve.name, id=eve.id)
    (logged,) = [each for each in server.log().splitlines() if client.hello["sid"] in each]
    assert r'user="eve id=1 sid=\"x\"\nINFO chat.events: a user connected user=root' in logged

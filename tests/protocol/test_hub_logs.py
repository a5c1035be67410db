"""What a socket is sent of a log: by joins and resumes, from other processes, after restores."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from chat.delivery import retention
from chat.errors import Close
from chat.models import Message, Room
from tests.conftest import Connect, MakeServer
from tests.support import Client, Refused, Server
from tests.support.client import Closed

from .acts import fill

POLLED = 10.0  #: seconds: a sanity bound; on a quiet machine a poll brings it within two

# Joins


@pytest.mark.each_server
async def test_the_answer_to_a_join_comes_before_the_entries(
    server: Server, alice: Client, bob: Client
) -> None:
    room = server.room("room", [alice.person, bob.person])
    server.django(fill, room, alice.id, 700)
    await bob.join(room, after=0)
    await bob.gets(room, seq=700)
    kinds = ["ack" if "ack" in packet else packet["event"] for packet in bob.packets]
    assert kinds.index("ack") < kinds.index("message")
    assert bob.seqs(room) == list(range(1, 701))


@pytest.mark.each_server
async def test_a_second_join_ends_the_first_reader(server: Server, alice: Client, bob: Client) -> None:
    room = server.room("room", [alice.person, bob.person])
    server.django(fill, room, alice.id, 1500, 4000)
    first = await bob.submit("join", {"room": room, "after": 0, "ack": False})
    second = await bob.submit("join", {"room": room, "after": 1490})
    await asyncio.gather(first, second)
    await bob.gets(room, seq=1500)
    answers = [place for place, packet in enumerate(bob.packets) if "ack" in packet]
    behind = [packet["seq"] for packet in bob.packets[answers[1] :] if "seq" in packet]
    assert behind == list(range(1491, 1501))
    await alice.say(room, "live")
    await bob.gets(room, seq=1501)
    assert bob.seqs(room)[-11:] == list(range(1491, 1502))


async def test_a_resume_on_an_entry_that_is_not_the_one_the_client_saw_is_a_reset(
    server: Server, alice: Client, bob: Client
) -> None:
    room = server.room("room", [alice.person, bob.person])
    for number in range(3):
        await alice.say(room, str(number), client_id=f"c{number}")
    assert "reset" not in await bob.join(room, after=2, after_client_id="c1")
    answer = await bob.join(room, after=2, after_client_id="of another log")
    assert answer["reset"] is True and answer["cursor"] == 0
    await bob.gets(room, seq=1)


@pytest.mark.shortened(hub__hub__ROOMS_A_SOCKET=3)
async def test_a_socket_is_in_so_many_rooms_and_no_more(server: Server, alice: Client) -> None:
    rooms = [server.room() for _ in range(4)]
    for room in rooms[:3]:
        await alice.join(room)
    with pytest.raises(Refused) as refused:
        await alice.join(rooms[3])
    assert (refused.value.code, refused.value.temporary) == ("rate_limited", True)
    await alice.join(rooms[0])  # again is no other room
    await alice.call("leave", {"room": rooms[0]})
    await alice.join(rooms[3])


async def test_what_is_not_kept_reaches_the_room_alone(
    server: Server, alice: Client, bob: Client, charlie: Client
) -> None:
    room, other = server.room("room", [alice.person, bob.person]), server.room("other", [charlie.person])
    await charlie.join(other)
    await bob.join(room)
    await alice.join(room)
    await alice.emit("typing", {"room": room})
    await alice.say(room, "hello")
    for client in (alice, bob):
        await client.gets(room, seq=1)
        await client.received(room, 1)
    await bob.expect("typing", room=room)
    await bob.expect("receipts", room=room, received_by_all=1)
    while (await bob.expect("presence", room=room))["data"]["changes"][-1]["user"]["id"] != alice.id:
        pass
    await charlie.call("rooms")
    assert room not in json.dumps([packet for packet in charlie.packets if "ack" not in packet])


# Other processes


@pytest.fixture
def neighbour(server: Server, make_server: MakeServer) -> Iterator[Server]:
    """Another process on the same file, and no Redis between the two."""
    neighbour = make_server(server.kind, database_url=server.database_url)
    neighbour._migrated = True
    yield neighbour.start()


async def test_processes_that_share_a_file_and_nothing_else_bring_each_others_entries(
    server: Server, neighbour: Server, connect: Connect, alice: Client
) -> None:
    room = server.room("room", [alice.person])
    there = await connect("bob", via=neighbour)
    await alice.join(room)
    await there.join(room)
    for number, (sender, reader) in enumerate([(alice, there), (there, alice)] * 2, 1):
        await sender.say(room, str(number))
        began = time.monotonic()
        await reader.gets(room, seq=number)
        assert time.monotonic() - began < POLLED
    assert alice.seqs(room) == there.seqs(room) == [1, 2, 3, 4]


async def test_what_a_command_writes_arrives_without_a_hint(
    server: Server, alice: Client, bob: Client
) -> None:
    room = server.room("room", [alice.person, bob.person])
    await bob.join(room)
    script = f"from tests.protocol.acts import fill; fill({room!r}, {alice.id}, 3)"
    await asyncio.to_thread(server.manage, "shell", "-c", script)
    began = time.monotonic()
    await bob.gets(room, seq=3)
    assert time.monotonic() - began < POLLED
    assert bob.seqs(room) == [1, 2, 3]


# Restores


@pytest.mark.each_server
async def test_after_a_restore_everyone_comes_back_and_starts_over(
    server: Server, connect: Connect, alice: Client, bob: Client
) -> None:
    room = server.room("room", [alice.person, bob.person])
    await alice.say(room, "one", client_id="c1")
    before = await bob.join(room)
    await bob.gets(room, seq=1)
    await asyncio.to_thread(server.manage, "restored")
    assert await bob.closed() == Close.GOING_AWAY
    assert (await bob.expect_error())["temporary"] is True
    answer = None
    while answer is None:
        with contextlib.suppress(Closed):  # as is everyone who comes back before the process is done
            back = await connect(bob)
            answer = await back.join(room, after=1, epoch=before["epoch"], after_client_id="c1")
    assert answer["reset"] is True and answer["epoch"] != before["epoch"]


async def test_a_head_that_goes_back_sends_everyone_away_to_start_over(
    server: Server, connect: Connect, alice: Client, bob: Client
) -> None:
    room = server.room("room", [alice.person, bob.person])
    for number in range(3):
        await alice.say(room, str(number))
    await bob.join(room)
    await bob.gets(room, seq=3)

    def restore() -> None:
        Message.objects.filter(room__slug=room, seq__gt=1).delete()
        Room.objects.filter(slug=room).update(head=1, messages=1)

    server.django(restore)
    assert await bob.closed() == Close.GOING_AWAY
    back = await connect(bob)
    answer = await back.join(room, after=3)
    assert (answer["reset"], answer["head"]) == (True, 1)
    assert (await (await connect(alice)).say(room, "instead"))["seq"] == 2
    assert (await back.gets(room, seq=2))["data"]["body"] == "instead"


async def test_an_unannounced_restore_is_found_by_the_entry_that_the_client_names(
    server: Server, connect: Connect, alice: Client, bob: Client
) -> None:
    room = server.room("room", [alice.person, bob.person])
    for number in range(3):
        await alice.say(room, str(number), client_id=f"c{number}")

    def restore_and_go_on() -> None:
        Message.objects.filter(room__slug=room, seq__gt=1).delete()
        Room.objects.filter(slug=room).update(head=1, messages=1)
        fill(room, alice.id, 2)

    server.django(restore_and_go_on)
    answer = await bob.join(room, after=3, after_client_id="c2")
    assert answer["reset"] is True
    await bob.gets(room, seq=3)
    assert bob.seqs(room) == [1, 2, 3]


# Retention


def trim(slug: str) -> None:
    for _ in retention.trim(Room.objects.get(slug=slug).pk):
        pass


async def test_what_a_member_has_not_received_is_kept_until_then(
    server: Server, connect: Connect, alice: Client, bob: Client
) -> None:
    room = server.room("room", [alice.person, bob.person], retain_entries=2)
    server.django(fill, room, alice.id, 10)
    await alice.join(room)
    await alice.gets(room, seq=10)
    await alice.received(room, 10)
    server.django(trim, room)
    assert (await bob.join(room))["first"] == 1
    await bob.gets_upto(room, 10)
    await bob.received(room, 10)
    await bob.expect("receipts", room=room, received_by_all=10)
    server.django(trim, room)
    device = await connect(bob)
    answer = await device.join(room, after=3)
    assert (answer["reset"], answer["first"]) == (True, 9)
    await device.gets(room, seq=10)
    assert device.seqs(room) == [9, 10]


@pytest.mark.each_server
async def test_a_reader_under_whom_the_log_was_trimmed_comes_back_to_where_it_begins(
    server: Server, connect: Connect, alice: Client, bob: Client
) -> None:
    room = server.room("room", [alice.person, bob.person], expire_seconds=0, ack_wait=3600)
    server.django(fill, room, alice.id, 2500)
    await bob.join(room)
    await bob.gets_upto(room, 1000)
    server.django(trim, room)  # all of it, and bob has not received it
    await bob.received(room, 1000)
    assert await bob.closed() == Close.GOING_AWAY
    came = bob.seqs(room)
    assert came == list(range(1, len(came) + 1))
    back = await connect(bob)
    answer = await back.join(room, after=came[-1])
    assert (answer["reset"], answer["first"], answer["cursor"]) == (True, 2501, 2500)
    await alice.say(room, "and on")
    await back.gets(room, seq=2501)
    assert back.seqs(room) == [2501]


# Deletions


async def delete(client: Client, room: str, target: int) -> int:
    data = {"room": room, "client_id": str(uuid.uuid4()), "target": target}
    answer: dict[str, Any] = await client.call("delete", data)
    return int(answer["seq"])


@pytest.mark.parametrize("between", [0, 1100], ids=["from the tail", "from the log"])
async def test_a_deleted_body_reaches_nobody_by_resume(
    server: Server, connect: Connect, alice: Client, bob: Client, between: int
) -> None:
    room = server.room("room", [alice.person, bob.person])
    await bob.join(room)
    said = (await alice.say(room, "the **secret** word"))["seq"]
    edit = {"room": room, "client_id": "edit", "target": said, "body": "the secret, still"}
    await alice.call("edit", edit)
    await bob.gets(room, seq=2)
    await bob.received(room, 2)
    server.django(fill, room, alice.id, between)
    reader = await connect(bob)  # whose pages are cached for those who come next
    await reader.join(room, after=0)
    await reader.gets(room, seq=2)
    deletion = await delete(alice, room, said)
    late = await connect(bob)
    await late.join(room, after=0)
    entries = await late.gets_upto(room, min(deletion, 1000))
    assert "secret" not in json.dumps(entries)
    for entry, kept in zip(entries[:2], ({"client_id"}, {"client_id", "target"}), strict=True):
        assert entry["data"].keys() == kept | {"deleted"}
        assert entry["data"]["deleted"]["by"] == {"id": alice.id, "name": alice.name}
    page = await late.call("history", {"room": room, "before": 3})
    assert "secret" not in json.dumps(page)
    kept_rows = server.django(lambda: list(Message.objects.filter(room__slug=room).values_list()))
    assert "secret" not in str(kept_rows)

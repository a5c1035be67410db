"""Messages, edits, deletions and reactions, over a real server.

Alice owns the rooms, Bob is a member, Charlie an outsider.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conftest import Connect
from tests.support import Client, Server

from .acts import change, make, mute


@pytest.fixture
def room(server: Server, alice: Client, bob: Client) -> str:
    return server.room("room", [alice.person, bob.person])


@pytest.fixture
def private(server: Server, alice: Client, bob: Client) -> str:
    return server.room("private", [alice.person, bob.person], private=True)


async def write(client: Client, event: str, room: str, **data: Any) -> dict[str, Any]:
    answer: dict[str, Any] = await client.call(event, {"room": room, "client_id": uuid.uuid4().hex, **data})
    return answer


async def the_page(client: Client, room: str) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = (await client.call("history", {"room": room}))["messages"]
    return messages


# Messages


@pytest.mark.each_server
async def test_a_message_reaches_every_member_and_all_of_the_senders_sockets(
    alice: Client, bob: Client, connect: Connect, room: str
) -> None:
    tab = await connect(alice)
    for client in (alice, tab, bob):
        await client.join(room)
    receipt = await alice.say(room, "hello", client_id="c1")
    assert receipt == {"room": room, "seq": 1, "client_id": "c1", "duplicate": False}
    for client in (alice, tab, bob):
        entry = await client.gets(room, seq=1)
        at = datetime.fromisoformat(entry.pop("at"))
        assert abs(at - datetime.now(UTC)) < timedelta(minutes=1)
        assert entry == {
            "event": "message",
            "room": room,
            "seq": 1,
            "from": {"id": alice.id, "name": alice.name},
            "data": {"client_id": "c1", "body": "hello"},
        }


async def test_a_member_writes_without_having_joined_with_this_socket(
    alice: Client, bob: Client, room: str
) -> None:
    await bob.join(room)
    await alice.say(room, "hello")
    assert (await bob.gets(room, seq=1))["data"]["body"] == "hello"
    assert alice.log[room] == []


async def test_who_is_no_member_writes_nothing(charlie: Client, room: str) -> None:
    for event, data in (
        ("message", {"body": "hello"}),
        ("edit", {"target": 1, "body": "hello"}),
        ("delete", {"target": 1}),
        ("react", {"target": 1, "emoji": "👍", "on": True}),
    ):
        error = await charlie.refusal(event, {"room": room, "client_id": event, **data})
        assert (error["code"], error["temporary"]) == ("forbidden", False)


@pytest.mark.each_server
async def test_a_client_id_that_came_before_gets_its_first_answer_whatever_else_is_said(
    alice: Client, bob: Client, connect: Connect, room: str
) -> None:
    await bob.join(room)
    first = await alice.say(room, "hello", client_id="c1")
    again = {**first, "duplicate": True}
    tab = await connect(alice)
    assert await alice.say(room, "hello", client_id="c1") == again
    assert await tab.say(room, "something else", client_id="c1") == again
    assert await write(tab, "delete", room, target=99, client_id="c1") == again
    assert await bob.say(room, "mine", client_id="c1") == {**first, "seq": 2}
    assert [(e["seq"], e["data"]["body"]) for e in await bob.gets_upto(room, 2)] == [
        (1, "hello"),
        (2, "mine"),
    ]


async def test_the_same_client_id_twice_in_one_breath_is_stored_once(alice: Client, room: str) -> None:
    asked = [
        await alice.submit("message", {"room": room, "client_id": "c1", "body": "hello"}) for _ in range(20)
    ]
    answers = await asyncio.gather(*asked)
    assert [answer["seq"] for answer in answers] == [1] * 20
    assert [answer["duplicate"] for answer in answers] == [False] + [True] * 19


async def test_the_retry_of_a_deleted_message_gets_its_first_answer(alice: Client, room: str) -> None:
    first = await alice.say(room, "hello", client_id="c1")
    await write(alice, "delete", room, target=1)
    assert await alice.say(room, "hello", client_id="c1") == {**first, "duplicate": True}
    assert "body" not in (await the_page(alice, room))[0]["data"]


@pytest.mark.each_server
async def test_pipelined_messages_are_numbered_as_they_were_sent(
    alice: Client, bob: Client, room: str
) -> None:
    """Plain ones don't overtake those whose markup takes a thread."""
    await bob.join(room)
    bodies = [f"**{number}**" if number % 3 == 0 else f"{number}" for number in range(60)]
    asked = [
        await alice.submit("message", {"room": room, "client_id": body, "body": body}) for body in bodies
    ]
    answers = await asyncio.gather(*asked)
    assert [answer["seq"] for answer in answers] == list(range(1, 61))
    await bob.gets_upto(room, 60)
    assert bob.bodies(room) == bodies


async def test_a_pipelined_join_and_message_go_in_that_order(server: Server, charlie: Client) -> None:
    public = server.room()
    joined = await charlie.submit("join", {"room": public})
    said = await charlie.submit("message", {"room": public, "client_id": "c1", "body": "hello"})
    assert (await joined)["head"] == 0 and (await said)["seq"] == 1


async def test_markup_comes_as_safe_html_and_plain_text_without(
    alice: Client, bob: Client, room: str
) -> None:
    await bob.join(room)
    await alice.say(room, "**hi** <script>alert(1)</script> [x](javascript:alert(1))")
    await alice.say(room, "just words")
    marked, plain = await bob.gets_upto(room, 2)
    assert "<strong>hi</strong>" in marked["data"]["html"] and "<script" not in marked["data"]["html"]
    assert "href" not in marked["data"]["html"]
    assert "html" not in plain["data"]


async def test_a_reply_says_what_it_answers(alice: Client, bob: Client, room: str) -> None:
    await bob.join(room)
    await alice.say(room, "question")
    await alice.say(room, "answer", reply_to=1)
    assert (await bob.gets(room, seq=2))["data"]["reply_to"] == 1
    assert (await the_page(bob, room))[1]["data"]["reply_to"] == 1


async def test_a_message_names_the_members_it_mentions(
    alice: Client, bob: Client, charlie: Client, room: str
) -> None:
    await bob.join(room)
    await alice.say(room, f"@{bob.name} and @{charlie.name}, mail me@example.com")
    entry = await bob.gets(room, seq=1)
    assert entry["data"]["mentions"] == [{"id": bob.id, "name": bob.name}]


@pytest.mark.each_server
async def test_the_largest_body_arrives_whole(alice: Client, bob: Client, room: str) -> None:
    await bob.join(room)
    for number, body in enumerate(
        ("x" * 16_384, "\x01" * 10_000, "\U0001f600" * 4096, "*" * 16_384), start=1
    ):
        await alice.say(room, body)
        assert (await bob.gets(room, seq=number))["data"]["body"] == body
    assert len(await the_page(bob, room)) == 4


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "bad_data"),
        (" \n\t\u2003", "bad_data"),
        ("a\0b", "bad_data"),
        (None, "bad_data"),
        (5, "bad_data"),
        (["a"], "bad_data"),
        ("x" * 16_385, "too_large"),
        ("é" * 8_193, "too_large"),
    ],
)
async def test_a_body_that_cannot_be_is_refused(alice: Client, room: str, body: Any, code: str) -> None:
    for event, more in (("message", {}), ("edit", {"target": 1})):
        error = await alice.refusal(event, {"room": room, "client_id": "c1", "body": body, **more})
        assert (error["code"], error["field"], error["temporary"]) == (code, "body", False)


@pytest.mark.parametrize("client_id", ["", "a b", "ü", "x" * 65, "a\n", None, 5])
async def test_a_client_id_that_cannot_be_is_refused(alice: Client, room: str, client_id: Any) -> None:
    error = await alice.refusal("message", {"room": room, "client_id": client_id, "body": "hello"})
    assert (error["code"], error["field"]) == ("bad_data", "client_id")


@pytest.mark.parametrize("target", [-1, 1.5, "1", None, True, 2**63])
async def test_a_target_that_cannot_be_is_refused(alice: Client, room: str, target: Any) -> None:
    for event, more in (("edit", {"body": "x"}), ("delete", {}), ("react", {"emoji": "👍", "on": True})):
        error = await alice.refusal(event, {"room": room, "client_id": "c1", "target": target, **more})
        assert (error["code"], error["field"]) == ("bad_data", "target")
    error = await alice.refusal("message", {"room": room, "client_id": "c1", "body": "x", "reply_to": -1})
    assert (error["code"], error["field"]) == ("bad_data", "reply_to")


# Edits


@pytest.mark.each_server
async def test_an_edit_is_an_entry_and_history_shows_its_body(alice: Client, bob: Client, room: str) -> None:
    await bob.join(room)
    await alice.say(room, "helo")
    receipt = await write(alice, "edit", room, target=1, body="**hello**")
    assert (receipt["seq"], receipt["duplicate"]) == (2, False)
    entry = await bob.gets(room, seq=2)
    assert entry["event"] == "edit"
    assert (entry["data"]["target"], entry["data"]["body"]) == (1, "**hello**")
    assert entry["data"]["html"] == "<p><strong>hello</strong></p>"
    (message,) = await the_page(bob, room)
    assert (message["seq"], message["data"]["body"]) == (1, "**hello**")
    assert message["data"]["edited_at"] == entry["at"]


async def test_nobody_edits_what_someone_else_wrote(
    server: Server, alice: Client, bob: Client, room: str
) -> None:
    await bob.say(room, "Bob's")
    error = await alice.refusal("edit", {"room": room, "client_id": "c1", "target": 1, "body": "x"})
    assert error["code"] == "forbidden"
    server.django(make, "moderator", room, alice.id)
    error = await alice.refusal("edit", {"room": room, "client_id": "c2", "target": 1, "body": "x"})
    assert error["code"] == "forbidden"


@pytest.mark.parametrize("target", [0, 3, 2**63 - 1])
async def test_what_is_not_there_cannot_be_changed(alice: Client, room: str, target: int) -> None:
    await alice.say(room, "one")
    await write(alice, "react", room, target=1, emoji="👍", on=True)
    for event, more in (("edit", {"body": "x"}), ("delete", {}), ("react", {"emoji": "👍", "on": True})):
        data = {"room": room, "client_id": event, "target": target, **more}
        assert (await alice.refusal(event, data))["code"] == "not_found"
    data = {"room": room, "client_id": "r", "target": 2, "body": "x"}
    assert (await alice.refusal("edit", data))["code"] == "not_found"  # a reaction is no message


# Deletions


@pytest.mark.each_server
async def test_a_deletion_takes_the_body_out_of_history_and_out_of_every_resume(
    alice: Client, bob: Client, connect: Connect, room: str
) -> None:
    await bob.join(room)
    await alice.say(room, "a secret", client_id="c1")
    await write(alice, "edit", room, target=1, body="still a secret")
    await write(alice, "delete", room, target=1)
    assert (await bob.gets(room, seq=3))["event"] == "delete"

    (tombstone,) = await the_page(bob, room)
    assert tombstone["data"].keys() == {"client_id", "deleted"}
    assert tombstone["data"]["deleted"]["by"] == {"id": alice.id, "name": alice.name}

    late = await connect(bob)
    await late.join(room, after=0)
    entries = await late.gets_upto(room, 3)
    assert [entry["event"] for entry in entries] == ["message", "edit", "delete"]
    assert entries[0]["data"]["deleted"] == tombstone["data"]["deleted"]
    assert entries[0]["data"]["client_id"] == "c1"
    assert "secret" not in json.dumps(late.packets)


async def test_members_delete_their_own_messages_alone(alice: Client, bob: Client, room: str) -> None:
    await alice.say(room, "Alice's")
    await bob.say(room, "Bob's")
    error = await bob.refusal("delete", {"room": room, "client_id": "c1", "target": 1})
    assert error["code"] == "forbidden"
    await write(bob, "delete", room, target=2)
    assert ["deleted" in message["data"] for message in await the_page(bob, room)] == [False, True]


async def test_moderators_owners_and_staff_delete_what_others_wrote(
    server: Server, connect: Connect, alice: Client, bob: Client
) -> None:
    staff = await connect(server.person("staff", staff=True))
    room = server.room("room", [alice.person, bob.person, staff.person])
    for _ in range(3):
        await bob.say(room, "hello")
    server.django(make, "moderator", room, bob.id)
    await alice.say(room, "Alice's")
    await write(bob, "delete", room, target=4)
    server.django(make, "member", room, bob.id)
    await write(alice, "delete", room, target=1)
    await write(staff, "delete", room, target=2)
    deleted = [message["data"].get("deleted", {}).get("by") for message in await the_page(bob, room)]
    assert [by and by["name"] for by in deleted] == [alice.name, staff.name, None, bob.name]


async def test_what_was_deleted_is_deleted_once_and_changes_no_more(alice: Client, room: str) -> None:
    await alice.say(room, "hello")
    await write(alice, "delete", room, target=1)
    for event, more in (("delete", {}), ("edit", {"body": "x"}), ("react", {"emoji": "👍", "on": True})):
        error = await alice.refusal(event, {"room": room, "client_id": event, "target": 1, **more})
        assert error["code"] == "not_found"


# Reactions


@pytest.mark.each_server
async def test_a_reaction_is_an_entry_and_history_counts_it(alice: Client, bob: Client, room: str) -> None:
    await bob.join(room)
    await alice.say(room, "hello")
    await write(bob, "react", room, target=1, emoji="👍", on=True)
    await write(alice, "react", room, target=1, emoji="👍", on=True)
    entry = await bob.gets(room, seq=2)
    assert entry["event"] == "react"
    data = {key: value for key, value in entry["data"].items() if key != "client_id"}
    assert data == {"target": 1, "emoji": "👍", "on": True}
    people = [{"id": bob.id, "name": bob.name}, {"id": alice.id, "name": alice.name}]
    (message,) = await the_page(alice, room)
    assert message["data"]["reactions"] == [{"emoji": "👍", "count": 2, "users": people, "mine": True}]
    await write(alice, "react", room, target=1, emoji="👍", on=False)
    (message,) = await the_page(alice, room)
    assert message["data"]["reactions"] == [{"emoji": "👍", "count": 1, "users": people[:1], "mine": False}]


@pytest.mark.parametrize("emoji", ["", "ok", "👍👍", "<b>", "👍 ", "\u200d", "x" * 100, None, 5])
async def test_a_reaction_is_one_emoji(alice: Client, room: str, emoji: Any) -> None:
    await alice.say(room, "hello")
    data = {"room": room, "client_id": "c1", "target": 1, "emoji": emoji, "on": True}
    error = await alice.refusal("react", data)
    assert (error["code"], error["field"]) == ("bad_data", "emoji")


@pytest.mark.parametrize("emoji", ["👍", "👍🏽", "❤️", "❤", "👩‍💻", "🇩🇪", "1️⃣"])
async def test_every_emoji_is_one(alice: Client, room: str, emoji: str) -> None:
    await alice.say(room, "hello")
    assert (await write(alice, "react", room, target=1, emoji=emoji, on=True))["seq"] == 2


# Those who may not speak


async def test_who_is_muted_listens_and_writes_nothing(
    server: Server, alice: Client, bob: Client, room: str
) -> None:
    await bob.join(room)
    await bob.say(room, "before")
    server.django(mute, room, bob.id, datetime.now(UTC) + timedelta(hours=1))
    for event, data in (
        ("message", {"body": "hello"}),
        ("edit", {"target": 1, "body": "hello"}),
        ("react", {"target": 1, "emoji": "👍", "on": True}),
    ):
        error = await bob.refusal(event, {"room": room, "client_id": event, **data})
        assert (error["code"], error["temporary"]) == ("muted", False)
    await alice.say(room, "hello")
    assert (await bob.gets(room, seq=2))["data"]["body"] == "hello"
    server.django(mute, room, bob.id, datetime.now(UTC) - timedelta(seconds=1))
    assert (await bob.say(room, "again"))["seq"] == 3


async def test_nobody_writes_into_a_closed_room_and_its_members_still_read(
    server: Server, alice: Client, charlie: Client, room: str
) -> None:
    await alice.say(room, "before")
    server.django(change, room, closed_at=datetime.now(UTC))
    error = await alice.refusal("message", {"room": room, "client_id": "c1", "body": "hello"})
    assert error["code"] == "forbidden"
    assert (await alice.join(room, after=0))["head"] == 1
    assert (await alice.gets(room, seq=1))["data"]["body"] == "before"
    for event in ("join", "history"):
        assert (await charlie.refusal(event, {"room": room}))["code"] == "not_found"


async def test_a_room_is_the_same_room_for_members_of_a_private_one(
    alice: Client, bob: Client, private: str
) -> None:
    await bob.join(private)
    await alice.say(private, "hello")
    assert (await bob.gets(private, seq=1))["data"]["body"] == "hello"

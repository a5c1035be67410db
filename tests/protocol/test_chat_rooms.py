"""The list of rooms, making, changing, inviting and quitting, over a real server.

Alice owns the rooms, Bob is a member, Charlie an outsider.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Connect
from tests.support import Client, Refused, Server

from .acts import ban, drop_ban, kick


@pytest.fixture
def private(server: Server, alice: Client, bob: Client) -> str:
    return server.room("private", [alice.person, bob.person], private=True)


@pytest.fixture
def public(server: Server, alice: Client, bob: Client) -> str:
    return server.room("public", [alice.person, bob.person])


async def listed(client: Client) -> dict[str, dict[str, Any]]:
    """All rooms of the list, page after page."""
    rooms: list[dict[str, Any]] = []
    reply = await client.call("rooms", {"limit": 100})
    rooms += reply["rooms"]
    while reply["more"]:
        reply = await client.call("rooms", {"limit": 100, "after": reply["next"]})
        rooms += reply["rooms"]
    return {room["room"]: room for room in rooms}


def new() -> str:
    return f"new-{uuid.uuid4().hex[:8]}"


def every_event(room: str, bystander: str) -> list[tuple[str, dict[str, Any]]]:
    """Every event that names a room, as a client that was never in it would send it."""
    return [
        ("join", {"room": room}),
        ("join", {"room": room, "after": 0, "epoch": "x", "after_client_id": "y"}),
        ("leave", {"room": room}),
        ("message", {"room": room, "client_id": "c1", "body": "hello"}),
        ("message", {"room": room, "client_id": "c2", "body": f"**hello** @{bystander}"}),
        ("edit", {"room": room, "client_id": "c3", "target": 1, "body": "hello"}),
        ("delete", {"room": room, "client_id": "c4", "target": 1}),
        ("react", {"room": room, "client_id": "c5", "target": 1, "emoji": "👍", "on": True}),
        ("received", {room: 1}),
        ("received", {room: [1]}),
        ("read", {"room": room, "seq": 1}),
        ("history", {"room": room}),
        ("history", {"room": room, "before": 2, "limit": 1}),
        ("search", {"room": room, "query": "secret"}),
        ("who", {"room": room, "seq": 1}),
        ("typing", {"room": room}),
        ("room:invite", {"room": room, "user": bystander}),
        ("room:update", {"room": room, "name": "mine"}),
        ("room:quit", {"room": room}),
    ]


@pytest.mark.each_server
async def test_no_event_tells_a_private_room_from_one_that_does_not_exist(
    alice: Client, bob: Client, charlie: Client, private: str
) -> None:
    await alice.say(private, "a secret")
    await bob.join(private)
    absent = new()
    for (event, hidden), (_, missing) in zip(
        every_event(private, bob.name), every_event(absent, bob.name), strict=True
    ):
        answer = await charlie.refusal(event, hidden)
        assert answer["code"] == "not_found", event
        words = json.dumps(answer).replace(private, absent)
        assert words == json.dumps(await charlie.refusal(event, missing)), event
    assert private not in await listed(charlie)
    assert [
        packet for packet in charlie.packets if private in json.dumps(packet) and "ack" not in packet
    ] == []


async def test_who_was_banned_from_a_private_room_knows_no_more_of_it_than_an_outsider(
    server: Server, bob: Client, private: str
) -> None:
    server.django(ban, private, bob.id, "spam")
    absent = new()
    for (event, hidden), (_, missing) in zip(
        every_event(private, "nobody"), every_event(absent, "nobody"), strict=True
    ):
        answer = json.dumps(await bob.refusal(event, hidden))
        assert answer.replace(private, absent) == json.dumps(await bob.refusal(event, missing)), event
    assert private not in await listed(bob)


async def test_who_was_banned_from_a_public_room_is_told_so(server: Server, bob: Client, public: str) -> None:
    server.django(ban, public, bob.id, "spam")
    for event, data in (
        ("join", {"room": public}),
        ("message", {"room": public, "client_id": "c1", "body": "hello"}),
        ("history", {"room": public}),
        ("room:quit", {"room": public}),
    ):
        error = await bob.refusal(event, data)
        assert error["code"] == "banned" and not error["temporary"] and "spam" in error["message"], event
    server.django(drop_ban, public, bob.id)
    assert (await bob.join(public))["room"] == public


async def test_an_outsider_may_look_into_a_public_room_and_change_nothing(
    alice: Client, charlie: Client, public: str
) -> None:
    await alice.say(public, "hello")
    page = await charlie.call("history", {"room": public})
    assert [message["data"]["body"] for message in page["messages"]] == ["hello"]
    for event, data in every_event(public, charlie.name):
        if event in ("join", "history", "search"):
            continue
        error = await charlie.refusal(event, data)
        expected = "not_found" if event in ("leave", "received", "read", "typing") else "forbidden"
        assert error["code"] == expected, (event, error)
    assert (await listed(charlie))[public]["member"] is False
    assert (await alice.call("history", {"room": public}))["head"] == 1


# The list


async def test_the_list_says_how_much_is_unread_and_who_was_named(
    alice: Client, bob: Client, public: str
) -> None:
    for client in (alice, bob):
        await client.join(public)
    await alice.say(public, "one")
    two = await alice.say(public, f"@{bob.name}, two")
    await alice.call(
        "react", {"room": public, "client_id": "r", "target": two["seq"], "emoji": "👍", "on": True}
    )
    room = (await listed(bob))[public]
    assert (room["head"], room["unread"], room["mentions"], room["member"]) == (3, 2, 1, True)
    for client in (alice, bob):
        await client.gets(public, seq=3)
        await client.received(public, 3)
        await client.call("read", {"room": public, "seq": 3})
    await bob.expect("receipts", room=public, read_by_all=3)  # cursors are written once a second
    room = (await listed(bob))[public]
    assert (room["cursor"], room["read"], room["unread"], room["mentions"]) == (3, 3, 0, 0)


async def test_the_list_shows_an_outsider_public_rooms_without_a_cursor(
    alice: Client, charlie: Client, public: str, private: str
) -> None:
    rooms = await listed(charlie)
    assert private not in rooms
    assert rooms[public]["cursor"] is None and rooms[public]["unread"] == 0
    assert {public, private} <= set(await listed(alice))


async def test_the_list_comes_in_pages(server: Server, alice: Client) -> None:
    slugs = sorted(server.room(f"page{number}", [alice.person]) for number in range(3))
    reply = await alice.call("rooms", {"after": slugs[0], "limit": 1})
    assert [room["room"] for room in reply["rooms"]] == [slugs[1]]
    assert reply["more"] and reply["next"] == slugs[1]


@pytest.mark.parametrize(("field", "value"), [("after", "a\0"), ("after", 5), ("limit", 0), ("limit", "all")])
async def test_a_page_of_the_list_that_cannot_be_is_refused(alice: Client, field: str, value: Any) -> None:
    error = await alice.refusal("rooms", {field: value})
    assert (error["code"], error["field"]) == ("bad_data", field)


# Making rooms


@pytest.mark.each_server
async def test_whoever_makes_a_room_owns_it(alice: Client, charlie: Client, connect: Connect) -> None:
    tab, room = await connect(alice), new()
    made = await alice.call(
        "room:create",
        {"room": room, "name": "New", "topic": "News", "private": True, "ordering": "unordered"},
    )
    assert made == {
        "room": room,
        "name": "New",
        "topic": "News",
        "private": True,
        "ordering": "unordered",
        "closed": False,
        "member": True,
        "role": "owner",
        "head": 0,
        "cursor": 0,
        "read": 0,
        "unread": 0,
        "mentions": 0,
        "slow_mode": 0,
        "open_reports": 0,
    }
    assert (await listed(alice))[room] == made
    assert (await tab.expect("room:added"))["data"] == {"room": room}
    assert (await alice.join(room))["ordering"] == "unordered"
    assert room not in await listed(charlie)


async def test_a_name_that_is_taken_is_a_conflict(alice: Client, bob: Client) -> None:
    room = new()
    await alice.call("room:create", {"room": room, "topic": "Alice's"})
    assert (await bob.refusal("room:create", {"room": room, "topic": "Bob's"}))["code"] == "conflict"
    assert (await listed(bob))[room]["topic"] == "Alice's"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("room", "Not A Slug"),
        ("room", None),
        ("room", 5),
        ("name", "x" * 101),
        ("name", "two\nlines"),
        ("name", 5),
        ("topic", "x" * 301),
        ("private", "yes"),
        ("ordering", "sorted"),
        ("ack_wait", 0),
        ("ack_wait", "soon"),
        ("max_deliver", 0),
        ("max_deliver", 1.5),
    ],
)
async def test_what_a_room_cannot_have_is_refused_with_the_field(
    alice: Client, field: str, value: Any
) -> None:
    error = await alice.refusal("room:create", {"room": new(), field: value})
    assert (error["code"], error["field"], error["temporary"]) == ("bad_data", field, False)


# Changing rooms


async def test_an_owner_renames_a_room_before_the_members_eyes(
    alice: Client, bob: Client, public: str
) -> None:
    await bob.join(public)
    changed = await alice.call("room:update", {"room": public, "name": "New", "topic": "News"})
    assert (changed["name"], changed["topic"], changed["head"]) == ("New", "News", 1)
    notice = await bob.gets(public, seq=1)
    assert notice["event"] == "notice" and notice["from"] == {"id": 0, "name": "system"}
    assert (notice["data"]["act"], notice["data"]["name"], notice["data"]["topic"]) == (
        "update",
        "New",
        "News",
    )
    updated = (await bob.expect("room:updated"))["data"]
    assert (updated["room"], updated["name"], updated["topic"]) == (public, "New", "News")


async def test_a_mere_member_renames_nothing(bob: Client, public: str) -> None:
    assert (await bob.refusal("room:update", {"room": public, "name": "Bob's"}))["code"] == "forbidden"


# Inviting


@pytest.mark.each_server
async def test_an_invitation_makes_a_member_at_once(alice: Client, charlie: Client, private: str) -> None:
    await alice.say(private, "before")
    assert await alice.call("room:invite", {"room": private, "user": charlie.name}) is None
    assert (await charlie.expect("room:added"))["data"]["room"] == private
    joined = await charlie.join(private)
    assert (joined["cursor"], joined["head"]) == (1, 1)
    await alice.say(private, "welcome")
    assert (await charlie.gets(private, seq=2))["data"]["body"] == "welcome"
    assert (await charlie.say(private, "thanks"))["seq"] == 3


async def test_an_invitation_may_name_a_person_by_id_and_come_twice(
    alice: Client, charlie: Client, private: str
) -> None:
    for _ in range(2):
        assert await alice.call("room:invite", {"room": private, "user": charlie.id}) is None
    assert (await listed(charlie))[private]["role"] == "member"


async def test_only_owners_and_moderators_invite(
    bob: Client, charlie: Client, private: str, public: str
) -> None:
    for room in (private, public):
        error = await bob.refusal("room:invite", {"room": room, "user": charlie.id})
        assert error["code"] == "forbidden"


@pytest.mark.parametrize("user", ["nobody-of-that-name", 0, "system", 2**40, 2**63 - 1, "x" * 500])
async def test_nobody_is_invited_who_does_not_exist(alice: Client, private: str, user: int | str) -> None:
    assert (await alice.refusal("room:invite", {"room": private, "user": user}))["code"] == "not_found"


@pytest.mark.parametrize("user", [None, 1.5, True, [1], {"id": 1}, "a\0b"])
async def test_a_person_is_an_id_or_a_name(alice: Client, private: str, user: Any) -> None:
    error = await alice.refusal("room:invite", {"room": private, "user": user})
    assert (error["code"], error["field"]) == ("bad_data", "user")


# Quitting and being removed


@pytest.mark.each_server
async def test_quitting_ends_the_membership_on_every_socket(
    alice: Client, bob: Client, connect: Connect, private: str
) -> None:
    tab = await connect(bob)
    for client in (alice, bob, tab):
        await client.join(private)
    assert await bob.call("room:quit", {"room": private}) is None
    notice = await alice.gets(private, seq=1)
    assert notice["data"]["act"] == "quit" and notice["data"]["user"] == {"id": bob.id, "name": bob.name}
    assert (await tab.expect("room:removed"))["data"]["room"] == private
    await alice.say(private, "after")
    await alice.gets(private, seq=2)
    assert (await tab.refusal("history", {"room": private}))["code"] == "not_found"
    assert (await bob.refusal("join", {"room": private}))["code"] == "not_found"
    assert private not in await listed(bob)
    assert [entry["seq"] for entry in tab.log[private] if entry["seq"] > 1] == []


async def test_the_last_owner_who_quits_hands_the_room_on(alice: Client, bob: Client, private: str) -> None:
    await bob.join(private)
    await alice.call("room:quit", {"room": private})
    notice = await bob.gets(private, seq=1)
    assert notice["data"]["owner"] == {"id": bob.id, "name": bob.name}
    assert (await listed(bob))[private]["role"] == "owner"


async def test_who_is_not_in_a_room_cannot_quit_it(charlie: Client, public: str) -> None:
    assert (await charlie.refusal("room:quit", {"room": public}))["code"] == "forbidden"


@pytest.mark.each_server
@pytest.mark.parametrize("remove", [kick, ban])
async def test_nothing_reaches_a_member_after_the_notice_of_their_removal(
    server: Server, alice: Client, bob: Client, private: str, remove: Callable[..., None]
) -> None:
    await alice.join(private)
    await bob.join(private)
    await alice.say(private, "before")
    server.django(remove, private, bob.id, "spam")
    await alice.gets(private, seq=2)
    await alice.say(private, "after")
    removed = (await bob.expect("room:removed"))["data"]
    assert (removed["room"], removed["reason"]) == (private, "spam")
    assert (await bob.refusal("join", {"room": private, "after": 0}))["code"] == "not_found"
    assert "after" not in bob.bodies(private)


async def test_who_was_kicked_and_asks_for_an_ack_that_was_lost_gets_it(
    server: Server, bob: Client, private: str
) -> None:
    sent = await bob.say(private, "hello", client_id="lost")
    server.django(kick, private, bob.id)
    assert await bob.say(private, "hello", client_id="lost") == {**sent, "duplicate": True}
    with pytest.raises(Refused) as refused:
        await bob.say(private, "hello", client_id="another")
    assert refused.value.code == "not_found"

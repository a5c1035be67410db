"""Joining, resuming, acknowledging, and looking back, over a real server.

Alice owns the rooms, Bob is a member, Charlie an outsider.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Connect
from tests.support import Client, Server

from .acts import change


@pytest.fixture
def room(server: Server, alice: Client, bob: Client) -> str:
    return server.room("room", [alice.person, bob.person])


@pytest.fixture
def unordered(server: Server, alice: Client, bob: Client) -> str:
    return server.room("unordered", [alice.person, bob.person], ordering="unordered")


async def say(client: Client, room: str, count: int) -> None:
    for number in range(count):
        await client.say(room, f"{number}")


# Joining and leaving


@pytest.mark.each_server
async def test_joining_a_public_room_makes_a_member_who_begins_at_its_head(
    server: Server, alice: Client, charlie: Client, room: str
) -> None:
    await say(alice, room, 2)
    await alice.join(room)
    joined = await charlie.join(room)
    people = sorted(joined.pop("here"), key=lambda person: person["id"])
    assert people == [{"id": alice.id, "name": alice.name}, {"id": charlie.id, "name": charlie.name}]
    epoch = joined.pop("epoch")
    assert isinstance(epoch, str) and epoch
    assert {key: joined[key] for key in ("room", "head", "first", "cursor", "ordering", "here_count")} == {
        "room": room,
        "head": 2,
        "first": 1,
        "cursor": 2,
        "ordering": "ordered",
        "here_count": 2,
    }
    assert "reset" not in joined
    await say(alice, room, 1)
    assert [entry["seq"] for entry in await charlie.gets_upto(room, 3)] == [3]


async def test_a_join_without_after_brings_what_lies_behind_the_members_cursor(
    alice: Client, bob: Client, room: str
) -> None:
    await say(alice, room, 3)
    joined = await bob.join(room)
    assert (joined["cursor"], joined["head"]) == (0, 3)
    assert [entry["seq"] for entry in await bob.gets_upto(room, 3)] == [1, 2, 3]


@pytest.mark.each_server
async def test_a_resume_brings_only_what_lies_after_the_position(
    alice: Client, bob: Client, room: str
) -> None:
    await say(alice, room, 5)
    joined = await bob.join(room, after=3)
    assert "reset" not in joined
    assert [entry["seq"] for entry in await bob.gets_upto(room, 5)] == [4, 5]
    assert (await bob.join(room, after=0))["head"] == 5
    await say(alice, room, 1)
    await bob.gets(room, seq=6)
    assert bob.seqs(room) == [4, 5, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    "stale", [{"after": 99}, {"after": 2, "epoch": "another"}, {"after": 2, "after_client_id": "x"}]
)
async def test_a_position_in_a_log_that_is_gone_is_reset(
    alice: Client, bob: Client, room: str, stale: dict[str, Any]
) -> None:
    await say(alice, room, 3)
    joined = await bob.join(room, **stale)
    assert joined["reset"] is True
    assert [entry["seq"] for entry in await bob.gets_upto(room, 3)] == [1, 2, 3]


async def test_a_position_in_the_same_log_is_no_reset(alice: Client, bob: Client, room: str) -> None:
    receipt = await alice.say(room, "one", client_id="c1")
    epoch = (await alice.join(room))["epoch"]
    joined = await bob.join(room, after=receipt["seq"], epoch=epoch, after_client_id="c1")
    assert "reset" not in joined


async def test_a_position_below_what_is_kept_starts_at_the_first_entry(
    server: Server, alice: Client, bob: Client, room: str
) -> None:
    await say(alice, room, 5)
    server.django(change, room, first=4)
    joined = await bob.join(room, after=1)
    assert (joined["reset"], joined["first"]) == (True, 4)
    assert [entry["seq"] for entry in await bob.gets_upto(room, 5)] == [4, 5]
    assert (await bob.call("history", {"room": room}))["first"] == 4


@pytest.mark.parametrize("after", [-1, 1.5, "1", True, [], 2**63])
async def test_a_position_that_cannot_be_is_refused(bob: Client, room: str, after: Any) -> None:
    error = await bob.refusal("join", {"room": room, "after": after})
    assert (error["code"], error["field"]) == ("bad_data", "after")


@pytest.mark.parametrize("name", ["", "A", "a b", "../a", "a" * 65, "ü", None, 5, ["a"], {"a": 1}])
async def test_a_name_that_no_room_can_have_is_refused(bob: Client, name: Any) -> None:
    for event in ("join", "leave", "history", "typing", "room:quit"):
        error = await bob.refusal(event, {"room": name})
        assert (error["code"], error["field"]) == ("bad_data", "room")


@pytest.mark.each_server
async def test_after_leaving_nothing_comes_and_the_person_is_still_a_member(
    alice: Client, bob: Client, room: str
) -> None:
    await bob.join(room)
    assert await bob.call("leave", {"room": room}) == {"room": room}
    await say(alice, room, 1)
    assert (await bob.say(room, "still here"))["seq"] == 2
    assert (await bob.refusal("leave", {"room": room}))["code"] == "not_found"
    assert bob.log[room] == []
    assert (await bob.join(room))["cursor"] == 0


async def test_members_see_nothing_from_before_they_joined_where_the_policy_says_so(
    server: Server, alice: Client, charlie: Client, room: str
) -> None:
    server.django(change, room, history_from_join=True)
    await alice.say(room, "before")
    assert (await charlie.call("history", {"room": room}))["messages"] == []
    joined = await charlie.join(room, after=0)
    assert joined["first"] == 2
    await alice.say(room, "after")
    assert [entry["seq"] for entry in await charlie.gets_upto(room, 2)] == [2]
    page = await charlie.call("history", {"room": room, "after": 0})
    assert [message["data"]["body"] for message in page["messages"]] == ["after"]


# Acknowledging


@pytest.mark.each_server
async def test_what_was_received_is_where_the_next_join_goes_on(
    alice: Client, bob: Client, connect: Connect, room: str
) -> None:
    await alice.join(room)
    await bob.join(room)
    await say(alice, room, 3)
    await bob.gets_upto(room, 3)
    await alice.received(room, 3)
    assert await bob.call("received", {room: 2}) is None
    await alice.expect("receipts", received_by_all=2)
    later = await connect(bob)
    assert (await later.join(room))["cursor"] == 2
    assert [entry["seq"] for entry in await later.gets_upto(room, 3)] == [3]


@pytest.mark.each_server
@pytest.mark.parametrize("upto", [3, 2**40, 2**70])
async def test_nobody_acknowledges_what_was_never_sent(
    alice: Client, bob: Client, room: str, upto: int
) -> None:
    await bob.join(room)
    await say(alice, room, 2)
    await bob.gets(room, seq=2)
    error = await bob.refusal("received", {room: upto})
    assert (error["code"], error["field"]) == ("bad_data", room)
    assert (await bob.call("rooms", {"after": room[:-1]}))["rooms"][0]["cursor"] == 0


@pytest.mark.parametrize("what", ["1", 1.5, None, True, {}, [1.5], ["1"], [[1]]])
async def test_an_acknowledgement_that_cannot_be_is_refused(bob: Client, room: str, what: Any) -> None:
    await bob.join(room)
    error = await bob.refusal("received", {room: what})
    assert (error["code"], error["field"]) == ("bad_data", room)


@pytest.mark.parametrize("name", ["self", "socket", "upto", "room", "class", "__class__", "constructor"])
async def test_the_names_of_rooms_are_names_and_nothing_else(bob: Client, name: str) -> None:
    error = await bob.refusal("received", {name: 1})
    assert error["code"] == ("bad_data" if name.startswith("_") else "not_found")


async def test_each_kind_of_room_has_its_own_acknowledgement(
    alice: Client, bob: Client, room: str, unordered: str
) -> None:
    for each in (room, unordered):
        await bob.join(each)
        await alice.say(each, "hello")
        await bob.gets(each, seq=1)
    for wrong in ({room: [1]}, {unordered: 1}):
        assert (await bob.refusal("received", wrong))["code"] == "bad_data"
    assert await bob.call("received", {room: 1, unordered: [1]}) is None


async def test_the_rooms_of_one_acknowledgement_are_judged_by_themselves(
    alice: Client, bob: Client, connect: Connect, room: str, unordered: str
) -> None:
    for client in (alice, bob):
        await client.join(room)
    await say(alice, room, 1)
    for client in (alice, bob):
        await client.gets(room, seq=1)
    await alice.received(room, 1)
    error = await bob.refusal("received", {unordered: [1], room: 1, "nowhere": 1})
    assert (error["code"], error["field"]) == ("not_found", unordered)
    await alice.expect("receipts", room=room, received_by_all=1)
    assert (await (await connect(bob)).join(room))["cursor"] == 1


@pytest.mark.each_server
async def test_in_an_unordered_room_a_resume_brings_what_was_not_acknowledged(
    alice: Client, bob: Client, connect: Connect, unordered: str
) -> None:
    for client in (alice, bob):
        await client.join(unordered)
    await say(alice, unordered, 5)
    for client in (alice, bob):
        await client.gets(unordered, seq=5)
    await alice.received(unordered, [1, 2, 3, 4, 5])
    await bob.call("received", {unordered: [1, 3, 5]})
    await alice.expect("receipts", received_by_all=1)
    await bob.drop()
    later = await connect(bob)
    joined = await later.join(unordered, after=5)
    assert (joined["cursor"], joined["ordering"]) == (1, "unordered")
    await say(alice, unordered, 1)
    await later.gets(unordered, seq=6)
    assert sorted(later.seqs(unordered)) == [2, 4, 6]


async def test_one_does_not_acknowledge_for_someone_else(
    alice: Client, bob: Client, connect: Connect, room: str
) -> None:
    for client in (alice, bob):
        await client.join(room)
    await say(alice, room, 1)
    await bob.gets(room, seq=1)
    await bob.call("received", {room: 1})
    await bob.drop()
    assert (await (await connect(alice)).join(room))["cursor"] == 0


# Reading, and who has it


@pytest.mark.each_server
async def test_who_tells_who_has_received_and_read_a_message(
    alice: Client, bob: Client, charlie: Client, room: str
) -> None:
    for client in (alice, bob, charlie):
        await client.join(room)
    await say(alice, room, 1)
    for client in (alice, bob, charlie):
        await client.gets(room, seq=1)
    for client in (bob, charlie):
        await client.received(room, 1)
    assert await bob.call("read", {"room": room, "seq": 1}) is None
    await alice.received(room, 1)
    await alice.expect("receipts", room=room, received_by_all=1)
    answer = await alice.call("who", {"room": room, "seq": 1})
    assert [person["id"] for person in answer["received"]] == [alice.id, bob.id, charlie.id]
    assert answer["read"] == [{"id": bob.id, "name": bob.name}]
    assert answer["pending"] == 0


@pytest.mark.parametrize("event", ["read", "who"])
async def test_an_entry_of_the_future_is_neither_read_nor_received(
    alice: Client, room: str, event: str
) -> None:
    await alice.join(room)
    await alice.say(room, "hello")
    error = await alice.refusal(event, {"room": room, "seq": 2})
    assert (error["code"], error["field"]) == ("bad_data", "seq")


async def test_history_beyond_the_head_is_empty(alice: Client, room: str) -> None:
    await alice.say(room, "hello")
    page = await alice.call("history", {"room": room, "after": 99})
    assert (page["messages"], page["head"], page["more"]) == ([], 1, False)


@pytest.mark.each_server
async def test_history_pages_back_to_the_first_message(alice: Client, bob: Client, room: str) -> None:
    await say(alice, room, 7)
    seen: list[int] = []
    page = await bob.call("history", {"room": room, "limit": 3})
    while True:
        seen = [message["seq"] for message in page["messages"]] + seen
        if not page["more"]:
            break
        page = await bob.call("history", {"room": room, "limit": 3, "before": page["next"]})
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    page = await bob.call("history", {"room": room, "after": 2, "before": 5})
    assert [message["seq"] for message in page["messages"]] == [3, 4]


@pytest.mark.parametrize(
    ("field", "value"),
    [("before", -1), ("before", "1"), ("after", 1.5), ("after", 2**64), ("limit", 0), ("limit", "all")],
)
async def test_a_bound_that_cannot_be_is_refused(alice: Client, room: str, field: str, value: Any) -> None:
    error = await alice.refusal("history", {"room": room, field: value})
    assert (error["code"], error["field"]) == ("bad_data", field)


# Typing


@pytest.mark.each_server
async def test_the_others_see_who_types_and_it_is_never_kept(
    alice: Client, bob: Client, charlie: Client, room: str
) -> None:
    for client in (alice, bob):
        await client.join(room)
    assert await alice.call("typing", {"room": room}) is None
    typing = await bob.expect("typing")
    assert typing["data"] == {"room": room, "user": {"id": alice.id, "name": alice.name}}
    assert (await alice.call("history", {"room": room}))["head"] == 0
    assert not any(packet.get("event") == "typing" for packet in [*alice.packets, *charlie.packets])


async def test_who_has_not_joined_does_not_type(alice: Client, bob: Client, room: str) -> None:
    await bob.join(room)
    assert (await alice.refusal("typing", {"room": room}))["code"] == "not_found"

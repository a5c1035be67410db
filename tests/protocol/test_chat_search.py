"""`search` over a real server: what members find, as it stands, and nobody else."""

from __future__ import annotations

import pytest

from tests.support import Client, Refused, Server


@pytest.fixture
def room(server: Server, alice: Client, bob: Client) -> str:
    return server.room("tea", [alice.person, bob.person], private=True)


async def found(client: Client, query: str, **more: str | int) -> list[str]:
    reply = await client.call("search", {"query": query, **more})
    return [message["data"]["body"] for message in reply["messages"]]


@pytest.mark.each_server
async def test_members_find_a_message_as_it_stands_as_soon_as_it_is_acknowledged(
    alice: Client, bob: Client, charlie: Client, room: str
) -> None:
    seq = (await alice.say(room, "a purple **kettle**"))["seq"]
    assert await found(bob, "kettle purple") == ["a purple **kettle**"]
    assert await found(charlie, "kettle") == []
    await alice.call("edit", {"room": room, "client_id": "e1", "target": seq, "body": "two pots"})
    assert await found(bob, "kettle") == [] and await found(bob, "pot", room=room) == ["two pots"]
    await alice.call("delete", {"room": room, "client_id": "d1", "target": seq})
    assert await found(bob, "pots") == []


async def test_hits_come_newest_first_and_page_by_page(alice: Client, room: str) -> None:
    for number in range(5):
        await alice.say(room, f"tea {number}")
    page = await alice.call("search", {"query": "tea", "room": room, "limit": 3})
    assert [message["data"]["body"] for message in page["messages"]] == ["tea 4", "tea 3", "tea 2"]
    assert (page["more"], page["messages"][0]["room"]) == (True, room)
    assert await found(alice, "tea", room=room, before=page["next"]) == ["tea 1", "tea 0"]


@pytest.mark.parametrize(
    ("data", "code", "field"),
    [
        ({}, "bad_data", "query"),
        ({"query": 5}, "bad_data", "query"),
        ({"query": "?!"}, "bad_data", "query"),
        ({"query": "x" * 10_000}, "bad_data", "query"),
        ({"query": "tea \0"}, "bad_data", "query"),
        ({"query": "tea", "before": "nowhere:1"}, "bad_data", "before"),
        ({"query": "tea", "before": 5}, "bad_data", "before"),
        ({"query": "tea", "room": "absent"}, "not_found", None),
    ],
)
async def test_what_cannot_be_looked_for_is_refused(
    charlie: Client, data: dict[str, object], code: str, field: str | None
) -> None:
    with pytest.raises(Refused) as refused:
        await charlie.call("search", data)
    assert (refused.value.error["code"], refused.value.error.get("field")) == (code, field)


async def test_whoever_is_removed_finds_nothing_more(alice: Client, bob: Client, room: str) -> None:
    await alice.say(room, "a kettle")
    await bob.call("room:quit", {"room": room})
    assert await found(bob, "kettle") == []
    with pytest.raises(Refused, match="not_found"):
        await found(bob, "kettle", room=room)

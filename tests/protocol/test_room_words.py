"""Rooms that filter words of their own, beside those of the site."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from chat.delivery import door
from chat.models import Room
from tests.support import Client, Refused, Server


def filter_words(server: Server, room: str, *words: str, action: str = "mask") -> None:
    def change() -> None:
        Room.objects.filter(slug=room).update(filtered_words="\n".join(words), filter_action=action)
        door.control("rules")

    server.django(change)


async def until(outcome: Callable[[], Awaitable[bool]]) -> None:
    """The server reads a room's words when it is told to, which nobody is told of. Asked without a
    pause it would take the client for a flood."""
    async with asyncio.timeout(20):
        while not await outcome():  # noqa: ASYNC110 (only asking tells)
            await asyncio.sleep(0.05)


async def body_of(client: Client, room: str, text: str) -> str:
    sent = await client.say(room, text)
    body: str = (await client.gets(room, seq=sent["seq"]))["data"]["body"]
    return body


async def refusal_of(client: Client, room: str, text: str) -> str:
    try:
        await client.say(room, text)
    except Refused as refused:
        return refused.code
    return "ok"


async def test_a_room_masks_its_words_and_no_other_room_does(server: Server, alice: Client) -> None:
    room, other = server.room("room", [alice.person]), server.room("other", [alice.person])
    await alice.join(room)
    await alice.join(other)
    filter_words(server, room, "darn", "Straße")
    await until(lambda: is_masked(alice, room))
    assert await body_of(alice, room, "a DARN strasse, darning") == "a **** *******, darning"
    assert await body_of(alice, other, "darn") == "darn"
    sent = await alice.say(room, "well")
    edit = {"room": room, "client_id": "e", "target": sent["seq"], "body": "darn"}
    edited = await alice.call("edit", edit)
    assert (await alice.gets(room, seq=edited["seq"]))["data"]["body"] == "****"


async def is_masked(client: Client, room: str) -> bool:
    return await body_of(client, room, "darn") == "****"


async def test_a_room_may_refuse_messages_with_its_words(server: Server, alice: Client) -> None:
    room = server.room("room", [alice.person])
    filter_words(server, room, "darn", action="refuse")
    await until(lambda: is_refused(alice, room))
    with pytest.raises(Refused) as refused:
        await alice.say(room, "oh Darn")
    assert refused.value.error["message"] == "this room takes no message with 'Darn' in it"
    assert refused.value.error["field"] == "body" and not refused.value.error["temporary"]
    assert await refusal_of(alice, room, "fine") == "ok"
    filter_words(server, room)
    await until(lambda: is_taken(alice, room))


async def is_refused(client: Client, room: str) -> bool:
    return await refusal_of(client, room, "darn") == "forbidden"


async def is_taken(client: Client, room: str) -> bool:
    return await refusal_of(client, room, "darn") == "ok"

"""The filter of words, as everyone in a room sees it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chat.models import Message
from tests.conftest import MakeServer
from tests.support import Client, Server


@pytest.fixture(scope="module")
def filtering(new_server: MakeServer) -> Iterator[Server]:
    with new_server(env={"FILTERED_WORDS": "darn, straße"}) as server:
        yield server


@pytest.fixture
def server(filtering: Server) -> Server:
    return filtering


async def test_filtered_words_are_masked_before_anything_is_stored(
    server: Server, alice: Client, bob: Client
) -> None:
    room = server.room("room", [alice.person, bob.person])
    await bob.join(room)
    sent = await alice.say(room, "Darn STRASSE, darning", client_id="darn")
    assert sent["client_id"] == "darn"
    got = await bob.gets(room, seq=sent["seq"])
    assert got["data"]["body"] == "**** *******, darning" and got["data"]["client_id"] == "darn"
    assert "html" not in got["data"]
    edit = await alice.call(
        "edit", {"room": room, "client_id": "e", "target": sent["seq"], "body": "oh darn"}
    )
    assert (await bob.gets(room, seq=edit["seq"]))["data"]["body"] == "oh ****"
    (message,) = (await bob.call("history", {"room": room}))["messages"]
    assert message["data"]["body"] == "oh ****"
    stored = server.django(
        lambda: list(Message.objects.filter(room__slug=room).values_list("body", flat=True))
    )
    assert not any("darn " in body.lower() for body in stored)


async def test_names_of_rooms_are_no_messages(server: Server, alice: Client) -> None:
    assert (await alice.call("room:create", {"room": f"darn-{alice.id}", "name": "darn"}))["name"] == "darn"

"""Input that nobody foresaw: no event of the chat answers `internal`, whatever its data."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.conftest import MakeServer
from tests.support import Client, Person, Server
from tests.support.client import Closed

pytestmark = pytest.mark.each_server

ROUNDS = 400

STRANGE: list[Any] = [
    None, True, False, 0, 1, -1, 2, 5, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 2**80, -(2**70), 0.5, -0.0,
    1e308, 1e-320, "", " ", "a", "general", "a" * 64, "a" * 65, "x" * 17_000, "é" * 300, "\0", "a\0b",
    "\u202e", "\ufeff", "😀", "👍", "\u2028", "null", "__class__", "../..", "'; DROP TABLE chat_room; --",
    "<script>alert(1)</script>", "[a](javascript:alert(1))", "@" * 500, "@alice @bob", "*" * 2000, "[" * 2000,
    "`" * 1000, "> " * 500, "%s%n", "{}", "ordered", "unordered", [], {}, [1], [1, "x"], [[[]]], {"a": 1},
    {"id": 1}, [None], [2**80], [-1], ["a"] * 100,
]  # fmt: skip
FIELDS = [
    "room", "client_id", "body", "target", "reply_to", "emoji", "on", "after", "before", "limit", "epoch",
    "after_client_id", "ack", "seq", "user", "name", "topic", "private", "ordering", "ack_wait",
    "max_deliver",
]  # fmt: skip


def events() -> list[str]:
    from chat.namespaces.chat import Chat

    return sorted(Chat.handlers)


def sensible(dice: random.Random, room: str, person: Person) -> dict[str, Any]:
    """Data with which most events get somewhere."""
    return {
        "room": room, "client_id": f"c-{dice.random()}", "body": "hi", "target": 1, "reply_to": 1,
        "emoji": "👍", "on": True, "seq": dice.randint(0, 5), "user": person.id,
    }  # fmt: skip


def data_for(dice: random.Random, room: str, person: Person) -> Any:
    if dice.random() < 0.1:
        return dice.choice(STRANGE)
    data = sensible(dice, room, person)
    for field in dice.sample(FIELDS, dice.randint(0, 4)):
        data[field] = dice.choice(STRANGE)
    for field in dice.sample(sorted(data), dice.choice([0, 0, 0, 1, 2])):
        del data[field]
    return data


def received_for(dice: random.Random, room: str) -> Any:
    return {
        dice.choice([room, "", "No", "socket", "self"]): dice.choice(STRANGE)
        for _ in range(dice.randint(0, 3))
    }


@pytest.fixture
def unlimited(make_server: MakeServer, server_kind: str) -> Server:
    return make_server(server_kind, env={"RATE_LIMIT": "off"}).start()


async def test_no_data_makes_an_event_of_the_chat_fail_in_an_unforeseen_way(unlimited: Server) -> None:
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    person, other = unlimited.person("alice"), unlimited.person("bob")
    room = unlimited.room("fuzz", members=[person])
    client = await Client.open(unlimited.ws, token=person.token)
    await client.join(room)
    for number in range(1000, 1000 + ROUNDS):
        event = dice.choice(events())
        data = received_for(dice, room) if event == "received" else data_for(dice, room, other)
        if event == "room:quit":
            continue
        await client.send_raw(json.dumps({"event": event, "data": data, "id": number}))
        answer = await client.expect_ack(number)
        error = answer.get("error", {})
        assert error.get("code") != "internal", (seed, event, data, unlimited.log())
        if error.get("code") == "bad_data":
            assert "field" in error, (seed, event, data, error)
    assert not [line for line in unlimited.log(5000).splitlines() if "Traceback" in line], seed
    await client.drop()


async def test_no_frame_ends_the_server_or_gets_a_stack_trace(unlimited: Server) -> None:
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    person = unlimited.person("alice")
    valid = json.dumps({"event": "message", "data": {"room": "a", "client_id": "c", "body": "hi"}, "id": 1})
    for _ in range(40):
        client = await Client.open(unlimited.ws, token=person.token)
        assert client.hello, seed
        try:
            for _ in range(50):
                await client.send_raw(mutated(dice, valid))
            await client.send_raw('{"event":"rooms","id":987654321}')
            await client.expect_ack(987_654_321)
            await client.drop()
        except (Closed, ConnectionClosed):
            assert await client.closed() == 4500, seed
        assert "Traceback" not in json.dumps(client.packets), seed
    assert "Traceback" not in unlimited.log(5000), seed


def mutated(dice: random.Random, text: str) -> str | bytes:
    for _ in range(dice.randint(1, 4)):
        place = dice.randrange(len(text) + 1)
        match dice.randrange(5):
            case 0:
                text = text[:place] + text[place + dice.randint(1, 5) :]
            case 1:
                text = text[:place] + dice.choice('{}[]":,\\\n\0é😀0-9eE. \u2028') + text[place:]
            case 2:
                text = text[:place] + text[: dice.randrange(len(text) + 1)] + text[place:]
            case 3:
                text = (
                    text[:place]
                    + dice.choice(["NaN", "1e999", "\\ud800", "[" * 40, "null", "9" * 400])
                    + text[place:]
                )
            case _:
                text = text[place:] + text[:place]
    return text.encode() if dice.random() < 0.02 else text

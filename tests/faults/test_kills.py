"""The promise while the server is killed and answers get lost.

`FAULT_MESSAGES`, `FAULT_KILLS` and `FAULT_SEED` make it longer, or the same again.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.conftest import MakeServer
from tests.faults.conversation import Conversation
from tests.support import Server, check
from tests.support.server import KINDS


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("kind", "database", "messages", "kills"),
    [
        ("daphne", "sqlite", 2_000, 10),
        ("uvicorn", "sqlite", 5_000, 10),
        ("uvicorn", "postgres", 1_000, 3),
    ],
)
async def test_every_acknowledged_message_is_received_once_by_all_in_one_order_across_sigkills(
    request: pytest.FixtureRequest,
    make_server: MakeServer,
    kind: str,
    database: str,
    messages: int,
    kills: int,
) -> None:
    seed = int(os.environ.get("FAULT_SEED") or random.SystemRandom().randrange(1_000_000))
    messages = int(os.environ.get("FAULT_MESSAGES") or messages)
    kills = int(os.environ.get("FAULT_KILLS") or kills)
    url = request.getfixturevalue("postgres_url") if database == "postgres" else ""
    server = make_server(kind, database_url=url, env={"RATE_LIMIT": "off"}).start()
    talk = Conversation(server, seed, messages=messages, kills=kills)

    history = await talk.run()

    deliveries = sum(map(len, history.deliveries.values()))
    print(f"seed {seed}: {messages} messages, {kills} kills, {talk.lost_answers} lost answers,")
    print(
        f"{talk.connections} connections of senders, {deliveries} deliveries to {len(history.joined)} members"
    )
    findings = check(history)
    assert not findings, "\n".join(map(str, findings[:20]))
    assert len({(sender, client_id) for sender, client_id, _ in history.acks}) == messages
    assert talk.lost_answers >= messages // 500


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_restart_in_mid_conversation_loses_and_doubles_nothing(
    make_server: MakeServer, kind: str
) -> None:
    server = make_server(kind, env={"RATE_LIMIT": "off"}).start()
    history = await Conversation(server, 1, messages=600, kills=2, end=Server.stop).run()
    findings = check(history)
    assert not findings, "\n".join(map(str, findings[:20]))


@pytest.mark.timeout(300)
async def test_an_unordered_room_gives_each_acknowledged_message_once_across_sigkills(
    make_server: MakeServer,
) -> None:
    server = make_server("uvicorn", env={"RATE_LIMIT": "off"}).start()
    history = await Conversation(server, 1, messages=800, kills=3, ordered=False).run()
    findings = check(history)
    assert not findings, "\n".join(map(str, findings[:20]))

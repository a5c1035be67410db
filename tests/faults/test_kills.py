"""The promise while the server is killed and answers get lost.

`FAULT_MESSAGES`, `FAULT_KILLS` and `FAULT_SEED` make it longer, or the same again.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.conftest import MakeServer
from tests.faults.conversation import Conversation
from tests.support import check


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("kind", "messages", "kills"), [("daphne", 5_000, 10), ("uvicorn", 5_000, 10)])
async def test_every_acknowledged_message_is_received_once_by_all_in_one_order_across_sigkills(
    make_server: MakeServer, kind: str, messages: int, kills: int
) -> None:
    seed = int(os.environ.get("FAULT_SEED") or random.SystemRandom().randrange(1_000_000))
    messages = int(os.environ.get("FAULT_MESSAGES") or messages)
    kills = int(os.environ.get("FAULT_KILLS") or kills)
    server = make_server(kind, env={"RATE_LIMIT": "off"}).start()
    talk = Conversation(server, seed, messages=messages, kills=kills)

    history = await talk.run()

    print(f"seed {seed}: {messages} messages, {kills} kills, {talk.lost_answers} lost answers,")
    print(
        f"{talk.connections} connections of senders, {sum(map(len, history.deliveries.values()))} deliveries"
    )
    findings = check(history)
    assert not findings, "\n".join(map(str, findings[:20]))
    assert len({(sender, client_id) for sender, client_id, _ in history.acks}) == messages
    assert talk.lost_answers >= messages // 500

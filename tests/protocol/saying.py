"""What people try to say, where it may be refused."""

from __future__ import annotations

import uuid
from typing import Any

from tests.support import Client, Refused


def message(room: str, body: str = "hello") -> dict[str, Any]:
    return {"room": room, "client_id": uuid.uuid4().hex, "body": body}


async def refused_in_the_end(client: Client, room: str, body: str) -> dict[str, Any]:
    """The word of new rules may be on its way to the server, and a first message is never too soon."""
    for _ in range(1000):
        try:
            await client.say(room, body)
        except Refused as refusal:
            return refusal.error
    raise AssertionError(f"{body!r} was never refused")

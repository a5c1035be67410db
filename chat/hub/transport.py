"""What ASGI does not say of a connection: how much is unsent, and how to cut it.

uvicorn's `send` blocks above its high-water mark; Daphne's never does and buffers without
bound, so there the transport's own buffer is measured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

HIGH_WATER = 256 * 1024
LOOK_AGAIN = 0.05  # seconds
#: Seconds that a client has to take what is left and answer a close. Daphne's own is one: it
#: would cut slow clients before they have read why.
FAREWELL = 10.0
#: Close codes that are a server's own, which Daphne doesn't let an application send.
RESERVED = range(1001, 3000)


def paced(send: Any) -> Any:
    """A `send` that blocks while too much is unsent, on every server."""
    transport = _twisted(send)
    if transport is None:
        return send
    send.args[0].closeHandshakeTimeout = FAREWELL

    async def send_paced(message: dict[str, Any]) -> None:
        if message["type"] == "websocket.close" and message["code"] in RESERVED:
            transport.abortConnection()
            return
        await send(message)
        while _unsent(transport) > HIGH_WATER and transport.connected:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(LOOK_AGAIN)

    return send_paced


def aborter(send: Any) -> Callable[[], None]:
    """A function that cuts the connection without a goodbye."""
    transport = _twisted(send)
    if transport is not None:
        return transport.abortConnection
    protocol = getattr(send, "__self__", None)
    transport = getattr(protocol, "transport", None)
    return transport.abort if transport is not None else lambda: None


def _twisted(send: Any) -> Any:
    """Daphne's `send` is a partial over its protocol."""
    if not (isinstance(send, partial) and send.args):
        return None
    transport = getattr(send.args[0], "transport", None)
    return transport if hasattr(transport, "dataBuffer") else None


def _unsent(transport: Any) -> int:
    return len(transport.dataBuffer) - transport.offset + transport._tempDataLen

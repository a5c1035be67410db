"""How a socket comes in and goes, whichever door it takes."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from chat.delivery.pools import Together
from chat.errors import Close, EventError
from chat.hub.hub import Hub
from chat.namespace import IN_WORK, Socket
from chat.services import people

logger = logging.getLogger(__name__)

#: Characters that may be parked for one socket by a server that can't be paused.
PARKED = 2**20
LOOK_AGAIN = 0.1  #: seconds between two looks at them
RIGHTS_SECONDS = 20.0  #: after which a connection whose rights can't be read is sent away

CLOSE_CODES = {
    "bad_packet": Close.PROTOCOL_ERROR,
    "unauthenticated": Close.UNAUTHENTICATED,
    "rate_limited": Close.RATE_LIMITED,
    "unavailable": Close.GOING_AWAY,
    "internal": Close.GOING_AWAY,
}

Receive = Callable[[], Awaitable[dict[str, Any]]]
T = TypeVar("T")

read_rights = Together(people.read_rights)


async def check_ready(hub: Hub) -> None:
    """Raises `unavailable`."""
    try:
        if not hub.stopping:
            await hub.start()
    except Exception:
        logger.exception("the hub can't start yet")
        raise EventError("unavailable", "The server isn't ready yet.") from None
    if hub.stopping:
        raise EventError("unavailable", "The server is going away; come back.")


async def identify(socket: Socket, claim: people.Claim | None, receive: Receive | None) -> None:
    """Find who is speaking and ask the namespace whether they may come in. Raises EventError."""
    if claim is not None:
        socket.rights = await _rights(claim, receive)
    await socket.namespace.admit(socket)


def admit(socket: Socket, greet: Callable[[], None]) -> None:
    """The socket is let in: from now on events find it, after the greeting."""
    hub = socket.namespace.hub
    hub.admit(socket)
    greet()
    hub.activity.note("a user connected", socket=socket)


def let_go(socket: Socket) -> None:
    """The socket is gone."""
    hub = socket.namespace.hub
    hub.unregister(socket)
    socket.namespace.farewell(socket)
    if socket.admitted:
        hub.activity.note("a user disconnected", socket=socket)


async def free_slot(socket: Socket, receive: Receive | None) -> None:
    """Return once fewer than `IN_WORK` of the socket's events are in work."""
    while socket.in_work >= IN_WORK:
        await _watched(socket.slot(), receive)


async def _rights(claim: people.Claim, receive: Receive | None) -> people.Rights:
    try:
        async with asyncio.timeout(RIGHTS_SECONDS):
            return await _watched(asyncio.ensure_future(read_rights(claim)), receive)
    except EventError:
        raise
    except Exception:
        logger.exception("rights could not be read")
        raise EventError("unavailable", "Who you are could not be looked up now.") from None


async def _watched(future: asyncio.Future[T], receive: Receive | None) -> T:
    """Wait, and read no further meanwhile. uvicorn then stops reading, too, and so do the
    kernel and the client. Daphne reads on into the queue behind `receive`, without a bound."""
    queue = getattr(receive, "__self__", None)
    if not isinstance(queue, asyncio.Queue):
        return await future
    while not future.done():
        await asyncio.wait({future}, timeout=LOOK_AGAIN)
        if _parked(queue) > PARKED:
            future.cancel()
            raise EventError("rate_limited", "Too much waits behind 64 unanswered events.", retry_after=1.0)
    return future.result()


def _parked(queue: asyncio.Queue[dict[str, Any]]) -> int:
    waiting: deque[dict[str, Any]] = queue._queue  # type: ignore[attr-defined]
    return sum(len(message.get("text") or message.get("bytes") or "") for message in waiting)

"""The hub's beginning and end, on whichever server runs the application.

A stop must be ours first: plain uvicorn closes its sockets with 1012 and plain Daphne without
a close frame, before the journal has answered. So SIGTERM and SIGINT first stop the hub and
then go to the handler that was there.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from types import FrameType
from typing import Any

from .hub.hub import Hub, get_hub
from .namespace import finish_handlers

logger = logging.getLogger("chat.hub")

HANDLERS = 2.0  #: seconds that a stop waits for handlers to give their answers


async def lifespan(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The ASGI lifespan protocol, which uvicorn speaks and Daphne doesn't."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                await begin()
            except Exception as failure:
                logger.exception("the server can't start")
                await send({"type": "lifespan.startup.failed", "message": str(failure)})
                return
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return


async def begin() -> None:
    await get_hub().start()
    _stop_first()


def begin_on_daphne() -> None:
    """Daphne installs its signal handlers when its reactor starts: begin right after that."""
    if "daphne.server" in sys.modules:
        from twisted.internet import reactor

        reactor.callWhenRunning(_begin_soon)


def _begin_soon() -> None:
    task = asyncio.get_event_loop().create_task(begin())
    task.add_done_callback(_log_failure)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("the hub can't start yet; the first connection tries again", exc_info=task.exception())


def _stop_first() -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        then = signal.getsignal(number)
        loop.add_signal_handler(number, _stop, loop, number, then)


def _stop(loop: asyncio.AbstractEventLoop, number: int, then: Any) -> None:
    hub = get_hub()
    if hub.stopping:  # asked twice: at once
        _hand_on(number, then)
        return
    hub.stopping = True
    logger.info("stopping")
    loop.create_task(_wind_down(hub)).add_done_callback(lambda _: _hand_on(number, then))


async def _wind_down(hub: Hub) -> None:
    await hub.drain()
    await finish_handlers(HANDLERS)
    await hub.stop()


def _hand_on(number: int, then: Any) -> None:
    if callable(then):
        frame: FrameType | None = None
        then(number, frame)
    else:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

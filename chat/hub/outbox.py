"""What a socket still has to be sent: in order, one send in flight, bounded."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import types
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from typing import Any

from ..errors import Close, EventError
from . import transport

logger = logging.getLogger("chat.hub")

#: What may wait for one socket beside what the server has taken, over all its rooms.
LIMIT = 4 * 2**20
#: A socket that takes nothing for so many seconds is closed.
STALL = 30.0
#: A close frame that could not be sent for so many seconds is given up and the connection cut.
GRACE = 5.0

Send = Callable[[dict[str, Any]], Coroutine[Any, Any, None]]


class Outbox:
    """Never blocks its caller. While the server is still busy with one send, what comes after
    waits here, acks too.

    `send` is the ASGI server's own: its coroutine is stepped by hand, and only one that blocks
    gets a task. It mostly finishes in the first step, and a wake-up a socket is what a fan-out
    spends most of its time on otherwise. (A task can't be made of a coroutine that has begun, so
    `_resume` goes on with it.)
    """

    def __init__(self, send: Send, wire: Any) -> None:
        self.wire = wire
        #: Called when the socket is too slow, with the close code and what to tell the client.
        self.on_slow: Callable[[int, EventError], None] | None = None
        self.size = 0  #: characters and bytes that wait
        self._send = transport.paced(send)
        self._abort = transport.aborter(send)
        self._context = contextvars.copy_context()
        self._queue: deque[dict[str, Any]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._progress = 0.0
        self._idle: list[asyncio.Future[None]] = []
        self._ended = False

    @property
    def busy(self) -> bool:
        """Whether anything still waits to be taken by the server."""
        return self._task is not None

    def put(self, frame: str | bytes) -> None:
        """Send a frame after all that was put before it."""
        kind = "text" if isinstance(frame, str) else "bytes"
        self._put({"type": "websocket.send", kind: frame}, len(frame))

    def close(self, code: int) -> None:
        """Close the connection after all that was put before; nothing is taken after that."""
        self._put({"type": "websocket.close", "code": int(code)}, 0)  # Daphne takes no IntEnum
        self._ended = True
        if self._task is not None:
            asyncio.get_running_loop().call_later(GRACE, self._cut, self._task)

    def discard(self) -> None:
        """The connection is gone, or will be cut: forget what waits."""
        self._ended = True
        self._queue.clear()
        self.size = 0

    def abort(self) -> None:
        """Cut the connection: its peer does not read, so no close frame would reach it."""
        self.discard()
        if self._task is not None:
            self._task.cancel()
        self._abort()

    async def idle(self) -> None:
        """Return once nothing waits. Whoever reads pages for a socket waits here between two."""
        while self._task is not None:
            future = asyncio.get_running_loop().create_future()
            self._idle.append(future)
            await future

    def _put(self, message: dict[str, Any], size: int) -> None:
        if self._ended:
            return
        if self._task is None:
            self._step(message)
            return
        self._queue.append(message)
        self.size += size
        if self.size > LIMIT:
            self._too_slow("too much is waiting for this connection")

    def _step(self, message: dict[str, Any]) -> None:
        sending = self._send(message)
        try:
            awaited = self._context.run(sending.send, None)
        except StopIteration:
            return
        except Exception:
            self._peer_gone()
            return
        loop = asyncio.get_running_loop()
        self._progress = loop.time()
        self._task = loop.create_task(self._go_on(_resume(sending, awaited)))
        if self._watch is None:
            self._watch = loop.call_later(STALL, self._check_stall)

    async def _go_on(self, sending: Awaitable[None]) -> None:
        try:
            await sending
            while self._queue:
                message = self._queue.popleft()
                self.size -= len(message.get("text") or message.get("bytes") or "")
                self._progress = asyncio.get_running_loop().time()
                await self._send(message)
        except Exception:
            self._peer_gone()
        finally:
            self._task = None
            waiting, self._idle = self._idle, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)

    def _peer_gone(self) -> None:
        """The server can't send; its disconnect event follows."""
        logger.debug("a connection is gone", exc_info=True)  # noqa: LOG014 (it is being handled)
        self.discard()

    def _check_stall(self) -> None:
        self._watch = None
        if self._task is None or self._ended:
            return
        loop = asyncio.get_running_loop()
        left = self._progress + STALL - loop.time()
        if left <= 0:
            self._too_slow(f"this connection took nothing for {STALL:.0f} seconds")
        else:
            self._watch = loop.call_later(left, self._check_stall)

    def _cut(self, sending: asyncio.Task[None]) -> None:
        if self._task is sending:
            self.abort()

    def _too_slow(self, why: str) -> None:
        self._queue.clear()  # but for the reason and the close frame, which may still go out
        self.size = 0
        if self.on_slow is not None:
            self.on_slow(Close.TOO_SLOW, EventError("too_slow", why))
        self._ended = True  # what comes next would follow a gap


@types.coroutine
def _resume(coroutine: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    """Go on with a coroutine that was stepped by hand as far as `awaited`."""
    while True:
        try:
            value = yield awaited
        except BaseException as error:
            step = partial(coroutine.throw, error)
        else:
            step = partial(coroutine.send, value)
        try:
            awaited = step()
        except StopIteration:
            return

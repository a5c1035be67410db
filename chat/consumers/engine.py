"""Engine.IO sessions: one client each, over HTTP polling, a WebSocket, or the one and then the other."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Any, Protocol

from chat.errors import EventError
from chat.hub.outbox import Outbox
from chat.middleware import check_connection
from chat.origin import Handshake
from chat.wire.engineio import (
    CLOSE,
    MESSAGE,
    NOOP,
    PING,
    PONG,
    PROBE,
    UPGRADE,
    BadFrame,
    Frame,
    Options,
    Packet,
    decode,
)

from .entrance import Receive
from .polling import PollingApp, Polls, Refused, read_query

logger = logging.getLogger(__name__)

UPGRADE_SECONDS = 10.0  #: from a probe to the switch
#: Seconds for which a client that polls may still fetch why its session has ended.
LAST_WORDS = 30.0
NORMAL, TOO_BIG = 1000, 1009  #: WebSocket close codes of RFC 6455


class Connection(Protocol):
    """What stands on a session."""

    async def receive(self, data: Frame, receive: Receive | None) -> None: ...

    def too_slow(self, code: int, error: EventError) -> None: ...

    def closed(self) -> None: ...


class Engine:
    """The sessions of one address and how they are told what comes."""

    def __init__(self, connect: Callable[[Session], Connection], options: Options | None = None) -> None:
        self.options = options or Options()
        self.connect = connect
        self.sessions: dict[str, Session] = {}
        self.http = PollingApp(self)

    def open(self, handshake: Handshake, outbox: Any) -> Session:
        session = Session(self, handshake, outbox)
        self.sessions[session.id] = session
        return session

    async def websocket(self, scope: dict[str, Any], receive: Receive, send: Any) -> None:
        """The ASGI application for WebSockets. What can't be a session never gets to be one."""
        await receive()  # websocket.connect
        handshake = Handshake(scope)
        try:
            session = read_query(self, scope)
            if session is None:
                check_connection(handshake.address)
        except (Refused, EventError):
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})
        outbox = Outbox(send, None)
        if session is None:
            session = self.open(handshake, outbox)
            session.begin(upgrades=[])
            await session.listen(receive)
        elif session.may_upgrade:
            await session.upgrade(handshake, outbox, receive)
        else:
            outbox.close(NORMAL)


class Session:
    """`outbox` is that of the transport in use: it takes frames, one for each packet."""

    def __init__(self, engine: Engine, handshake: Handshake, outbox: Any) -> None:
        self.id = secrets.token_urlsafe(18)
        self.opening = handshake  #: some clients show only here who they are
        self.handshake = handshake  #: of the latest request that brought packets
        self.options = engine.options
        self.outbox = outbox
        self.posting = False
        self.ended = False
        self._engine = engine
        self._upgrading = False
        self._timer: asyncio.TimerHandle | None = None
        self._connection = engine.connect(self)
        outbox.on_slow = self._connection.too_slow

    def begin(self, upgrades: list[str]) -> None:
        self.outbox.put(self.options.open(self.id, upgrades))
        self._beat_later()

    def send(self, frame: Frame) -> None:
        self.outbox.put(frame)

    async def take(self, packet: Packet, receive: Receive | None) -> None:
        """What the client sent, over whichever transport; `receive` is the WebSocket's."""
        if self.ended:
            return
        if packet.kind == MESSAGE:
            try:
                await self._connection.receive(packet.data, receive)
            except Exception:
                logger.exception("a session of Socket.IO failed")
                self.end()
        elif packet.kind == PONG:
            self._beat_later()
        elif packet.kind == CLOSE:
            self._leave()
        elif packet.kind not in (NOOP, UPGRADE):
            raise BadFrame("only a server says that")

    def end(self, code: int = NORMAL, *, last_words: bool = False) -> None:
        """Close the transport, after all that was sent before. A client that polls gets that with
        the request that waits, or with `last_words` also with its next one: then it is to come
        back, and isn't told to close, which some clients take for a goodbye."""
        if self.ended:
            return
        if isinstance(self.outbox, Polls):
            if not last_words:
                self.outbox.put(CLOSE)
            self._over(self.outbox)
            if last_words:
                self._engine.sessions[self.id] = self
                asyncio.get_running_loop().call_later(LAST_WORDS, self._forget)
        else:
            self.outbox.close(code)
            self._over()

    def _leave(self) -> None:
        """The client says goodbye, and is told nothing more."""
        if isinstance(self.outbox, Polls):
            self.outbox.take(self.options.max_payload)
            self._over(self.outbox)
        else:
            self.end()

    def _over(self, polls: Polls | None = None) -> None:
        self.ended = True
        if self._timer is not None:
            self._timer.cancel()
        if polls is not None:
            polls.end()
        self._forget()
        # Not at once: it may end while something goes through all sockets.
        asyncio.get_running_loop().call_soon(self._connection.closed)

    def abort(self) -> None:
        """The client does not read: cut the connection."""
        if not isinstance(self.outbox, Polls):
            self.outbox.abort()
        self.end()
        self._forget()

    def fetched(self) -> None:
        """A client that polls has all there is."""
        if self.ended:
            self._forget()

    def _forget(self) -> None:
        self._engine.sessions.pop(self.id, None)

    # -- WebSockets

    async def listen(self, receive: Receive) -> None:
        """Take in frames until the connection ends."""
        outbox = self.outbox
        try:
            await self._hear(receive)
        finally:  # Daphne cancels what takes long after the client has gone
            outbox.discard()
            self.end()

    async def _hear(self, receive: Receive) -> None:
        while (message := await receive())["type"] != "websocket.disconnect":
            frame = message.get("text")
            frame = message["bytes"] if frame is None else frame
            if self.ended:
                continue
            try:
                if len(frame) > self.options.max_payload:
                    self.end(TOO_BIG)
                else:
                    await self.take(decode(frame), receive)
            except BadFrame:
                self.end()

    @property
    def may_upgrade(self) -> bool:
        return isinstance(self.outbox, Polls) and not self._upgrading and not self.ended

    async def upgrade(self, handshake: Handshake, outbox: Outbox, receive: Receive) -> None:
        """From polling to this WebSocket, if the client goes through with it. If not, only the
        WebSocket is closed."""
        self._upgrading = True
        polls = self.outbox
        try:
            async with asyncio.timeout(UPGRADE_SECONDS):
                agreed = await self._agree(outbox, receive)
        except TimeoutError:
            agreed = False
        self._upgrading = polls.hurried = False
        if not agreed or self.ended:
            outbox.close(NORMAL)
            return
        self._switch(handshake, outbox)
        await self.listen(receive)

    async def _agree(self, outbox: Outbox, receive: Receive) -> bool:
        if await _frame(receive) != PING + PROBE:
            return False
        outbox.put(PONG + PROBE)
        self.outbox.hurried = True  # the client ends its polling before it goes on
        self.outbox.release()
        return await _frame(receive) == UPGRADE

    def _switch(self, handshake: Handshake, outbox: Outbox) -> None:
        polls = self.outbox
        outbox.on_slow = self._connection.too_slow
        self.handshake, self.outbox = handshake, outbox
        while frames := polls.take(self.options.max_payload):
            for frame in frames:
                outbox.put(frame)
        polls.end()

    # -- Heartbeat: one deadline, whichever half of it runs

    def _beat_later(self) -> None:
        self._set_timer(self.options.ping_interval, self._beat)

    def _beat(self) -> None:
        self.send(PING)
        self._set_timer(self.options.ping_timeout, self.end)

    def _set_timer(self, seconds: float, then: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self.ended:
            self._timer = asyncio.get_running_loop().call_later(seconds, then)


async def _frame(receive: Receive) -> Any:
    """The text of the next frame; None for another one, or at the end."""
    return (await receive()).get("text")

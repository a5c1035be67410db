"""Engine.IO over HTTP: a GET waits for what is to be received, a POST brings what is sent."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

from chat.errors import Close, EventError
from chat.hub.hub import get_hub
from chat.hub.outbox import LIMIT
from chat.middleware import check_connection
from chat.origin import Handshake
from chat.wire.engineio import NOOP, BadFrame, Frame, join, split

from .entrance import Receive

if TYPE_CHECKING:
    from .engine import Engine, Session

#: Packets in an answer: python-engineio's clients take no more.
MOST = 16
BETWEEN = 100  #: packets of a request that are taken in before others have their turn
#: Codes of the errors that a handshake or a request may get, and their messages.
ERRORS = {
    0: "Transport unknown",
    1: "Session ID unknown",
    2: "Bad handshake method",
    3: "Bad request",
    4: "Forbidden",
    5: "Unsupported protocol version",
}


class Polls:
    """What a client has yet to fetch: the outbox of a session that polls."""

    def __init__(self) -> None:
        self.on_slow: Callable[[int, EventError], None] | None = None
        self.size = 0  #: characters and bytes that wait
        self.hurried = False  #: a request is answered at once, since an upgrade waits for its end
        self._frames: deque[Frame] = deque()
        self.fetching = False  #: whether a request waits, or is about to
        self._fetching: asyncio.Future[None] | None = None
        self._idle: list[asyncio.Future[None]] = []
        self._ended = False

    @property
    def busy(self) -> bool:
        return bool(self._frames)

    def put(self, frame: Frame) -> None:
        if self._ended:
            return
        self._frames.append(frame)
        self.size += len(frame)
        if self.size > LIMIT:
            self._too_slow()
        self.release()

    def _too_slow(self) -> None:
        self._frames.clear()  # but for the reason, which may still be fetched
        self.size = 0
        if self.on_slow is not None:
            self.on_slow(Close.TOO_SLOW, EventError("too_slow", "too much is waiting for this connection"))
        self._ended = True  # what comes next would follow a gap

    def end(self) -> None:
        """Nothing more is taken; what waits may still be fetched."""
        self._ended = True
        self.release()

    def release(self) -> None:
        """Let the request that waits answer now."""
        if self._fetching is not None and not self._fetching.done():
            self._fetching.set_result(None)

    async def idle(self) -> None:
        """Return once nothing waits."""
        while self._frames:
            future = asyncio.get_running_loop().create_future()
            self._idle.append(future)
            await future

    async def wait(self) -> None:
        """Return once there is something, or nothing will come. One request at a time."""
        if not (self._frames or self._ended or self.hurried):
            self._fetching = asyncio.get_running_loop().create_future()
            try:
                await self._fetching
            finally:
                self._fetching = None

    def take(self, limit: int) -> list[Frame]:
        """What waits, at least one frame and as many more as fit so many bytes and an answer."""
        taken: list[Frame] = []
        left = limit
        while self._frames and len(taken) < MOST and (not taken or left >= _encoded(self._frames[0])):
            frame = self._frames.popleft()
            self.size -= len(frame)
            left -= _encoded(frame)
            taken.append(frame)
        if not self._frames:
            waiting, self._idle = self._idle, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)
        return taken


def _encoded(frame: Frame) -> int:
    """Bytes that a frame takes in a payload, at most, with the separator."""
    return 4 * len(frame) + 2 if isinstance(frame, str) and not frame.isascii() else 4 * len(frame) // 3 + 6


class Refused(Exception):
    def __init__(self, code: int, status: int = 400) -> None:
        self.status = status
        self.body = {"code": code, "message": ERRORS[code]}


def read_query(engine: Engine, scope: dict[str, Any]) -> Session | None:
    """The session that a request belongs to, None for a new one. Raises Refused."""
    query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    transport = "polling" if scope["type"] == "http" else "websocket"
    if query.get("transport") not in ("polling", "websocket"):
        raise Refused(0)
    if query.get("EIO") != "4":
        raise Refused(5)
    session = None
    if "sid" in query and (session := engine.sessions.get(query["sid"])) is None:
        raise Refused(1)
    if session is None and transport == "polling" and scope["method"] != "GET":
        raise Refused(2)
    if query["transport"] != transport:
        raise Refused(3)
    if get_hub().stopping and (session is None or transport == "websocket"):
        raise Refused(3, 503)  # some clients never come back if they lose what has just begun
    return session


class PollingApp:
    """The ASGI application. Channels' own HTTP consumer can't tell that a client has gone while
    its handler waits."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Any) -> None:
        handshake = Handshake(scope)
        headers = _cross_origin(handshake)
        status, body = 200, "ok"
        try:
            if scope["method"] == "OPTIONS":
                status, body = 204, ""
                headers += _preflight(scope)
            else:
                answer = await self._answer(scope, handshake, receive)
                if answer is None:
                    return  # nobody is there any more
                body = answer
        except Refused as refused:
            status, body = refused.status, msgspec.json.encode(refused.body).decode()
            headers = [*headers, (b"content-type", b"application/json")]
        else:
            headers = [*headers, (b"content-type", b"text/plain; charset=UTF-8")]
        encoded = body.encode()
        headers += [(b"content-length", str(len(encoded)).encode()), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": encoded})

    async def _answer(self, scope: dict[str, Any], handshake: Handshake, receive: Receive) -> str | None:
        session = read_query(self._engine, scope)
        if session is None:
            return self._open(handshake)
        polls = session.outbox
        if not isinstance(polls, Polls):
            raise Refused(3)
        if scope["method"] == "GET":
            return await self._get(session, polls, receive)
        if scope["method"] == "POST" and not session.ended:
            return await self._post(session, scope, handshake, receive)
        raise Refused(3)

    def _open(self, handshake: Handshake) -> str:
        try:
            check_connection(handshake.address)
        except EventError:
            raise Refused(4, 403) from None
        polls = Polls()
        session = self._engine.open(handshake, polls)
        session.begin(upgrades=["websocket"])
        return join(polls.take(self._engine.options.max_payload))

    async def _get(self, session: Session, polls: Polls, receive: Receive) -> str | None:
        if polls.fetching:
            session.end()  # the request that waits tells of it
            raise Refused(3)
        polls.fetching = True
        gone = asyncio.ensure_future(_gone(receive))
        waiting = asyncio.ensure_future(polls.wait())
        try:
            await asyncio.wait({gone, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            polls.fetching = False
            gone.cancel()
            if not waiting.done():
                waiting.cancel()
                session.end()
        if not waiting.done() or waiting.cancelled():
            return None
        frames = polls.take(self._engine.options.max_payload)
        if not polls.busy:
            session.fetched()
        return join(frames or [NOOP])

    async def _post(
        self, session: Session, scope: dict[str, Any], handshake: Handshake, receive: Receive
    ) -> str:
        if session.posting or dict(scope["headers"]).get(b"content-type") == b"application/octet-stream":
            session.end()
            raise Refused(3)
        session.posting = True
        try:
            body = await _read_body(receive, self._engine.options.max_payload)
            # A browser names the Origin here, which it leaves out of a GET to its own site.
            session.handshake = handshake
            for count, packet in enumerate(split(body.decode())):
                if count % BETWEEN == 0:
                    await asyncio.sleep(0)
                await session.take(packet, None)
        except (BadFrame, UnicodeDecodeError):
            session.end()
            raise Refused(3) from None
        finally:
            session.posting = False
        return "ok"


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _read_body(receive: Receive, limit: int) -> bytes:
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadFrame("the request ended early")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > limit:
            raise Refused(3, 413)
    return body


def _cross_origin(handshake: Handshake) -> list[tuple[bytes, bytes]]:
    """Pages of ALLOWED_ORIGINS may read the answers, with the person's cookies."""
    if (origin := handshake.origin) is None:
        return []
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-credentials", b"true"),
        (b"vary", b"Origin"),
    ]


def _preflight(scope: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    wanted = dict(scope["headers"]).get(b"access-control-request-headers", b"content-type")
    return [
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-allow-headers", wanted),
        (b"access-control-max-age", b"600"),
    ]

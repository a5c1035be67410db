"""A raw client of Engine.IO 4 and Socket.IO 5: it sends what it is told, and does nothing by itself
but answer pings where it is asked for packets of the other kinds.
"""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
import re
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from http.client import HTTPResponse
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from .client import TIMEOUT, Closed, dial

ENGINE, SOCKET = "/engine.io/", "/socket.io/"
SEPARATOR = "\x1e"
CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = range(7)

Frame = str | bytes


def query(transport: str | None, sid: str | None = None, eio: str | None = "4", **more: str) -> str:
    given = {"EIO": eio, "transport": transport, "sid": sid, **more}
    return urlencode({name: value for name, value in given.items() if value is not None})


# HTTP


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def packets(self) -> list[str]:
        assert self.status == 200, self
        return self.text.split(SEPARATOR)

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = json.loads(self.body)
        return error


class Request:
    """An HTTP request that has been sent; its answer may take a while."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def send(
        cls,
        origin: str,
        target: str,
        method: str = "GET",
        body: Frame | None = None,
        headers: dict[str, str] | None = None,
    ) -> Request:
        url = urlsplit(origin)
        lines = {"Host": url.netloc, "Connection": "close", **(headers or {})}
        content = body.encode() if isinstance(body, str) else body
        if content is not None:
            lines = {"Content-Type": "text/plain;charset=UTF-8", "Content-Length": str(len(content)), **lines}
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(
            f"{key}: {text}\r\n" for key, text in lines.items()
        )
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        writer.write(head.encode("latin-1") + b"\r\n" + (content or b""))
        return cls(reader, writer)

    async def response(self) -> Response:
        """Raises `Closed` where the connection ends without one."""
        try:
            async with asyncio.timeout(TIMEOUT):
                received = await self._reader.read()
        except ConnectionError as gone:
            raise Closed(str(gone)) from None
        finally:
            self._writer.close()
        if not received:
            raise Closed("the connection ended without an answer")
        answer = HTTPResponse(cast(Any, _Received(received)))
        answer.begin()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Response(answer.status, headers, answer.read())

    def abort(self) -> None:
        self._writer.transport.abort()


class _Received:
    """What `HTTPResponse` takes for a socket."""

    def __init__(self, received: bytes) -> None:
        self._received = received

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._received)


async def fetch(origin: str, target: str, method: str = "GET", **options: Any) -> Response:
    return await (await Request.send(origin, target, method, **options)).response()


# Socket.IO's packets


@dataclass(slots=True)
class Packet:
    """What is inside a message of Engine.IO."""

    type: int
    namespace: str = "/"
    data: Any = None
    id: int | None = None
    attachments: list[bytes] = field(default_factory=list)
    missing: int = 0  #: attachments that are still to come

    @property
    def event(self) -> str:
        assert self.type in (EVENT, BINARY_EVENT), self
        name: str = self.data[0]
        return name

    @property
    def arguments(self) -> list[Any]:
        assert self.type in (EVENT, BINARY_EVENT), self
        arguments: list[Any] = self.data[1:]
        return arguments


SHAPE = re.compile(r"4([0-6])(?:(\d+)-)?(?:(/[^,]*),?)?(\d+)?(.*)", re.DOTALL)


def parse(frame: str) -> Packet:
    found = SHAPE.fullmatch(frame)
    assert found, frame
    kind, attachments, namespace, id, data = found.groups()
    return Packet(
        int(kind),
        namespace or "/",
        json.loads(data) if data else None,
        None if id is None else int(id),
        missing=int(attachments or 0),
    )


def write(
    kind: int, namespace: str = "/", data: Any = None, id: int | None = None, attachments: int | None = None
) -> str:
    """A packet's text. `data` is left out where it is None."""
    count = "" if attachments is None else f"{attachments}-"
    where = "" if namespace == "/" else f"{namespace},"
    number = "" if id is None else str(id)
    return f"4{kind}{count}{where}{number}" + ("" if data is None else json.dumps(data))


# Sessions


class Session(ABC):
    """What both transports can do."""

    def __init__(self, origin: str, path: str) -> None:
        self.origin, self.path = origin, path
        #: What the server said of the session: `sid`, `upgrades`, `pingInterval`, …
        self.handshake: dict[str, Any] = {}
        self.last_sent = 0.0
        self._ids = itertools.count(1)
        self.kept: list[Packet] = []  #: what nobody has asked for yet

    @property
    def sid(self) -> str:
        sid: str = self.handshake["sid"]
        return sid

    @abstractmethod
    async def send(self, *frames: Frame) -> None: ...

    @abstractmethod
    async def receive(self) -> Frame:
        """The next packet of Engine.IO, whatever it is. Raises `Closed`."""

    @abstractmethod
    async def drop(self) -> None:
        """Gone without a word."""

    async def message(self) -> Frame:
        """The next packet that is no ping (those are answered)."""
        while (frame := await self.receive()) == "2":
            await self.send("3")
        return frame

    # Socket.IO

    async def connect(self, namespace: str = "/", auth: Any = None) -> Packet:
        """The server's answer: a CONNECT or a CONNECT_ERROR."""
        await self.send(write(CONNECT, namespace, auth))
        return await self.take(CONNECT, CONNECT_ERROR, namespace=namespace)

    async def emit(self, event: str, *data: Any, namespace: str = "/", id: int | None = None) -> None:
        await self.send(write(EVENT, namespace, [event, *data], id))

    async def call(self, event: str, *data: Any, namespace: str = "/") -> Any:
        """What the ack's callback is given: its first argument."""
        id = next(self._ids)
        await self.emit(event, *data, namespace=namespace, id=id)
        answer = await self.take(ACK, BINARY_ACK, namespace=namespace, id=id)
        return answer.data[0] if answer.data else None

    async def expect(self, event: str, namespace: str = "/") -> list[Any]:
        """The arguments of the next event of this name."""
        return (await self.take(EVENT, BINARY_EVENT, namespace=namespace, event=event)).arguments

    async def take(
        self, *kinds: int, namespace: str = "/", id: int | None = None, event: str | None = None
    ) -> Packet:
        """The next packet that fits and that nobody has asked for yet; the others are kept."""

        def fits(packet: Packet) -> bool:
            return (
                packet.type in kinds
                and packet.namespace == namespace
                and (id is None or packet.id == id)
                and (event is None or packet.event == event)
            )

        for packet in self.kept:
            if fits(packet):
                self.kept.remove(packet)
                return packet
        while not fits(packet := await self.packet()):
            self.kept.append(packet)
        return packet

    async def packet(self) -> Packet:
        """The next packet of Socket.IO, with its attachments."""
        frame = await self.message()
        assert isinstance(frame, str), frame
        packet = parse(frame)
        for _ in range(packet.missing):
            attachment = await self.message()
            assert isinstance(attachment, bytes), attachment
            packet.attachments.append(attachment)
        return packet


class Polling(Session):
    @classmethod
    async def open(cls, origin: str, path: str = SOCKET, headers: dict[str, str] | None = None) -> Polling:
        session = cls(origin, path)
        session.headers = headers or {}
        (packet,) = (await session.get()).packets
        assert packet.startswith("0"), packet
        session.handshake = json.loads(packet[1:])
        return session

    def __init__(self, origin: str, path: str) -> None:
        super().__init__(origin, path)
        self.headers: dict[str, str] = {}
        self._buffer: list[str] = []

    @property
    def target(self) -> str:
        return f"{self.path}?{query('polling', self.handshake.get('sid'))}"

    async def begin(self) -> Request:
        """A GET, while its answer is awaited."""
        return await Request.send(self.origin, self.target, headers=self.headers)

    async def get(self) -> Response:
        return await fetch(self.origin, self.target, headers=self.headers)

    async def post(self, body: Frame, **headers: str) -> Response:
        return await fetch(self.origin, self.target, "POST", body=body, headers={**self.headers, **headers})

    async def send(self, *frames: Frame) -> None:
        body = SEPARATOR.join(frame if isinstance(frame, str) else base64_packet(frame) for frame in frames)
        self.last_sent = time.monotonic()
        answer = await self.post(body)
        if (answer.status, answer.text) != (200, "ok"):
            raise Closed(f"{answer.status} {answer.text}")

    async def receive(self) -> Frame:
        if not self._buffer:
            answer = await self.get()
            if answer.status != 200:
                raise Closed(f"{answer.status} {answer.text}")
            self._buffer = answer.packets
        packet = self._buffer.pop(0)
        return base64.b64decode(packet[1:]) if packet.startswith("b") else packet

    async def drop(self) -> None:
        (await self.begin()).abort()

    async def gone(self) -> bool:
        """Whether the server knows nothing of this session any more."""
        answer = await self.get()
        return answer.status == 400 and answer.error["code"] == 1


def base64_packet(data: bytes) -> str:
    return "b" + base64.b64encode(data).decode()


class WebSocket(Session):
    @classmethod
    async def open(cls, origin: str, path: str = SOCKET, headers: dict[str, str] | None = None) -> WebSocket:
        """A session from the start."""
        socket = await cls.dial(origin, f"{path}?{query('websocket')}", headers)
        frame = await socket.receive()
        assert isinstance(frame, str) and frame.startswith("0"), frame
        socket.handshake = json.loads(frame[1:])
        return socket

    @classmethod
    async def dial(cls, origin: str, target: str, headers: dict[str, str] | None = None) -> WebSocket:
        """A WebSocket, whatever comes first."""
        url = origin.replace("http", "ws", 1) + target
        connection = await dial(url, additional_headers=headers or {})
        return cls(origin, target.partition("?")[0], connection)

    @classmethod
    async def beside(cls, session: Polling) -> WebSocket:
        """A WebSocket of this session's, not upgraded yet."""
        target = f"{session.path}?{query('websocket', session.sid)}"
        socket = await cls.dial(session.origin, target, session.headers)
        socket.handshake = session.handshake
        return socket

    def __init__(self, origin: str, path: str, connection: ClientConnection) -> None:
        super().__init__(origin, path)
        self.connection = connection

    async def upgrade(self) -> None:
        await self.send("2probe")
        assert await self.receive() == "3probe"
        await self.send("5")

    async def send(self, *frames: Frame) -> None:
        self.last_sent = time.monotonic()
        try:
            for frame in frames:
                await self.connection.send(frame)
        except ConnectionClosed as gone:
            raise Closed(str(gone)) from None

    async def receive(self) -> Frame:
        try:
            async with asyncio.timeout(TIMEOUT):
                return await self.connection.recv()
        except ConnectionClosed as gone:
            raise Closed(str(gone)) from None

    async def closed(self) -> float:
        """Waits for the server to close it; returns the seconds since something was last sent."""
        try:
            while True:
                await self.receive()
        except Closed:
            return time.monotonic() - self.last_sent

    async def drop(self) -> None:
        self.connection.transport.abort()
        await self.connection.wait_closed()

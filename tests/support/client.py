"""A client of the line wire, with a vocabulary for tests."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

Packet = dict[str, Any]
TIMEOUT = 20.0


class Refused(Exception):
    """An error ack or an `{"error"}` packet."""

    def __init__(self, error: Packet) -> None:
        self.error = error
        self.code: str = error["code"]
        self.message: str = error["message"]
        self.temporary: bool = error["temporary"]
        super().__init__(json.dumps(error))


class Closed(Exception):
    """The connection ended before what was waited for came."""


class Client:
    """One socket. Everything that comes is kept in `packets`, entries also in `log[room]`."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.hello: Packet = {}
        #: Whom it speaks for, where a fixture made it.
        self.person: Any = None
        #: Seconds that a wait may take.
        self.timeout = TIMEOUT
        self.packets: list[Packet] = []
        self.frames = 0
        self.log: dict[str, list[Packet]] = defaultdict(list)
        #: Called with each entry as it comes.
        self.on_entry: Callable[[Packet], None] | None = None
        self._unseen: list[Packet] = []
        self._ids = itertools.count(1)
        self._acks: dict[int, asyncio.Future[Any]] = {}
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(
        cls,
        base: str,
        namespace: str = "chat",
        *,
        token: str | None = None,
        cookie: str | None = None,
        origin: str | None = None,
        headers: dict[str, str] | None = None,
        kernel_buffer: int | None = None,
    ) -> Client:
        """Connects and waits for the first packet: `hello`, where the server lets it in.

        With a small `kernel_buffer` the server soon notices a client that stops reading.
        """
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if cookie is not None:
            sent["Cookie"] = cookie
        connection = await dial(
            f"{base}/ws/{namespace}/",
            sock=None if kernel_buffer is None else connected(base, kernel_buffer),
            origin=origin,
            additional_headers=sent,
        )
        client = cls(connection)
        await client._until(lambda: bool(client.packets))
        if client.packets[0].get("event") == "connect":
            client.hello = client._unseen.pop(0)["data"]
        return client

    @property
    def id(self) -> int:
        return int(self.hello["user"]["id"])

    @property
    def name(self) -> str:
        return str(self.hello["user"]["name"])

    # Sending

    async def send_raw(self, frame: str | bytes) -> None:
        await self.connection.send(frame)

    async def emit(self, event: str, data: Any = None) -> None:
        """An event without an ack."""
        await self.send_raw(json.dumps({"event": event, "data": data}))

    async def submit(self, event: str, data: Any = None) -> asyncio.Future[Any]:
        """Sends an event; the future is its ack's data, or raises `Refused` or `Closed`."""
        number = next(self._ids)
        future = self._acks[number] = asyncio.get_running_loop().create_future()
        try:
            await self.send_raw(json.dumps({"event": event, "data": data, "id": number}))
        except ConnectionClosed as gone:
            self._forget(gone)
        return future

    async def call(self, event: str, data: Any = None) -> Any:
        async with asyncio.timeout(self.timeout):
            return await (await self.submit(event, data))

    async def refusal(self, event: str, data: Any = None) -> Packet:
        """The error with which the event is refused."""
        try:
            answer = await self.call(event, data)
        except Refused as refused:
            return refused.error
        raise AssertionError(f"{event} was not refused but answered with {answer}")

    async def ack(self, number: int, data: Any = None) -> None:
        """Answers an event for which the server wants an ack."""
        await self.send_raw(json.dumps({"ack": number, "data": data}))

    async def join(self, room: str, **more: Any) -> Packet:
        answer: Packet = await self.call("join", {"room": room, **more})
        return answer

    async def say(self, room: str, body: str, client_id: str | None = None, **more: Any) -> Packet:
        data = {"room": room, "client_id": client_id or str(uuid.uuid4()), "body": body, **more}
        answer: Packet = await self.call("message", data)
        return answer

    async def received(self, room: str, upto: int | list[int]) -> None:
        await self.emit("received", {room: upto})

    # Waiting

    async def expect(self, event: str, **match: Any) -> Packet:
        """The next packet of this event, an entry or not, that nobody has asked for yet.

        `match` compares fields of the packet or of its data.
        """
        return await self._take(lambda p: p.get("event") == event and matches(p, match))

    async def expect_error(self, code: str | None = None) -> Packet:
        """The next `{"error"}` packet's error."""
        packet = await self._take(lambda p: "error" in p and "ack" not in p)
        assert code is None or packet["error"]["code"] == code, packet
        error: Packet = packet["error"]
        return error

    async def expect_ack(self, number: int) -> Packet:
        """The ack of a packet that was sent raw."""
        return await self._take(lambda p: p.get("ack") == number)

    async def gets(self, room: str, **match: Any) -> Packet:
        """The first entry of the room that fits, whether it has come or is to come."""
        found: list[Packet] = []

        def look() -> bool:
            found[:] = [entry for entry in self.log[room] if matches(entry, match)][:1]
            return bool(found)

        await self._until(look)
        return found[0]

    async def gets_upto(self, room: str, seq: int) -> list[Packet]:
        """Everything that has come of the room once the entry `seq` has."""
        await self.gets(room, seq=seq)
        return list(self.log[room])

    async def entries(self, room: str) -> AsyncIterator[Packet]:
        """The room's entries as they come, from the first this socket got."""
        for position in itertools.count():
            await self._until(lambda position=position: len(self.log[room]) > position)  # type: ignore[misc]
            yield self.log[room][position]

    def bodies(self, room: str) -> list[str]:
        return [entry["data"].get("body", "") for entry in self.log[room] if entry["event"] == "message"]

    def seqs(self, room: str) -> list[int]:
        return [entry["seq"] for entry in self.log[room]]

    # The end

    @property
    def close_code(self) -> int | None:
        return self.connection.close_code

    async def closed(self) -> int | None:
        """Waits for the server to close; returns the close code."""
        async with asyncio.timeout(self.timeout):
            await asyncio.shield(self._reader)
        return self.close_code

    async def ends(self, code: int, error: str, within: float = TIMEOUT) -> Packet:
        """The server says why, and closes, in time. What it says."""
        began = time.monotonic()
        assert await self.closed() == code
        assert time.monotonic() - began < within
        told: Packet = self.packets[-1]["error"]
        assert told["code"] == error
        return told

    async def close(self) -> None:
        await self.connection.close()
        await self._reader

    async def drop(self) -> None:
        """Gone without a word."""
        self.connection.transport.abort()
        await self._reader

    # The inside

    async def _read(self) -> None:
        try:
            async for frame in self.connection:
                self.frames += 1
                text = frame if isinstance(frame, str) else frame.decode()
                for line in text.split("\n"):
                    self._take_in(json.loads(line))
                async with self._news:
                    self._news.notify_all()
            self._forget(None)
        except ConnectionClosed as gone:
            self._forget(gone)
        finally:
            async with self._news:
                self._news.notify_all()

    def _take_in(self, packet: Packet) -> None:
        self.packets.append(packet)
        if "ack" in packet:
            future = self._acks.pop(packet["ack"], None)
            if future is None:  # to a packet that was sent raw
                self._unseen.append(packet)
                return
            if future.cancelled():
                return
            if "error" in packet:
                future.set_exception(Refused(packet["error"]))
                future.exception()  # asked for: no complaint where nobody waits
            else:
                future.set_result(packet["data"])
            return
        self._unseen.append(packet)
        if "seq" in packet:
            self.log[packet["room"]].append(packet)
            if self.on_entry:
                self.on_entry(packet)

    def _forget(self, gone: ConnectionClosed | None) -> None:
        for future in self._acks.values():
            if not future.done():
                future.set_exception(Closed(str(gone)))
                future.exception()
        self._acks.clear()

    async def _take(self, wanted: Callable[[Packet], bool]) -> Packet:
        found: list[Packet] = []

        def look() -> bool:
            found[:] = [packet for packet in self._unseen if wanted(packet)][:1]
            return bool(found)

        await self._until(look)
        self._unseen.remove(found[0])
        return found[0]

    async def _until(self, condition: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(self.timeout), self._news:
                await self._news.wait_for(lambda: condition() or self._reader.done())
        except TimeoutError:
            raise TimeoutError(
                f"not within {self.timeout} s; the last that came: {self.packets[-5:]}"
            ) from None
        if not condition():
            raise Closed(f"closed with {self.close_code}; the last that came: {self.packets[-5:]}")


def matches(packet: Packet, match: dict[str, Any]) -> bool:
    data = packet.get("data")
    fields = {**(data if isinstance(data, dict) else {}), **packet}
    return all(name in fields and fields[name] == value for name, value in match.items())


async def dial(url: str, **more: Any) -> ClientConnection:
    """A WebSocket as tests want it: nothing packed, bounded or pinged behind their back."""
    return await connect(
        url,
        compression=None,
        max_size=None,
        max_queue=None,
        ping_interval=None,
        proxy=None,
        open_timeout=TIMEOUT,
        close_timeout=2,
        **more,
    )


def connected(base: str, kernel_buffer: int) -> socket.socket:
    url = urlsplit(base)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, kernel_buffer)  # before it connects
    connection.connect((url.hostname, url.port))
    return connection

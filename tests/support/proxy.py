"""A TCP proxy in front of a server that does to connections what networks do."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, field
from typing import Self

from .server import HOST


class Proxy:
    """`async with Proxy(server.port) as proxy:` clients then connect to `proxy.ws`.

    `cut` resets every connection, `lose_answer` loses an ack.
    """

    def __init__(self, port: int) -> None:
        self.lost_answers = 0
        self._target = port
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, HOST, 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def ws(self) -> str:
        return f"ws://{HOST}:{self.port}"

    def cut(self) -> None:
        """Resets every connection, on both sides."""
        for link in list(self._links):
            link.reset()

    def lose_answer(self) -> None:
        """The next request arrives at the server; from then on nothing comes back, and once
        an ack is among what is swallowed, the connection is reset.
        """
        for link in self._links:
            link.losing = True

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream = await asyncio.open_connection(HOST, self._target)
        except ConnectionError:
            reset(writer)
            return
        link = Link(writer, upstream[1])
        self._links.add(link)
        pumps = [
            asyncio.create_task(self._pump(link, reader, upstream[1], answers=False)),
            asyncio.create_task(self._pump(link, upstream[0], writer, answers=True)),
        ]
        self._tasks.update(pumps)
        try:
            await asyncio.gather(*pumps)
        finally:
            self._tasks.difference_update(pumps)
            self._links.discard(link)
            writer.close()
            upstream[1].close()

    async def _pump(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        try:
            while data := await reader.read(65536):
                if answers and link.asked:
                    if link.swallow(data):
                        self.lost_answers += 1
                        link.reset()
                    continue
                writer.write(data)
                await writer.drain()
                link.asked = link.asked or (link.losing and not answers)
            writer.write_eof()
        except (ConnectionError, OSError, RuntimeError):
            link.reset()


@dataclass(eq=False)
class Link:
    """One connection: the client's side and the server's side."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    losing: bool = False
    #: While losing: a request has gone through, so its answer is on the way.
    asked: bool = False
    _swallowed: bytearray = field(default_factory=bytearray)

    def swallow(self, data: bytes) -> bool:
        """Whether an ack is among what was swallowed. Server frames are neither masked nor
        compressed, so it can be read.
        """
        self._swallowed += data
        return b'"ack":' in self._swallowed

    def reset(self) -> None:
        reset(self.client)
        reset(self.server)


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection with RST instead of FIN."""
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()

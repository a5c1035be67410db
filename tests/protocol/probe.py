"""The site's application with one more namespace, whose handlers do what no real one should."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path, re_path

from chatsite.asgi import application as site  # sets Django up

from chat.consumers.lines import LinesConsumer  # isort: skip
from chat.middleware import authenticated, rate_limit, rates  # isort: skip
from chat.namespace import Namespace, Slug, Socket, on  # isort: skip


class Probe(Namespace):
    path = "probe"
    middleware = (authenticated, rate_limit("50/s:200"))

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.entered = 0

    @on("echo")
    async def echo(self, socket: Socket, value: Any = None) -> Any:
        return value

    @on("wait")
    async def wait(self, socket: Socket) -> None:
        """Answered once somebody opens the gate."""
        self.entered += 1
        await self.gate.wait()

    @on("open")
    def open(self, socket: Socket) -> None:
        self.gate.set()

    @on("entered")
    def count(self, socket: Socket) -> int:
        return self.entered

    @on("shut")
    def shut(self, socket: Socket) -> None:
        self.gate.clear()
        self.entered = 0

    @on("crash")
    async def crash(self, socket: Socket, room: Slug = "general") -> None:
        raise RuntimeError("a secret of the server's")

    @on("ask")
    async def ask(self, socket: Socket) -> Any:
        return await socket.emit("question", {"of": "life"}, ack=True)

    @on("end")
    async def end(self, socket: Socket, code: int) -> None:
        socket.close(code)


if "CONNECTIONS" in os.environ:  # an address's limit that a test can reach
    rates._connections = rates.Buckets(*rates.parse_rate(os.environ["CONNECTIONS"]))

application = ProtocolTypeRouter(
    {
        **site.application_mapping,
        "websocket": URLRouter(
            [
                path("ws/probe/", LinesConsumer.as_asgi(namespace=Probe())),
                re_path("", site.application_mapping["websocket"]),
            ]
        ),
    }
)

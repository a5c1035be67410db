"""What the test suites of Engine.IO's and Socket.IO's protocols expect of a server, behind the same
doors as everything else. `manage.py conformance` serves it; a site never does.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import django
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
django.setup()

from chat.consumers.engine import Engine, Session  # noqa: E402
from chat.consumers.socketio import Connection  # noqa: E402
from chat.lifecycle import begin_on_daphne, lifespan  # noqa: E402
from chat.namespace import Namespace, Socket, on  # noqa: E402
from chat.wire.engineio import MESSAGE, Frame, Options  # noqa: E402
from chat.wire.packets import Arguments  # noqa: E402

#: What the suites are written for.
OPTIONS = Options(ping_interval=0.3, ping_timeout=0.2, max_payload=1_000_000, connect_timeout=1.0)


class Custom(Namespace):
    """Tells a client how it introduced itself."""

    path = "custom"
    arguments = True

    async def connect(self, socket: Socket) -> None:
        await socket.emit("auth", socket.auth)


class Main(Custom):
    """Gives back what it is given."""

    path = "conformance"

    @on("message")
    async def message(self, socket: Socket, arguments: list[Any]) -> None:
        await socket.emit("message-back", Arguments(arguments))

    @on("message-with-ack")
    async def message_with_ack(self, socket: Socket, arguments: list[Any]) -> Arguments:
        return Arguments(arguments)


class Anyone(Connection):
    """Takes a `token` for any other word of the client's."""

    def _claim(self, auth: dict[str, Any]) -> None:
        return None


class Echo:
    """Engine.IO alone: every message goes back as it came."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def receive(self, data: Frame, receive: Any) -> None:
        self._session.send(data if isinstance(data, bytes) else MESSAGE + data)

    def too_slow(self, code: int, error: Any) -> None:
        self._session.end(code)

    def closed(self) -> None:
        pass


def serve(options: Options) -> ProtocolTypeRouter:
    """The ASGI application: Engine.IO at /engine.io/, Socket.IO at /socket.io/."""
    namespaces = {"chat": Main(), "custom": Custom()}  # `/` is the chat's
    doors: dict[str, Any] = {
        "engine.io/": Engine(Echo, options),
        "socket.io/": Engine(partial(Anyone, namespaces), options),
    }
    return ProtocolTypeRouter(
        {
            "http": URLRouter([path(where, door.http) for where, door in doors.items()]),
            "websocket": URLRouter([path(where, door.websocket) for where, door in doors.items()]),
            "lifespan": lifespan,
        }
    )


application = serve(OPTIONS)

begin_on_daphne()

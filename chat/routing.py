"""From a URL to what answers there."""

from __future__ import annotations

from functools import partial
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path, re_path

from chat.consumers.engine import Engine
from chat.consumers.lines import LinesConsumer
from chat.consumers.socketio import Connection
from chat.hub.hub import get_hub
from chat.lifecycle import begin_on_daphne, lifespan
from chat.namespace import discover

namespaces = discover()
for each in namespaces:
    get_hub().events.servers[each.path] = each.heard

socketio: Any = Engine(partial(Connection, {each.path: each for each in namespaces}))
django: Any = get_asgi_application()

websockets = URLRouter(
    [
        path("socket.io/", socketio.websocket),
        *(path(f"ws/{each.path}/", LinesConsumer.as_asgi(namespace=each)) for each in namespaces),
        # Accepted and refused in words: a browser can't see why a handshake failed.
        re_path("", LinesConsumer.as_asgi(namespace=None)),
    ]
)

application = ProtocolTypeRouter(
    {
        "http": URLRouter([path("socket.io/", socketio.http), re_path("", django)]),
        "websocket": websockets,
        "lifespan": lifespan,
    }
)

begin_on_daphne()

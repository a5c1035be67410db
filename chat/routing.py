"""From a URL to what answers there."""

from __future__ import annotations

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path, re_path

from chat.consumers.lines import LinesConsumer
from chat.hub.hub import get_hub
from chat.lifecycle import begin_on_daphne, lifespan
from chat.namespace import discover

namespaces = discover()
for each in namespaces:
    get_hub().events.servers[each.path] = each.heard

websockets = URLRouter(
    [
        *(path(f"ws/{each.path}/", LinesConsumer.as_asgi(namespace=each)) for each in namespaces),
        # Accepted and refused in words: a browser can't see why a handshake failed.
        re_path("", LinesConsumer.as_asgi(namespace=None)),
    ]
)

application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": websockets,
        "lifespan": lifespan,
    }
)

begin_on_daphne()

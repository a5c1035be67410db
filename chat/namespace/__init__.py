"""Namespaces: named events, checked data, answers.

    class Orders(Namespace):
        path = "orders"
        middleware = [authenticated, rate_limit("30/s")]

        @on("order:rest")
        async def rest(self, socket: Socket, queue: Slug) -> dict[str, Any]:
            ...
            return {"queue": queue}

The event's data is checked against the handler's signature, what the handler returns is the
ack's data, and an `EventError` that it raises is the error ack.
"""

from chat.hub.addresses import user_room

from .broadcast import Answers, Broadcast, RemoteSocket
from .handlers import BODY, Body, Check, ClientId, Limit, Seq, Slug, on, on_any, on_server
from .namespaces import IN_WORK, Namespace, Next, after_answer, finish_handlers, internal_error
from .registry import discover, paths, register
from .sockets import Socket, User

__all__ = [
    "BODY",
    "IN_WORK",
    "Answers",
    "Body",
    "Broadcast",
    "Check",
    "ClientId",
    "Limit",
    "Namespace",
    "Next",
    "RemoteSocket",
    "Seq",
    "Slug",
    "Socket",
    "User",
    "after_answer",
    "discover",
    "finish_handlers",
    "internal_error",
    "on",
    "on_any",
    "on_server",
    "paths",
    "register",
    "user_room",
]

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

from .handlers import BODY, Body, Check, ClientId, Limit, Seq, Slug, on
from .namespaces import IN_WORK, Namespace, Next, after_answer, finish_handlers, internal_error
from .sockets import Socket, User

__all__ = [
    "BODY",
    "IN_WORK",
    "Body",
    "Check",
    "ClientId",
    "Limit",
    "Namespace",
    "Next",
    "Seq",
    "Slug",
    "Socket",
    "User",
    "after_answer",
    "finish_handlers",
    "internal_error",
    "on",
]

"""The people: who there is, who is online, and word of who comes and goes."""

from __future__ import annotations

from typing import Any

from chat.delivery import pools
from chat.middleware import authenticated, rate_limit
from chat.namespace import Limit, Namespace, Socket, on, register
from chat.services import presence


@register
class Users(Namespace):
    """Every socket here gets `user:connected` and `user:disconnected`, which the hub emits."""

    path = "users"
    middleware = (authenticated, rate_limit())

    @on("user:list")
    async def list_people(
        self, socket: Socket, query: str = "", after: str = "", limit: Limit | None = None
    ) -> dict[str, Any]:
        return await pools.read(presence.list_people, query, after, limit)

"""Access: who may come in, and whose events are carried out."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from chat.delivery import pools
from chat.errors import Close, EventError
from chat.models import SLUG_PATTERN
from chat.services import rooms

if TYPE_CHECKING:
    from chat.namespace import Next, Socket
    from chat.wire.packets import Event


class Authenticated:
    """Only people come in."""

    async def connect(self, socket: Socket) -> None:
        if socket.user is None:
            raise EventError("unauthenticated", "Sign in to come in.")


authenticated = Authenticated()


class StaffOnly:
    """Only the staff come in, and only while they are staff: with that right the socket goes."""

    async def connect(self, socket: Socket) -> None:
        self.recheck(socket)

    def recheck(self, socket: Socket) -> None:
        if socket.user is None or not socket.user.staff:
            raise EventError("forbidden", "This is for the staff alone.")

    async def __call__(self, socket: Socket, event: Event, next: Next) -> Any:
        try:
            self.recheck(socket)
        except EventError as refusal:
            # Once the event has its answer: nothing is sent after a close.
            asyncio.get_running_loop().call_soon(socket.close, Close.NOT_ALLOWED, refusal)
            raise
        return await next(socket, event)


staff_only = StaffOnly()


class MemberOf:
    """Events that name a room or a queue are for its members; the staff pass."""

    def __init__(
        self,
        field: str,
        namespace: str | None,
        roles: Collection[str] | None,
        events: Collection[str] | None,
    ) -> None:
        self._field, self._namespace = field, namespace
        self._roles, self._events = roles, events

    async def __call__(self, socket: Socket, event: Event, next: Next) -> Any:
        room = event.data.get(self._field) if isinstance(event.data, dict) else None
        asked = self._events is None or event.name in self._events
        # What is no name of a room is left to the handler, which says what would be right.
        if asked and isinstance(room, str) and re.match(SLUG_PATTERN, room):
            await self._check(socket, room)
        return await next(socket, event)

    async def _check(self, socket: Socket, room: str) -> None:
        if socket.user is None:
            raise EventError("unauthenticated", "Sign in to come in.")
        if not socket.user.staff:
            namespace = self._namespace or socket.namespace_path
            await pools.read(rooms.check_member, namespace, room, socket.user.id, self._roles)


def member_of(
    field: str = "room",
    *,
    namespace: str | None = None,
    roles: Collection[str] | None = None,
    events: Collection[str] | None = None,
) -> MemberOf:
    """Refuses `forbidden` who isn't a member of the room that `field` names, or has none of these
    roles there (`"owner"`, `"moderator"`, `"member"`), and `not_found` who may not see it.

    `namespace` is the room's, by default the socket's own; `events` those it stands before, by
    default all that have the field.
    """
    return MemberOf(field, namespace, roles, events)

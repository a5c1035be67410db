"""A namespace that does what a test asks of it: every call of the API by an event."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection, transaction

from chat.delivery.entries import Draft
from chat.emit import aemit, emit
from chat.errors import EventError
from chat.middleware import authenticated, rate_limit
from chat.namespace import Body, ClientId, Namespace, Next, Slug, Socket, on, on_any, on_server, register
from chat.wire.packets import Event

#: What the door says to people of these names.
REFUSALS = {
    "muddy": EventError("forbidden", "wipe your feet"),
    "forged": EventError("unauthenticated", "this is no ticket"),
    "hasty": EventError("rate_limited", "one at a time", retry_after=2.0),
    "early": EventError("unavailable", "not open yet"),
    "unlucky": RuntimeError("a secret of the door's"),
}


class Doorkeeper:
    async def connect(self, socket: Socket) -> None:
        if (refusal := REFUSALS.get(first_name(socket))) is not None:
            raise refusal


def first_name(socket: Socket) -> str:
    return "" if socket.user is None else socket.user.name.partition("-")[0]


def traced(name: str) -> Callable[[Socket, Event, Next], Any]:
    """Notes where a `trace` comes by, on its way in and out, and refuses it where it asks for that."""

    async def middleware(socket: Socket, event: Event, next: Next) -> Any:
        if event.name != "trace":
            return await next(socket, event)
        refuse = event.data.get("refuse")
        if refuse == f"before {name}":
            raise EventError("forbidden", refuse)
        trail = [*event.data.get("trail", []), f"before {name}"]
        answer = await next(socket, Event("trace", {**event.data, "trail": trail}, event.id))
        if refuse == f"after {name}":
            raise EventError("conflict", refuse)
        return [*answer, f"after {name}"]

    return middleware


class Base(Namespace):
    async def connect(self, socket: Socket) -> None:
        if first_name(socket) == "regretted":
            raise EventError("forbidden", "on second thoughts, no")


@register
class Stage(Base):
    path = "stage"
    middleware = (authenticated, Doorkeeper(), traced("outer"), traced("inner"))

    def __init__(self) -> None:
        super().__init__()
        self.heard_of: list[Any] = []
        self.left: list[str] = []

    # Everything that a socket and a namespace can do

    @on("chain")
    async def chain(self, socket: Socket, of: str, steps: list[Any]) -> Any:
        """`[["to", ["kitchen"], {}], ["volatile"], ["emit", ["bell"], {}]]` of `"socket"` or
        `"namespace"`: see `tests.stage.calls`."""
        value: Any = socket if of == "socket" else self
        for name, *call in steps:
            value = getattr(value, name)
            if call:
                value = value(*call[0], **call[1])
            if inspect.isawaitable(value):
                value = await value
        return value

    async def disconnect(self, socket: Socket) -> None:
        self.left.append(socket.id)
        if first_name(socket) == "clumsy":
            raise RuntimeError("a secret of the stage's")

    @on("left")
    async def who_left(self, socket: Socket) -> list[str]:
        return self.left

    # What comes by

    @on_any
    async def seen(self, socket: Socket, event: str, data: Any) -> None:
        socket.data.setdefault("seen", []).append([event, data])
        if data == "refuse me":
            raise EventError("forbidden", "as you wish")

    @on("seen")
    async def what_was_seen(self, socket: Socket) -> list[Any]:
        return socket.data["seen"]  # type: ignore[no-any-return]

    @on("trace")
    async def trace(self, socket: Socket, trail: list[str], refuse: str = "") -> list[str]:
        if refuse == "here":
            raise EventError("not_found", refuse)
        return [*trail, "here"]

    @on("direct")
    def direct(self, socket: Socket) -> str:
        return "past the middleware"

    @on("crash")
    async def crash(self, socket: Socket) -> None:
        raise RuntimeError("a secret of the stage's")

    @on_server("cue")
    async def cue(self, data: Any) -> None:
        self.heard_of.append(data)
        await self.local.emit("cue heard", data)

    @on("heard")
    async def heard_cues(self, socket: Socket) -> list[Any]:
        return self.heard_of

    # What does not go through

    @on("large answer")
    async def large_answer(self, socket: Socket, size: int) -> str:
        return "x" * size

    @on("large emit")
    async def large_emit(self, socket: Socket, size: int) -> None:
        await self.emit("large", "x" * size)

    @on("clog")
    async def clog(self, socket: Socket, sid: str) -> None:
        """Send to a socket that doesn't read until much waits for it, and goes on waiting: nobody
        tells how much the kernel still takes."""
        (other,) = [each for each in self.hub.sockets if each.id == sid]
        while other.outbox.size < 2**20:
            while other.outbox.size < 2**20:
                await other.emit("filler", "x" * 100_000)
            await asyncio.sleep(0.2)

    @on("kept")
    async def kept(self, socket: Socket, rooms: list[str]) -> dict[str, Any]:
        """What this process still knows of rooms, and how many sockets it has."""
        known = {room for namespace, room in self.hub.addresses._rooms if namespace == self.path}
        return {"rooms": sorted(known & set(rooms)), "joined": len(self.hub.addresses._joined)}

    @on("say")
    async def say(self, socket: Socket, room: Slug, client_id: ClientId, body: Body) -> Any:
        """Into a log of another namespace."""
        draft = Draft("chat", room, socket.user.id, client_id, "message", body=body)  # type: ignore[union-attr]
        return (await self.send(socket, draft)).as_dict()

    # From elsewhere in Django

    @on("anywhere")
    async def anywhere(self, socket: Socket, to: str) -> None:
        emit("/stage", "from anywhere", 1, to=to)
        await aemit("stage", "from anywhere", 2, to=[to], except_="nobody")

    @on("transaction")
    async def transaction(self, socket: Socket, to: str, commit: bool) -> None:
        await sync_to_async(self._transaction)(to, commit)
        await self.to(to).emit("after it")

    def _transaction(self, to: str, commit: bool) -> None:
        with transaction.atomic():
            emit("/stage", "in it", to=to)
            async_to_sync(self.to(to).emit)("during it")
            if not commit:
                transaction.set_rollback(True)
        connection.close()


@register
class Lobby(Namespace):
    """Open to strangers."""

    path = "lobby"
    middleware = (rate_limit("100/s"),)

    @on("who")
    async def who(self, socket: Socket) -> Any:
        return [each.user for each in await self.fetch_sockets(socket.id)]

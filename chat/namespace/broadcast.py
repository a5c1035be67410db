"""Emitting to many sockets at once, and looking after them, in every process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from chat.delivery import door, pools
from chat.errors import Close, EventError, check_close
from chat.hub.addresses import Address, check_plain, names
from chat.hub.events import as_json
from chat.hub.hub import get_hub

from .sockets import ACK_TIMEOUT, User


@dataclass(frozen=True, slots=True)
class Answers:
    """Acks by socket id, and the ids of sockets that gave none in time."""

    answers: dict[str, Any]
    missing: list[str]


@dataclass(frozen=True, slots=True)
class RemoteSocket:
    """A socket of any process of the site, as it was when asked for."""

    id: str
    user: User | None
    rooms: frozenset[str]
    namespace: str
    process: str
    connected_at: str  #: RFC 3339


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Some sockets of a namespace. Each step makes a new one, so one can be kept and reused.

    await namespace.to("kitchen", "office").except_(socket.id).emit("bell", {"rings": 2})
    """

    namespace: str
    rooms: tuple[str, ...] | None = None
    left_out: tuple[str, ...] = ()
    is_volatile: bool = False
    is_local: bool = False

    def to(self, *rooms: str | Iterable[str]) -> Broadcast:
        """Only sockets in one of these rooms, or in one named before. An empty list is nobody."""
        return replace(self, rooms=(*(self.rooms or ()), *_flat(rooms)))

    def except_(self, *rooms: str | Iterable[str]) -> Broadcast:
        """Not those in one of these rooms."""
        return replace(self, left_out=(*self.left_out, *_flat(rooms)))

    @property
    def volatile(self) -> Broadcast:
        """Only sockets that can take the event now: for what is soon out of date."""
        return replace(self, is_volatile=True)

    @property
    def local(self) -> Broadcast:
        """Only sockets of this process."""
        return replace(self, is_local=True)

    async def emit(
        self,
        event: str,
        data: Any = None,
        *,
        ack: bool = False,
        timeout: float = ACK_TIMEOUT,  # noqa: ASYNC109
    ) -> Answers | None:
        """Send an event that has no history, to each socket once.

        With `ack`, wait until every socket has answered, at most `timeout` seconds. Raises
        ValueError for a kind of entry and for more than fits a frame (256 KiB), TypeError for
        data that is no JSON.
        """
        data = as_json(event, data)
        events = get_hub().events
        if ack and self.is_volatile:
            raise ValueError("what may be dropped has no answer to wait for: leave out `volatile` or `ack`")
        if ack:
            found = await events.emit_and_wait(self._address, event, data, timeout, local=self.is_local)
            return Answers(**found)
        events.emit(self._address, event, data, volatile=self.is_volatile, local=self.is_local)
        return None

    async def fetch_sockets(self) -> list[RemoteSocket]:
        """These sockets. A process that doesn't answer within a second is left out."""
        found = await get_hub().events.find_sockets(self._address, local=self.is_local)
        return [_remote(**each) for each in found]

    async def sockets_join(self, *rooms: str | Iterable[str]) -> None:
        """Have them join plain rooms. Told through the control log: no process misses it."""
        await self._control("move", join=[check_plain(room) for room in _flat(rooms)], leave=[])

    async def sockets_leave(self, *rooms: str | Iterable[str]) -> None:
        await self._control("move", join=[], leave=_flat(rooms))

    async def disconnect_sockets(
        self, code: int = Close.NOT_ALLOWED, error: EventError | None = None
    ) -> None:
        """Close them, with the reason in a packet before it. `code` is 1000 or 3000 to 4999."""
        check_close(code)
        why = error or EventError("kicked", "the server ended this connection")
        await self._control("disconnect", code=int(code), error=why.as_dict())

    async def _control(self, act: str, **data: Any) -> None:
        data |= {"address": self._address.as_dict()}
        if self.is_local:
            get_hub().control.obey({"act": act, **data})
        else:
            await pools.write(lambda: door.control(act, **data))

    @property
    def _address(self) -> Address:
        return Address(self.namespace, self.rooms, self.left_out)


def _flat(rooms: tuple[str | Iterable[str], ...]) -> list[str]:
    return [name for some in rooms for name in names(some)]


def _remote(user: dict[str, Any] | None, rooms: list[str], **rest: Any) -> RemoteSocket:
    return RemoteSocket(user=None if user is None else User(**user), rooms=frozenset(rooms), **rest)

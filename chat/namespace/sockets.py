"""Sockets: one connection each, whichever door it came through."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from chat.delivery import door
from chat.delivery.entries import rfc3339
from chat.errors import EventError, check_close
from chat.hub.addresses import check_plain
from chat.hub.events import check_event
from chat.wire.packets import Ack

if TYPE_CHECKING:
    from chat.hub.outbox import Outbox
    from chat.middleware import Meter
    from chat.services.people import Rights

    from .broadcast import Broadcast
    from .namespaces import Namespace

ACK_TIMEOUT = 10.0  #: seconds that a client has to answer an event sent with `ack=True`
CLOSE_TIMEOUT = 10.0  #: seconds that it has to take what is left and answer the close
LANES = 2000  #: rooms whose order of writes a socket keeps before it forgets the idle ones


@dataclass(frozen=True, slots=True)
class User:
    """Who is at the other end of a socket."""

    id: int
    name: str
    staff: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Turn:
    """A place in the line of a socket's events for one room.

    Events overlap, but each enters its handler only after the one before it has queued its
    write or finished: a pipelined `join`, `message` must not end in `forbidden`.
    """

    __slots__ = ("_before", "_done", "_line", "_next", "_room")

    def __init__(self, line: dict[str, Turn], room: str) -> None:
        self._line, self._room = line, room
        self._before = line.get(room)
        self._done = False
        self._next: asyncio.Future[None] | None = None
        line[room] = self

    async def come(self) -> None:
        before, self._before = self._before, None
        if before is not None and not before._done:
            before._next = asyncio.get_running_loop().create_future()
            await before._next

    def finish(self) -> None:
        if self._done:
            return
        self._done = True
        if self._line.get(self._room) is self:
            del self._line[self._room]
        if self._next is not None and not self._next.done():
            self._next.set_result(None)


class Socket:
    """One connection to a namespace, through whichever door it came."""

    __slots__ = (
        "__weakref__",
        "_acks",
        "_deadline",
        "_emitted",
        "_rights",
        "_slot",
        "_turns",
        "admitted",
        "auth",
        "closed",
        "connected_at",
        "data",
        "deaf",
        "id",
        "in_work",
        "lanes",
        "meter",
        "namespace",
        "number",
        "outbox",
        "user",
    )

    def __init__(self, namespace: Namespace, outbox: Outbox) -> None:
        outbox.on_slow = self.close
        self.id = "S" + secrets.token_urlsafe(12)  # never a slug, so that no room has its name
        self.namespace = namespace
        self.outbox = outbox
        self.user: User | None = None  #: set once its rights are read
        self._rights: Rights | None = None
        self.meter: Meter | None = None  #: what the person may send, set by `rate_limit`
        self.admitted = False  #: set with the `connect` packet
        self.auth: dict[str, Any] = {}  #: what a Socket.IO client gave as `auth`
        self.closed: int | None = None  #: the code, from when the server began to close it
        self.deaf = False  #: set to drop what still comes in: the server is about to stop
        self.connected_at = datetime.now(UTC)
        self.data: dict[str, Any] = {}  #: whatever middleware and handlers want to remember
        self.in_work = 0  #: events whose handlers run
        self.number = 0  #: packets so far: the order of the socket's writes
        self.lanes: dict[str, door.Lane] = {}  #: by room
        self._turns: dict[str, Turn] = {}
        self._acks: dict[int, asyncio.Future[Any]] = {}
        self._emitted = itertools.count(1)
        self._slot: asyncio.Future[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def rights(self) -> Rights | None:
        return self._rights

    @rights.setter
    def rights(self, rights: Rights) -> None:
        self._rights = rights
        self.user = User(rights.user, rights.name, rights.staff)

    @property
    def namespace_path(self) -> str:
        return self.namespace.path

    async def emit(
        self,
        event: str,
        data: Any = None,
        *,
        ack: bool = False,
        timeout: float = ACK_TIMEOUT,  # noqa: ASYNC109
    ) -> Any:
        """Send an event that has no history. With `ack`, wait for the client's answer.

        Raises ValueError for a kind of entry (those come from the log alone) and for more than
        fits a frame (256 KiB), TypeError for data that is no JSON, TimeoutError after `timeout`
        seconds without an answer, ConnectionError if the socket closes.
        """
        check_event(event)
        if ack:
            return await asyncio.wait_for(self.ask(event, data), timeout)
        self.outbox.put(self.outbox.wire.event(event, data))
        return None

    def ask(self, event: str, data: Any = None) -> asyncio.Future[Any]:
        """Send an event that wants an ack; whoever stops waiting cancels the future."""
        id = next(self._emitted)
        packet = self.outbox.wire.event(event, data, id)
        answer = self._acks[id] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(lambda _: self._acks.pop(id, None))
        self.outbox.put(packet)
        return answer

    # -- Rooms

    def join(self, *rooms: str) -> None:
        """Join plain rooms: from now on what is emitted to them reaches this socket, until it
        leaves or ends. (A place in a room's log comes from the hub.)"""
        for room in map(check_plain, rooms):
            self.namespace.hub.addresses.join(self, room)

    def leave(self, *rooms: str) -> None:
        for room in rooms:
            self.namespace.hub.addresses.leave(self, room)

    @property
    def rooms(self) -> frozenset[str]:
        """Plain rooms and those whose log it listens to."""
        hub = self.namespace.hub
        return frozenset(hub.addresses.joined(self)) | frozenset(hub.joined(self))

    # -- To others

    @property
    def broadcast(self) -> Broadcast:
        """Everyone in the namespace but this socket."""
        return self.namespace.except_(self.id)

    def to(self, *rooms: str | Iterable[str]) -> Broadcast:
        """Everyone in these rooms but this socket."""
        return self.broadcast.to(*rooms)

    @property
    def volatile(self) -> Broadcast:
        """This socket, if it can take the event now; an event that would have to wait is dropped."""
        return self.namespace.to(self.id).local.volatile

    def describe(self) -> dict[str, Any]:
        """What `fetch_sockets` tells of it, also in other processes."""
        return {
            "id": self.id,
            "user": None if self.user is None else self.user.as_dict(),
            "rooms": sorted(self.rooms),
            "namespace": self.namespace_path,
            "process": self.namespace.hub.process,
            "connected_at": rfc3339(self.connected_at),
        }

    def refuse(self, error: EventError, id: int | None = None, event: str | None = None) -> None:
        self.outbox.put(self.outbox.wire.error(error, id, event))

    def close(self, code: int, error: EventError | None = None) -> None:
        """Say why, then close, once everything before it is written. Only the first call counts.

        A client that reads nothing would never see the close: after `CLOSE_TIMEOUT` it is cut.
        """
        check_close(code)
        if self.closed is not None:
            return
        self.closed = code
        if error is not None:
            self.refuse(error)
        self.outbox.close(code)
        self._deadline = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self.outbox.abort)

    def answered(self, ack: Ack) -> None:
        """The client's ack; one that nobody waits for any more is dropped."""
        waiting = self._acks.get(ack.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(ack.data)

    def gone(self) -> None:
        """The connection is no more: nobody will answer, and nothing more is sent."""
        if self._deadline is not None:
            self._deadline.cancel()
        self.outbox.discard()
        for waiting in self._acks.values():
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("the socket closed before it answered"))

    def lane(self, room: str) -> door.Lane:
        """This socket's order of writes in the room."""
        lane = self.lanes.get(room)
        if lane is None:
            if len(self.lanes) >= LANES and self.in_work <= 1:
                # Nothing is on its way, so one that holds nothing back is as good as a new one.
                self.lanes = {name: each for name, each in self.lanes.items() if each.behind is not None}
            lane = self.lanes[room] = door.Lane()
        return lane

    def turn(self, room: str | None) -> Turn | None:
        return None if room is None else Turn(self._turns, room)

    def next_number(self) -> int:
        self.number += 1
        return self.number

    def slot(self) -> asyncio.Future[None]:
        """Done when one of the events in work has been answered."""
        if self._slot is None or self._slot.done():
            self._slot = asyncio.get_running_loop().create_future()
        return self._slot

    def finish_one(self) -> None:
        self.in_work -= 1
        if self._slot is not None and not self._slot.done():
            self._slot.set_result(None)

"""Whom an event without history goes to: everyone of a namespace, rooms, people, sockets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from heapq import nsmallest
from typing import Any


def user_room(user: int) -> str:
    """The room that all sockets of a person are in. No client can join it: it is no slug."""
    return f"user:{user}"


def check_plain(room: str) -> str:
    """Raises ValueError for what can't be joined, since it is a person's or a socket's own."""
    if not isinstance(room, str):
        raise TypeError(f"a room's name is a str, got {room!r}")
    if re.match(r"user:|S[\w-]{16}\Z", room):
        raise ValueError(f"{room!r} is the room of a person or a socket; nobody else can join it")
    return room


def names(rooms: str | Iterable[str]) -> tuple[str, ...]:
    return (rooms,) if isinstance(rooms, str) else tuple(rooms)


@dataclass(frozen=True, slots=True)
class Address:
    """Sockets of a namespace. `to`: those in one of these rooms (None: all of them), each once;
    `except_`: but for those in one of these. A socket's id is the name of a room that it is
    alone in, see also `user_room`.
    """

    namespace: str
    to: tuple[str, ...] | None = None
    except_: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Addresses:
    """The sockets of this process that were let in, by what they can be reached under.

    Rooms here are plain ones, which live as long as their sockets. Rooms with a log are asked
    for through `listeners`: a slug reaches the sockets of both.
    """

    def __init__(self, listeners: Callable[[str, str], Iterable[Any]]) -> None:
        self._listeners = listeners
        self._everyone: dict[str, dict[Any, None]] = {}
        self._by_id: dict[str, Any] = {}
        self._rooms: dict[tuple[str, str], dict[Any, None]] = {}
        self._joined: dict[Any, set[str]] = {}

    def add(self, socket: Any) -> None:
        self._everyone.setdefault(socket.namespace_path, {})[socket] = None
        self._by_id[socket.id] = socket
        if socket.user is not None:
            self._enter(socket, user_room(socket.user.id))

    def remove(self, socket: Any) -> None:
        if self._by_id.pop(socket.id, None) is None:
            return
        del self._everyone[socket.namespace_path][socket]
        for room in self._joined.pop(socket, ()):
            self._exit(socket, room)
        if socket.user is not None:
            self._exit(socket, user_room(socket.user.id))

    def join(self, socket: Any, room: str) -> None:
        """A socket that is gone joins nothing."""
        if socket.id in self._by_id and room not in self.joined(socket):
            self._joined.setdefault(socket, set()).add(room)
            self._enter(socket, room)

    def leave(self, socket: Any, room: str) -> bool:
        """False where the socket wasn't in the room."""
        if room not in self.joined(socket):
            return False
        self._joined[socket].discard(room)
        self._exit(socket, room)
        return True

    def joined(self, socket: Any) -> frozenset[str] | set[str]:
        return self._joined.get(socket, frozenset())

    def reached(self, address: Address) -> list[Any]:
        """The sockets of this process that an address names, each once."""
        namespace = address.namespace
        found: Iterable[Any]
        if address.to is None:
            found = self._everyone.get(namespace, {})
        else:
            found = {socket: None for room in address.to for socket in self._in(namespace, room)}
        left_out = {socket for room in address.except_ for socket in self._in(namespace, room)}
        return [socket for socket in found if socket not in left_out]

    def page(self, after: str, limit: int) -> list[Any]:
        """The first sockets of all namespaces, in the order of their ids, after this one."""
        ids = nsmallest(limit, (id for id in self._by_id if id > after))
        return [self._by_id[id] for id in ids]

    def counts(self) -> dict[str, int]:
        """How many sockets each namespace has here."""
        return {namespace: len(sockets) for namespace, sockets in self._everyone.items()}

    def _in(self, namespace: str, room: str) -> Iterable[Any]:
        own = self._by_id.get(room)
        if own is not None:
            return [own] if own.namespace_path == namespace else []
        return [*self._rooms.get((namespace, room), ()), *self._listeners(namespace, room)]

    def _enter(self, socket: Any, room: str) -> None:
        self._rooms.setdefault((socket.namespace_path, room), {})[socket] = None

    def _exit(self, socket: Any, room: str) -> None:
        key = (socket.namespace_path, room)
        sockets = self._rooms.get(key, {})
        sockets.pop(socket, None)
        if not sockets:
            self._rooms.pop(key, None)


def deliver(sockets: Iterable[Any], event: str, data: Any, *, volatile: bool = False) -> None:
    """Put an event into many outboxes, encoded once for each wire. `volatile`: not into those
    that still hold something."""
    encoded: dict[str, str] = {}
    for socket in sockets:
        outbox = socket.outbox
        if volatile and outbox.busy:
            continue
        wire = outbox.wire
        if wire.name not in encoded:
            encoded[wire.name] = wire.event(event, data)
        outbox.put(encoded[wire.name])

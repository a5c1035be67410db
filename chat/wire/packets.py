"""What travels over any wire, once decoded."""

from __future__ import annotations

from typing import Any

import msgspec

from chat.errors import EventError


class Arguments(list[Any]):
    """Several arguments of an event or an ack, which Socket.IO's wire has and the line wire gives
    as a list."""


class Event(msgspec.Struct, gc=False):
    """A named call. With an `id` the caller wants an ack."""

    name: str
    data: Any = None
    id: int | None = None


class Ack(msgspec.Struct, gc=False):
    """The answer to an event that the server sent with an id."""

    id: int
    data: Any = None


class BadPacket(msgspec.Struct):
    """What could not be read, with as much of its address as could."""

    error: EventError
    id: int | None = None
    event: str | None = None


Packet = Event | Ack | BadPacket

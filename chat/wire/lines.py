"""Lines: JSON packets, one a line, several to a frame (docs/protocol.md). Pure: text in, packets out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import UNSET, Meta, UnsetType

from chat.errors import EventError

from .packets import Ack, BadPacket, Event, Packet

FRAME_IN = 64 * 1024  #: bytes of UTF-8 in a client's frame
FRAME_LIMIT = 2**20  #: bytes past which a server ends the connection, unread
FRAME_OUT = 256 * 1024  #: bytes of UTF-8 in one of ours
MAX_DEPTH = 32

#: What `id` and `ack` must be. msgspec doesn't take a bool for an int.
Id = Annotated[int, Meta(ge=0)]


class _Line(msgspec.Struct, gc=False):
    """Every shape a client may send; unknown keys are skipped."""

    event: str | UnsetType = UNSET
    data: Any = None
    id: Id | UnsetType = UNSET
    ack: Id | UnsetType = UNSET


class _Entry(Protocol):
    def as_packet(self) -> dict[str, Any]: ...


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Lines:
    """The codec. It keeps nothing, so one serves all sockets.

    Of data that an application gives it raises TypeError for what is no JSON and ValueError for
    what fits no frame.
    """

    name = "lines"
    #: Whether a socket acknowledges entries unless it says otherwise.
    acknowledges = True
    #: Whether all sockets get the same packet for an entry, so that it is worth keeping.
    shared = True

    def event(self, name: str, data: Any, id: int | None = None) -> str:
        packet = {"event": name, "data": data}
        if id is not None:
            packet["id"] = id
        return _encode_data(packet)

    def ack(self, id: int, data: Any = None) -> str:
        return _encode_data({"ack": id, "data": data})

    def error(self, error: EventError, id: int | None = None, event: str | None = None) -> str:
        """The refusal of packet `id`; without one the error itself names the event."""
        if id is not None:
            return _encode({"ack": id, "error": error.as_dict()}).decode()
        about = {} if event is None else {"event": event}
        return _encode({"error": {**error.as_dict(), **about}}).decode()

    def entry(self, entry: _Entry) -> str:
        return _encode(entry.as_packet()).decode()

    def frames(self, packets: Iterable[str]) -> list[str]:
        """Join packets into as few frames of at most `FRAME_OUT` bytes as keep their order."""
        frames: list[str] = []
        batch: list[str] = []
        room = FRAME_OUT
        for packet in packets:
            size = byte_length(packet) + 1
            if size > room and batch:
                frames.append("\n".join(batch))
                batch, room = [], FRAME_OUT
            batch.append(packet)
            room -= size
        if batch:
            frames.append("\n".join(batch))
        return frames

    def decode(self, text: str) -> Iterator[Packet]:
        """The packets of a frame, each parsed when it is asked for. Never raises."""
        if "\n" not in text:
            if text and not text.isspace():
                yield decode_packet(text)
            return
        for line in text.split("\n"):
            if line and not line.isspace():
                yield decode_packet(line)


def _encode_data(packet: dict[str, Any]) -> str:
    try:
        text = _encode(packet).decode()
    except (TypeError, UnicodeError, RecursionError) as failure:
        raise TypeError(f"the data is no JSON: {failure}") from None
    if not fits(text, FRAME_OUT):
        raise ValueError(f"the data is too large: a packet is at most {FRAME_OUT} bytes of UTF-8")
    return text


def decode_packet(line: str) -> Packet:
    try:
        packet = _decode_line(line)
    except msgspec.ValidationError as error:
        return _bad(line, str(error))
    except (ValueError, RecursionError) as error:
        return BadPacket(EventError("bad_packet", _reason(error)))
    # Only a line with many brackets can be nested deeply: the others pay two scans of C code.
    if line.count("{") + line.count("[") > MAX_DEPTH and too_deep(line):
        return _bad(line, f"nested deeper than {MAX_DEPTH} levels")
    if packet.ack is UNSET:
        if packet.event is UNSET:
            return _bad(line, "expected an `event` or an `ack`")
        return Event(packet.event, packet.data, None if packet.id is UNSET else packet.id)
    if packet.event is not UNSET:
        return _bad(line, "expected either an `event` or an `ack`, got both")
    return Ack(packet.ack, packet.data)


def byte_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def fits(text: str, limit: int) -> bool:
    """Whether the text is at most `limit` bytes of UTF-8, without encoding where its length tells."""
    size = len(text)
    return size <= limit and (4 * size <= limit or byte_length(text) <= limit)


def _bad(line: str, message: str) -> BadPacket:
    """Refuse a line that is JSON, under the id and event that it gives, if they can be read."""
    try:
        packet = _decode_any(line)
    except (ValueError, RecursionError):
        packet = None
    if not isinstance(packet, dict):
        packet = {}
    id, event = packet.get("id"), packet.get("event")
    return BadPacket(
        EventError("bad_packet", message),
        id if type(id) is int and id >= 0 else None,
        event if isinstance(event, str) else None,
    )


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return f"nested deeper than {MAX_DEPTH} levels"
    if isinstance(error, UnicodeError):
        return "not valid Unicode"
    return str(error)


def too_deep(line: str) -> bool:
    """Level by level over the values themselves, since brackets inside strings don't count."""
    try:
        level = [_decode_any(line)]
    except (ValueError, RecursionError):
        return True
    for _ in range(MAX_DEPTH):
        level = [
            child
            for value in level
            for child in (value.values() if isinstance(value, dict) else value)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


lines = Lines()

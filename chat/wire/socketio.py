"""Socket.IO 5: packets of many namespaces over one connection, binary data in frames of its own.
Pure.

The sections named here are those of the protocol's document, revision 5.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from chat.errors import EventError

from .engineio import MESSAGE, Frame
from .lines import FRAME_IN, FRAME_OUT, MAX_DEPTH, fits, too_deep
from .packets import Arguments

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = range(7)
WITH_BINARY = (BINARY_EVENT, BINARY_ACK)

#: Names that mean something else to every client ("Packet types").
RESERVED = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)
ATTACHMENTS = 10
ID_DIGITS = 15  #: a client counts in doubles
NAMESPACE = 128  #: characters

_decode_json = msgspec.json.Decoder().decode
_encode_json = msgspec.json.Encoder().encode


class BadPacket(ValueError):
    """What is no packet; the connection that it came over ends."""


class Packet(msgspec.Struct):
    """`data` is the auth object of CONNECT, the array of an event or an ack, and None in what is
    `too_large` to be looked into."""

    kind: int
    namespace: str = "/"
    data: Any = None
    id: int | None = None
    attachments: int = 0
    too_large: bool = False


class Decoder:
    """Puts together what belongs together: a packet and the binary frames behind it."""

    def __init__(self) -> None:
        self._waiting: Packet | None = None
        self._binary: list[bytes] = []

    def feed(self, data: Frame) -> Packet | None:
        """The data of one message of the transport. Returns a packet once it is complete.

        Raises BadPacket.
        """
        if isinstance(data, bytes):
            return self._feed_binary(data)
        if self._waiting is not None:
            raise BadPacket("text came where the rest of a binary packet was due")
        packet = decode(data)
        if packet.attachments:
            self._waiting = packet
            return None
        return packet

    def _feed_binary(self, data: bytes) -> Packet | None:
        packet = self._waiting
        if packet is None:
            raise BadPacket("a binary frame came that no packet had announced")
        packet.too_large = packet.too_large or sum(map(len, self._binary)) + len(data) > FRAME_IN
        self._binary.append(b"" if packet.too_large else data)  # what is refused anyway isn't kept
        if len(self._binary) < packet.attachments:
            return None
        binary, self._binary, self._waiting = self._binary, [], None
        packet.data = None if packet.too_large else _with_binary(packet.data, binary)
        return packet


def decode(text: str) -> Packet:
    """A packet without its binary frames ("Packet encoding"). Raises BadPacket."""
    kind, at = _digit(text), 1
    attachments = 0
    if kind in WITH_BINARY:
        number, dash, _ = text[at : at + 3].partition("-")
        if not (dash and number.isascii() and number.isdigit() and 1 <= int(number) <= ATTACHMENTS):
            raise BadPacket(f"a binary packet has 1 to {ATTACHMENTS} attachments")
        attachments, at = int(number), at + len(number) + 1
    namespace, at = _namespace(text, at)
    id, at = _id(text, at)
    packet = Packet(kind, namespace, None, id, attachments)
    if not fits(text, FRAME_IN):
        if kind not in (EVENT, ACK, *WITH_BINARY):
            raise BadPacket(f"a packet is at most {FRAME_IN} bytes of UTF-8")
        packet.too_large = True
    else:
        packet.data = _data(kind, text[at:])
    return packet


def _digit(text: str) -> int:
    if not text[:1] or text[0] not in "0123456":
        raise BadPacket("a packet begins with a digit from 0 to 6")
    return int(text[0])


def _namespace(text: str, at: int) -> tuple[str, int]:
    """The last comma may be missing where nothing follows."""
    if text[at : at + 1] != "/":
        return "/", at
    end = text.find(",", at)
    name, end = (text[at:], len(text)) if end < 0 else (text[at:end], end + 1)
    if len(name) > NAMESPACE:
        raise BadPacket(f"a namespace has at most {NAMESPACE} characters")
    return name.partition("?")[0], end


def _id(text: str, at: int) -> tuple[int | None, int]:
    end = at
    while end < len(text) and text[end] in "0123456789":
        end += 1
    if end - at > ID_DIGITS:
        raise BadPacket(f"an id has at most {ID_DIGITS} digits")
    return (int(text[at:end]) if end > at else None), end


def _data(kind: int, text: str) -> Any:
    """Checks the shape that each kind has."""
    if not text:
        data = None
    else:
        try:
            data = _decode_json(text)
        except (ValueError, RecursionError):
            raise BadPacket("what a packet carries is JSON") from None
        if text.count("{") + text.count("[") > MAX_DEPTH and too_deep(text):
            raise BadPacket(f"nested deeper than {MAX_DEPTH} levels")
    if not _SHAPES[kind](data, bool(text)):
        raise BadPacket("this kind of packet carries something else")
    return data


def _is_event(data: Any, given: bool) -> bool:
    if not (isinstance(data, list) and data):
        return False
    return type(data[0]) is int or (isinstance(data[0], str) and data[0] not in RESERVED)


def _is_list(data: Any, given: bool) -> bool:
    return isinstance(data, list)


_SHAPES = {
    CONNECT: lambda data, given: not given or isinstance(data, dict),
    DISCONNECT: lambda data, given: not given,
    EVENT: _is_event,
    ACK: _is_list,
    CONNECT_ERROR: lambda data, given: False,  # a server's word
    BINARY_EVENT: _is_event,
    BINARY_ACK: _is_list,
}


def _with_binary(value: Any, binary: list[bytes]) -> Any:
    """The value with its placeholders filled in. Raises BadPacket for a wrong number."""
    if isinstance(value, list):
        return [_with_binary(each, binary) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("_placeholder") is not True:
        return {key: _with_binary(each, binary) for key, each in value.items()}
    number = value.get("num")
    if type(number) is not int or not 0 <= number < len(binary):
        raise BadPacket("a placeholder has the number of an attachment")
    return binary[number]


# -- Writing


class SocketIO:
    """Writes the packets of one namespace: the `wire` of a socket's outbox. It keeps nothing, so
    one serves all sockets of a namespace.

    Each packet is a frame of the transport, or, with binary data, a text and the binary frames
    behind it. Of data that an application gives it raises TypeError for what is no JSON and
    ValueError for what fits no frame.
    """

    #: Whether a socket acknowledges entries unless it says otherwise: stock clients never do.
    acknowledges = False
    #: Whether all sockets get the same packet for an entry, so that it is worth keeping.
    shared = True

    def __init__(self, namespace: str) -> None:
        self.name = f"socketio:{namespace}"
        self._prefix = "" if namespace == "/" else f"{namespace},"

    def connect(self, sid: str, **more: Any) -> str:
        return self._packet(CONNECT, {"sid": sid, **more})

    def connect_error(self, message: str, data: Any = None) -> str:
        """Always an object ("Connection to a namespace")."""
        more = {} if data is None else {"data": data}
        return self._packet(CONNECT_ERROR, {"message": message, **more})

    def disconnect(self) -> str:
        return f"{MESSAGE}{DISCONNECT}{self._prefix}"

    def event(self, name: str, data: Any, id: int | None = None) -> Any:
        arguments = data if isinstance(data, Arguments) else [data]
        return self._with_binary(EVENT, [name, *arguments], id)

    def ack(self, id: int, data: Any = None) -> Any:
        """One argument, as on the line wire: `{"data": …}`."""
        arguments = data if isinstance(data, Arguments) else [{"data": data}]
        return self._with_binary(ACK, arguments, id)

    def error(self, error: EventError, id: int | None = None, event: str | None = None) -> str:
        """The refusal of an event; without an id an event of its own."""
        if id is not None:
            return self._packet(ACK, [{"error": error.as_dict()}], id)
        about = {} if event is None else {"event": event}
        return self._packet(EVENT, ["error", {**error.as_dict(), **about}])

    def entry(self, entry: Any) -> str:
        return self._packet(EVENT, [entry.kind, self._shown(entry)])

    def frames(self, packets: list[str]) -> list[str]:
        """A frame has one packet, so nothing is joined."""
        return packets

    def _shown(self, entry: Any) -> dict[str, Any]:
        shown: dict[str, Any] = entry.as_packet()
        del shown["event"]
        return shown

    def _packet(self, kind: int, data: Any, id: int | None = None, attachments: str = "") -> str:
        head = f"{MESSAGE}{kind}{attachments}{self._prefix}{'' if id is None else id}"
        return head + _encode_json(data).decode()

    def _with_binary(self, kind: int, data: list[Any], id: int | None) -> Any:
        binary: list[bytes] = []
        try:
            plain = msgspec.to_builtins(data, str_keys=True, builtin_types=(bytes,))
            without = _without_binary(plain, binary)
            attachments = f"{len(binary)}-" if binary else ""
            if binary:
                kind = BINARY_EVENT if kind == EVENT else BINARY_ACK
            text = self._packet(kind, without, id, attachments)
        except (TypeError, UnicodeError, RecursionError) as failure:
            raise TypeError(f"the data is no JSON: {failure}") from None
        if not fits(text, FRAME_OUT) or sum(map(len, binary)) > FRAME_OUT:
            raise ValueError(f"the data is too large: a packet is at most {FRAME_OUT} bytes")
        return (text, *binary) if binary else text


class Resumable(SocketIO):
    """For one socket whose client resumes by `pid` and offset: each entry has its offset as a last
    argument, which tells where the socket stands in every room."""

    shared = False

    def __init__(self, namespace: str, offset: Any) -> None:
        super().__init__(namespace)
        #: Called with a room and a seq as each entry is put in the outbox; returns the offset.
        self._offset = offset

    def entry(self, entry: Any) -> str:
        return self._packet(EVENT, [entry.kind, self._shown(entry), self._offset(entry.room, entry.seq)])

    def standing(self, offset: str) -> str:
        """The offset alone, where no entry tells it. Clients keep the last text at the end of any event."""
        return self._packet(EVENT, ["offset", offset])


@cache
def wire(namespace: str) -> SocketIO:
    return SocketIO(namespace)


def _without_binary(value: Any, binary: list[bytes]) -> Any:
    if isinstance(value, bytes):
        binary.append(value)
        return {"_placeholder": True, "num": len(binary) - 1}
    if isinstance(value, dict):
        return {key: _without_binary(each, binary) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_binary(each, binary) for each in value]
    return value

"""Engine.IO 4: the packets below Socket.IO's, over WebSocket and over HTTP long-polling. Pure.

The sections named here are those of the protocol's document, revision 4.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = "0123456"
SEPARATOR = "\x1e"  #: between the packets of a payload
PROBE = "probe"
PACKETS = 10_000  #: in a payload; a million pings in one would hold up everybody

#: One packet as a transport carries it: text, or the bytes of a binary message.
Frame = str | bytes


class BadFrame(ValueError):
    """What is no packet; the connection that it came over ends."""


class Packet(NamedTuple):
    kind: str  #: one of the digits above
    data: Frame = ""


@dataclass(frozen=True, slots=True)
class Options:
    """Times in seconds, sizes in bytes; the defaults are those of Socket.IO's own server."""

    ping_interval: float = 25.0
    ping_timeout: float = 20.0
    max_payload: int = 1_000_000
    connect_timeout: float = 45.0  #: to be in a namespace

    def open(self, sid: str, upgrades: list[str]) -> str:
        """The first packet ("Handshake")."""
        handshake: dict[str, Any] = {
            "sid": sid,
            "upgrades": upgrades,
            "pingInterval": round(self.ping_interval * 1000),
            "pingTimeout": round(self.ping_timeout * 1000),
            "maxPayload": self.max_payload,
        }
        return OPEN + msgspec.json.encode(handshake).decode()


def decode(frame: Frame) -> Packet:
    """A WebSocket frame ("Packet encoding"). Raises BadFrame."""
    if isinstance(frame, bytes):
        return Packet(MESSAGE, frame)
    if frame[:1] not in ("0", "1", "2", "3", "4", "5", "6"):
        raise BadFrame("a packet begins with a digit from 0 to 6")
    return Packet(frame[0], frame[1:])


def join(frames: Iterable[Frame]) -> str:
    """Many packets as the body of an HTTP answer or request ("HTTP long-polling")."""
    return SEPARATOR.join(
        "b" + base64.b64encode(frame).decode() if isinstance(frame, bytes) else frame for frame in frames
    )


def split(payload: str) -> list[Packet]:
    """The packets of a body. Raises BadFrame, for all of them, if one of them is none or if they
    are too many."""
    if payload.count(SEPARATOR) >= PACKETS:
        raise BadFrame(f"a body has at most {PACKETS} packets")
    return [_decode_part(part) for part in payload.split(SEPARATOR)]


def _decode_part(part: str) -> Packet:
    if not part.startswith("b"):
        return decode(part)
    try:
        return Packet(MESSAGE, base64.b64decode(part[1:], validate=True))
    except (binascii.Error, ValueError):
        raise BadFrame("a binary packet is base64 behind a b") from None

"""What goes into a log and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .door import Lane

#: The person who speaks for notices and commands (made by a migration, cannot sign in).
SYSTEM = 0


@dataclass(slots=True, frozen=True)
class Person:
    id: int
    name: str

    def as_dict(self) -> dict[str, Any]:
        return {"id": self.id, "name": self.name}


@dataclass(slots=True)
class Draft:
    """An entry that someone wants appended to a room's log.

    `client_id` is made before the first try and is the same in every later one. `extra` is
    the rest of the entry's `data` (reply_to, mentions, emoji, on, reason, text, …) and must
    be JSON. The system person's drafts are appended without a check of rights.
    """

    namespace: str
    room: str
    sender: int
    client_id: str
    kind: str
    body: str = ""
    html: str = ""
    target: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    lane: Lane | None = None
    number: int = 0

    @property
    def size(self) -> int:
        """About how many bytes it holds while it waits."""
        return 400 + len(self.body) + len(self.html) + 40 * len(self.extra)


@dataclass(slots=True, frozen=True)
class Receipt:
    """The answer to a draft. `duplicate`: this `client_id` had been appended before."""

    room: str
    seq: int
    client_id: str
    duplicate: bool

    def as_dict(self) -> dict[str, Any]:
        return {
            "room": self.room,
            "seq": self.seq,
            "client_id": self.client_id,
            "duplicate": self.duplicate,
        }


@dataclass(slots=True, frozen=True)
class Entry:
    """One entry of a room's log, as members get it."""

    room: str
    seq: int
    at: str
    kind: str
    sender: Person
    data: dict[str, Any]

    def as_packet(self) -> dict[str, Any]:
        return {
            "event": self.kind,
            "room": self.room,
            "seq": self.seq,
            "at": self.at,
            "from": self.sender.as_dict(),
            "data": self.data,
        }


@dataclass(slots=True)
class Appended:
    """Entries that one transaction added to one room, contiguous and ascending."""

    room_id: int
    namespace: str
    slug: str
    epoch: str
    entries: list[Entry]
    committed: float = 0.0  #: when, by `time.monotonic()`

    @property
    def first(self) -> int:
        return self.entries[0].seq

    @property
    def last(self) -> int:
        return self.entries[-1].seq


def now() -> datetime:
    """The present in UTC, to the millisecond, as entries show it."""
    present = datetime.now(UTC)
    return present.replace(microsecond=present.microsecond // 1000 * 1000)


def rfc3339(at: datetime) -> str:
    """`2026-01-31T12:00:00.000Z`; a naive time is UTC."""
    return at.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"

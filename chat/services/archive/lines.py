"""The lines of an archive, and what one of them must look like.

A header, then for each room one `room` line, its entries without a gap, its members, bans, dead
letters and reports, then one `end` line that tells a whole file from one that was cut off. People
go by their names. There is no password, token or session in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, BinaryIO, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct

from chat.errors import EventError
from chat.models import SLOWEST, SLUG_PATTERN, Room

VERSION = 1
#: Bytes of a line; the largest entry takes less than half of that.
LONGEST = 2**20
Name = Annotated[str, Meta(min_length=1, max_length=150)]
Seq = Annotated[int, Meta(ge=1, le=2**53)]
Cursor = Annotated[int, Meta(ge=0, le=2**53)]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Time = Annotated[datetime, Meta(tz=True)]
Words = Annotated[str, Meta(max_length=300)]
Slug = Annotated[str, Meta(pattern=SLUG_PATTERN)]


class Line(Struct, tag_field="line", forbid_unknown_fields=True):
    pass


class Header(Line, tag="chatsite"):
    version: int
    at: Time


class RoomLine(Line, tag="room"):
    namespace: Annotated[str, Meta(pattern=r"^[^_\s]\S{0,63}\Z")]
    room: Slug
    head: Cursor
    created_at: Time
    first: Seq = 1
    name: Annotated[str, Meta(max_length=100)] = ""
    topic: Words = ""
    private: bool = False
    kind: Literal["fanout", "queue"] = "fanout"
    ordering: Literal["ordered", "unordered"] = "ordered"
    closed_at: Time | None = None
    ack_wait: Annotated[float, Meta(ge=0.1)] = 30.0
    max_deliver: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 5
    lease_seconds: Annotated[float, Meta(ge=1)] = 30.0
    max_attempts: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 5
    retain_entries: Count | None = None
    retain_seconds: Count | None = None
    expire_seconds: Count | None = None
    history_from_join: bool = False
    slow_mode: Annotated[int, Meta(ge=0, le=SLOWEST)] = 0
    filtered_words: str = ""
    filter_action: Literal["mask", "refuse"] = "mask"


#: Of `RoomLine`, what a `Room` has under the same name.
SETTINGS = tuple(
    name for name in RoomLine.__struct_fields__ if name in {field.name for field in Room._meta.fields}
)


class Someone(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A person whom an entry names; `account` where they go by another name since."""

    name: Annotated[str, Meta(max_length=150)]
    account: Name | None = None


class Deleted(Struct, forbid_unknown_fields=True, omit_defaults=True):
    by: Someone
    at: Time
    reason: Words = ""


class Order(Struct, forbid_unknown_fields=True):
    """Where an order stands. One that was leased is queued again: nobody works on it any more."""

    visible_at: Time
    changed_at: Time
    state: Literal["queued", "done", "dead", "buried"] = "queued"
    attempts: Count = 0
    worker: Name | None = None
    failed: bool = False
    reason: Annotated[str, Meta(max_length=500)] = ""
    result: str = ""


class EntryLine(Line, tag="entry", omit_defaults=True):  # of which there are many
    seq: Seq
    kind: Literal["message", "edit", "delete", "react", "notice", "item"]
    sender: Name = msgspec.field(name="from")
    client_id: Annotated[str, Meta(min_length=1, max_length=64)]
    at: Time
    target: Seq | None = None
    body: str = ""
    html: str = ""
    extra: dict[str, Any] = {}
    deleted: Deleted | None = None
    order: Order | None = None


class MemberLine(Line, tag="member"):
    name: Name
    joined_at: Time
    role: Literal["owner", "moderator", "member"] = "member"
    joined_at_seq: Cursor = 0
    received: Cursor = 0
    acked: str = ""
    deliveries: dict[str, Count] = {}
    read: Cursor = 0
    notify: bool = True
    muted_until: Time | None = None
    wrote_at: Time | None = None


class BanLine(Line, tag="ban"):
    name: Name
    at: Time
    reason: Words = ""
    until: Time | None = None
    by: Name | None = None


class LetterLine(Line, tag="dead_letter"):
    name: Name
    first: Seq
    last: Seq
    at: Time
    reason: Literal["max_deliver", "too_many_open", "expired"]
    attempts: Count = 0


class ReportLine(Line, tag="report"):
    seq: Seq
    reporter: Name
    reason: Words
    at: Time
    state: Literal["open", "claimed", "resolved", "dismissed"] = "open"
    handled_by: Name | None = None
    handled_at: Time | None = None
    outcome: Words = ""


class EndLine(Line, tag="end"):
    #: Before this one.
    lines: Count


AnyLine = Header | RoomLine | EntryLine | MemberLine | BanLine | LetterLine | ReportLine | EndLine

_decoder: msgspec.json.Decoder[AnyLine] = msgspec.json.Decoder(AnyLine)


class Numbered(NamedTuple):
    number: int
    line: Any
    text: bytes


def read(stream: BinaryIO, number: int = 0) -> Iterator[Numbered]:
    """The lines from where the stream is; `number` is that of the one before. Raises `bad_data`
    or `too_large`, with the line and where possible the field."""
    while text := stream.readline(LONGEST + 1):
        number += 1
        if len(text) > LONGEST:
            raise EventError("too_large", f"line {number} is longer than {LONGEST} bytes", line=number)
        yield Numbered(number, _decode(number, text), text)


def _decode(number: int, text: bytes) -> AnyLine:
    try:
        line = _decoder.decode(text)
    except msgspec.ValidationError as error:
        what, _, field = str(error).partition(" - at `$")
        raise bad_line(number, what[0].lower() + what[1:], field.strip(".`")) from None
    except (ValueError, RecursionError) as error:
        raise bad_line(number, f"no JSON: {str(error) or 'nested too deep'}") from None
    if b"\\u0000" in text and (place := nul_in(msgspec.to_builtins(line))) is not None:
        raise bad_line(number, "a NUL can't be stored", place)
    return line


def bad_line(number: int, why: str, field: str = "") -> EventError:
    where = f"line {number}: `{field}`" if field else f"line {number}"
    return EventError("bad_data", f"{where}: {why}", line=number, **({"field": field} if field else {}))


def nul_in(value: Any, place: str = "") -> str | None:
    """Where in it is a NUL, which no text of PostgreSQL may have."""
    if isinstance(value, str):
        return place if "\0" in value else None
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return None
    if any("\0" in str(key) for key in value):
        return place
    parts = (nul_in(part, f"{place}.{key}".strip(".")) for key, part in value.items())
    return next((found for found in parts if found is not None), None)

"""The first look at an archive: every line of it, before anything is changed."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC
from itertools import pairwise
from typing import Any, BinaryIO

import msgspec

from chat.delivery import staging
from chat.delivery.ranges import Ranges
from chat.errors import EventError
from chat.models import Room

from . import names
from .lines import (
    VERSION,
    BanLine,
    EndLine,
    EntryLine,
    Header,
    LetterLine,
    MemberLine,
    Numbered,
    ReportLine,
    RoomLine,
    bad_line,
    read,
)

#: Entries of a room that is there already, read at a time to be compared.
PAGE = 1000
#: What an entry's `data` holds beside its `extra`, which may not take its place.
TAKEN = frozenset({"client_id", "target", "body", "html", "deleted"})
#: The field that may not come again, in one room and, of entries, from one sender.
ONCE = {EntryLine: "client_id", MemberLine: "name", BanLine: "name", LetterLine: "first", ReportLine: "seq"}
#: What is in an `extra`, for those who show it.
SHAPES: dict[str, dict[str, tuple[type, str]]] = {
    "message": {"mentions": (list, "a list of people"), "reply_to": (int, "the number of an entry")},
    "react": {"emoji": (str, "a text"), "on": (bool, "true or false")},
    "notice": {"text": (str, "a text")},
}
UPON = frozenset({"edit", "delete", "react"})


@dataclass(slots=True)
class Found:
    """A room of an archive. `there`: the database has all of it already."""

    namespace: str
    slug: str
    head: int
    line: int
    offset: int
    there: bool = False
    digest: Any = field(default_factory=hashlib.sha256)
    people: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.slug}"

    @property
    def key(self) -> str:
        """Of its lines and its name: what an import that was cut short is found again by."""
        return hashlib.sha256(f"{self}\n{self.digest.hexdigest()}".encode()).hexdigest()


def check(
    stream: BinaryIO, *, rename: str | None = None, told: Callable[[int], None] = lambda _: None
) -> list[Found]:
    """The rooms of an archive that can be imported as they are; `stream` is one that can seek.

    `bad_data` says the line and the field; `conflict`, which room is there with something else
    in it. `told` hears how many bytes were read.
    """
    return _Check(stream, rename, told).run()


class _Check:
    def __init__(self, stream: BinaryIO, rename: str | None, told: Callable[[int], None]) -> None:
        self.stream, self.rename, self.told = stream, rename, told
        self.rooms: list[Found] = []
        self.room: _Room | None = None
        self.offset = 0

    def run(self) -> list[Found]:
        self.stream.seek(0)
        lines = read(self.stream)
        self._header(next(lines, None))
        last: Numbered | None = None
        for each in lines:
            if last is not None and isinstance(last.line, EndLine):
                raise bad_line(each.number, "nothing may come after the `end`")
            self._take(each)
            last = each
            if each.number % 1000 == 0:
                self.told(self.offset)
        if last is None or not isinstance(last.line, EndLine):
            raise EventError("bad_data", "the file was cut off: its last line is no `end`")
        self.told(self.offset)
        return self.rooms

    def _header(self, first: Numbered | None) -> None:
        if first is None or not isinstance(first.line, Header):
            raise bad_line(1, 'this is no export of rooms: it begins with `{"line":"chatsite",…}`')
        if first.line.version != VERSION:
            raise bad_line(1, f"this version reads {VERSION}, not {first.line.version}", "version")
        self.offset = len(first.text)

    def _take(self, each: Numbered) -> None:
        line = each.line
        if isinstance(line, Header):
            raise bad_line(each.number, "a second header; import one file after the other")
        if isinstance(line, RoomLine | EndLine):
            self._close(each.number)
        if isinstance(line, RoomLine):
            self._open(each)
        elif isinstance(line, EndLine):
            if line.lines != each.number - 1:
                raise bad_line(
                    each.number, f"{each.number - 1} lines come before it, not {line.lines}", "lines"
                )
        elif self.room is None:
            raise bad_line(each.number, "a `room` line comes first")
        else:
            self.room.take(each)
        self.offset += len(each.text)

    def _open(self, each: Numbered) -> None:
        line: RoomLine = each.line
        if self.rename is not None and self.rooms:
            raise EventError("bad_data", "there are several rooms: a new name is for a file with one")
        if line.first > line.head + 1:
            raise bad_line(each.number, f"at most `head` + 1, {line.head + 1}", "first")
        found = Found(line.namespace, self.rename or line.room, line.head, each.number, self.offset)
        if any(str(other) == str(found) for other in self.rooms):
            raise bad_line(each.number, f"{found} is there twice", "room")
        self.rooms.append(found)
        self.room = _Room(found, line)

    def _close(self, number: int) -> None:
        if self.room is not None:
            self.room.close(number)
        self.room = None


class _Room:
    """What the lines of one room must be to each other."""

    def __init__(self, found: Found, line: RoomLine) -> None:
        self.found, self.line = found, line
        self.seq = 0
        self.once = {kind: _Once(field_name) for kind, field_name in ONCE.items()}
        self.existing = _existing(found)
        self.found.there = self.existing is not None

    def take(self, each: Numbered) -> None:
        self.found.digest.update(each.text)
        try:
            self._take(each.number, each.line)
        except OverflowError:
            raise bad_line(each.number, "a time that is none in UTC") from None

    def _take(self, number: int, line: Any) -> None:
        if isinstance(line, EntryLine):
            self._entry(number, line)
            return
        if self.seq < self.line.head:
            raise bad_line(number, f"after entry {self.seq} of {self.line.head} comes entry {self.seq + 1}")
        if isinstance(line, MemberLine):
            self._member(number, line)
        elif isinstance(line, BanLine):
            self._people(line.name, line.by)
            self.once[BanLine].add(number, line.name)
            _utc(line.until, line.at)
        elif isinstance(line, LetterLine):
            self._letter(number, line)
        elif isinstance(line, ReportLine):
            self._report(number, line)

    def close(self, number: int) -> None:
        if self.seq < self.line.head:
            raise bad_line(number, f"{self.found} has {self.line.head} entries, and only {self.seq} came")
        for once in self.once.values():
            once.check()

    # Entries

    def _entry(self, number: int, line: EntryLine) -> None:
        if line.seq != self.seq + 1 or line.seq > self.line.head:
            wanted = f"{self.seq + 1} comes next" if self.seq < self.line.head else f"{self.seq} was the last"
            raise bad_line(number, wanted, "seq")
        self.seq = line.seq
        self._people(line.sender)
        _utc(line.at)
        self._check_kind(number, line)
        if line.extra or line.kind == "react":
            self._check_extra(number, line)
        if line.deleted is not None:
            if line.kind not in ("message", "edit"):
                raise bad_line(number, f"of a message or an edit, not of a {line.kind}", "deleted")
            if line.body or line.html or line.extra:
                raise bad_line(number, "nothing may be left of what was deleted", "deleted")
            self._people(line.deleted.by.account or line.deleted.by.name)
            _utc(line.deleted.at)
        if self.existing is None:
            self.once[EntryLine].add(number, line.sender, line.client_id)
        else:
            self._compare(line)

    def _check_kind(self, number: int, line: EntryLine) -> None:
        queue = self.line.kind == "queue"
        if queue != (line.kind == "item") and line.kind != "notice":
            what = "a queue has items" if queue else "a room has no items"
            raise bad_line(number, f"{what}; this is a {line.kind!r}", "kind")
        if (line.target is not None) != (line.kind in UPON):
            raise bad_line(number, "which message an edit, a delete or a react is about", "target")
        if line.target is not None and line.target >= line.seq:
            raise bad_line(number, "of an entry before this one", "target")
        kept = line.kind == "item" and line.seq >= self.line.first
        if kept != (line.order is not None):
            raise bad_line(number, "every item has one that wasn't trimmed, and nothing else has", "order")
        if line.order is not None:
            self._check_order(number, line)

    def _check_order(self, number: int, line: EntryLine) -> None:
        order = line.order
        assert order is not None
        self._people(order.worker)
        _utc(order.visible_at, order.changed_at)
        for field_name, text in (("body", line.body), ("order.result", order.result or "null")):
            try:
                msgspec.json.decode(text)
            except (ValueError, RecursionError):
                raise bad_line(number, "must be JSON", field_name) from None

    def _check_extra(self, number: int, line: EntryLine) -> None:
        extra = line.extra
        if taken := sorted(TAKEN & extra.keys()):
            raise bad_line(number, f"can't bring a {taken[0]!r}", "extra")
        for someone in names.named_in(extra, names.has_name):
            name = someone.get("account", someone["name"])
            if not isinstance(name, str) or not 1 <= len(name) <= 150 or not isinstance(someone["name"], str):
                raise bad_line(number, "whom it names must have a name of 1 to 150 characters", "extra")
            self._people(name)
        for key, (kind, what) in SHAPES.get(line.kind, {}).items():
            if not isinstance(extra.get(key, kind()), kind) or (line.kind == "react" and key not in extra):
                raise bad_line(number, what, f"extra.{key}")
        if line.kind == "message" and not all(map(names.has_name, extra.get("mentions", []))):
            raise bad_line(number, 'people are written as {"name": …}', "extra.mentions")

    def _compare(self, line: EntryLine) -> None:
        assert self.existing is not None
        key = next(self.existing, None)
        if key is None or (key.seq, key.client_id, key.kind) != (line.seq, line.client_id, line.kind):
            where = "ends before it" if key is None else "has another one there"
            raise EventError(
                "conflict",
                f"there is a {self.found} with something else in it: of entry {line.seq} in this file it "
                f"{where}. Import under another name with --as, or delete that room first",
                room=self.found.slug,
            )

    # The rest

    def _member(self, number: int, line: MemberLine) -> None:
        head = self.line.head
        self._people(line.name)
        self.once[MemberLine].add(number, line.name)
        for field_name in ("received", "read", "joined_at_seq"):
            if getattr(line, field_name) > head:
                raise bad_line(number, f"is past the last entry, {head}", field_name)
        _utc(line.joined_at, line.muted_until, line.wrote_at)
        if line.acked or line.deliveries:
            self._check_acked(number, line)

    def _check_acked(self, number: int, line: MemberLine) -> None:
        def fits(seq: int) -> bool:
            return line.received < seq <= self.line.head

        try:
            acked = Ranges.parse(line.acked)
            open_ones = [int(seq) for seq in line.deliveries]
        except ValueError:
            raise bad_line(
                number, 'ranges of entries such as "5-9,12", and a count of each', "acked"
            ) from None
        if str(acked) != line.acked or not all(fits(a) and fits(b) and a <= b for a, b in acked.pairs()):
            raise bad_line(number, "ascending ranges of entries after `received`", "acked")
        if not all(fits(seq) and seq not in acked for seq in open_ones):
            raise bad_line(number, "of entries that are open", "deliveries")

    def _letter(self, number: int, line: LetterLine) -> None:
        self._people(line.name)
        self.once[LetterLine].add(number, line.name, line.first, line.last)
        if not line.first <= line.last <= self.line.head:
            raise bad_line(number, f"from `first` to the last entry, {self.line.head}", "last")
        _utc(line.at)

    def _report(self, number: int, line: ReportLine) -> None:
        self._people(line.reporter, line.handled_by)
        self.once[ReportLine].add(number, line.reporter, line.seq)
        if line.seq > self.line.head:
            raise bad_line(number, f"is past the last entry, {self.line.head}", "seq")
        _utc(line.handled_at, line.at)

    def _people(self, *people: str | None) -> None:
        self.found.people.update(name for name in people if name is not None)


class _Once:
    """What may be there once only: 16 bytes of each, and not the thing itself."""

    PARTS = 256

    def __init__(self, field_name: str) -> None:
        self._field = field_name
        self._secret = os.urandom(16)  # so that a mistaken match isn't mistaken again
        self._parts = [array("Q") for _ in range(self.PARTS)]

    def add(self, number: int, *what: Any) -> None:
        digest = hashlib.blake2b(repr(what).encode(), digest_size=8, key=self._secret).digest()
        part = self._parts[digest[0]]
        part.append(int.from_bytes(digest))
        part.append(number)

    def check(self) -> None:
        """Raises `bad_data` for what came a second time."""
        for part in self._parts:
            pairs = sorted(zip(part[::2], part[1::2], strict=True))
            for (one, number), (other, again) in pairwise(pairs):
                if one == other:
                    raise bad_line(again, f"the same is in line {number} already", self._field)


def _utc(*times: Any) -> None:
    for time in times:
        if time is not None and time.utcoffset():
            time.astimezone(UTC)


def _existing(found: Found) -> Iterator[staging.Key] | None:
    room = Room.objects.filter(namespace=found.namespace, slug=found.slug).first()
    return None if room is None else _keys(room.pk)


def _keys(room_id: int) -> Iterator[staging.Key]:
    after = 0
    while page := staging.keys(room_id, after, PAGE):
        yield from page
        after = page[-1].seq

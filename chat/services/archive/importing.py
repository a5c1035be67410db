"""Rooms of an archive that was checked, brought in slice by slice."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC
from typing import Any, BinaryIO

from django.contrib.admin.models import ADDITION
from django.contrib.auth.models import User
from django.db import connection, transaction

from chat.delivery import door, staging
from chat.delivery.clock import stored
from chat.delivery.entries import SYSTEM, rfc3339
from chat.delivery.staging import Rows
from chat.errors import EventError
from chat.models import DeadLetter, Membership, Presence, Room
from chat.services import presence
from chat.services.acts import Act
from chat.services.rendering import clean
from chat.services.rooms import UNFIT

from . import names
from .checking import Found
from .lines import (
    SETTINGS,
    BanLine,
    EntryLine,
    LetterLine,
    MemberLine,
    Numbered,
    ReportLine,
    RoomLine,
    read,
)

#: Rows of a slice, at least and at most.
SMALLEST, LARGEST = 50, 5000

NAME = 150  #: characters

Told = Callable[[int], None]


class _Other(Exception):
    """What was brought in before isn't what the file has."""


def import_room(
    stream: BinaryIO, found: Found, accounts: Mapping[str, str], told: Told = lambda _: None
) -> None:
    """Bring in one room, or go on where an earlier try of the same ended. `accounts` has the names
    of people who go by another one here. `told` hears how many entries are in.

    Raises `bad_data` where two people would be one, `conflict` where someone else is at it or has
    made a room of that name meanwhile.
    """
    people = _people(found, accounts)
    room = staging.begin(found.key, str(found))
    try:
        _Import(stream, found, room, people, told).run()
    except _Other:
        for _ in staging.discard(room.pk):
            pass
        _Import(stream, found, staging.begin(found.key, str(found)), people, told).run()


def unknown(found: Iterable[Found], accounts: Mapping[str, str]) -> list[str]:
    """Who would get an account, by the names that they will have here. Raises `bad_data` where one
    can't be had, or where two people would be one."""
    wanted = {here for room in found if not room.there for here in _here(room, accounts).values()}
    new = sorted(wanted - names.ids(wanted).keys())
    if unfit := [name for name in new if UNFIT.search(name) or len(name) > NAME]:
        raise EventError("bad_data", f"nobody can be called {unfit[0]!r} here: give another name")
    return new


def _here(found: Found, accounts: Mapping[str, str]) -> dict[str, str]:
    """Everyone's name here, by their name in the file. Raises `bad_data` where two would be one."""
    here = {name: accounts.get(name, name) for name in sorted(found.people)}
    if twice := [name for name, count in Counter(here.values()).items() if count > 1]:
        raise EventError("bad_data", f"two people of {found} in the file would be {twice[0]!r} here")
    return here


def leftovers() -> list[Room]:
    """What imports that were cut short have left behind; the name says of which room."""
    return staging.unfinished()


def remove(room: Room, told: Told = lambda _: None) -> None:
    """Take away what an import left behind. `told` hears how many entries are gone."""
    gone = 0
    for some in staging.discard(room.pk):
        told(gone := gone + some)


def _people(found: Found, accounts: Mapping[str, str]) -> dict[str, int]:
    """Everyone's id, by their name in the file; who is unknown gets an account."""
    names.make_people(unknown([found], accounts))
    here = _here(found, accounts)
    known = names.ids(here.values())
    return {name: known[account] for name, account in here.items()}


class _Import:
    def __init__(
        self, stream: BinaryIO, found: Found, room: Room, people: Mapping[str, int], told: Told
    ) -> None:
        self.stream, self.found, self.people, self.told = stream, found, people, told
        self.room_id, self.staged, self.head = room.pk, room.head, room.head
        self.messages = 0
        self.rows = Rows()
        self.pace = _Pace()

    def run(self) -> None:
        self.stream.seek(self.found.offset)
        lines = read(self.stream, self.found.line - 1)
        room: RoomLine = next(lines).line
        self.first = room.first
        before = self._staged()
        for line in _of_room(lines):
            if isinstance(line, EntryLine):
                self.messages += line.kind in ("message", "item")
                if line.seq <= self.staged:
                    self._compare(line, next(before, None))
                    continue
            self._add(line)
            if len(self.rows) >= self.pace.size:
                self._store()
        self._store()
        self._publish(room)

    # What an earlier try has brought in

    def _staged(self) -> Iterator[staging.Key]:
        after = 0
        while page := staging.keys(self.room_id, after, 1000):
            yield from page
            after = page[-1].seq

    def _compare(self, line: EntryLine, key: staging.Key | None) -> None:
        if key != (line.seq, self.people[line.sender], line.client_id, line.kind):
            raise _Other
        if line.seq % 1000 == 0:
            self.told(line.seq)

    # Slices

    def _add(self, line: Any) -> None:
        if isinstance(line, EntryLine):
            self._add_entry(line)
        elif isinstance(line, MemberLine):
            self.rows.members.append(self._member(line))
        elif isinstance(line, BanLine):
            by = self._id(line.by)
            self.rows.bans.append(
                (self._id(line.name), line.reason, _stored(line.until), by, _stored(line.at))
            )
        elif isinstance(line, LetterLine):
            self.rows.letters.append(
                (self._id(line.name), line.first, line.last, line.attempts, line.reason, _stored(line.at))
            )
        elif isinstance(line, ReportLine):
            self.rows.reports.append(self._report(line))

    def _store(self) -> None:
        rows, self.rows = self.rows, Rows()
        if not len(rows):
            return
        self.pace.work(len(rows), lambda: staging.add(self.room_id, self.head, self.messages, rows))
        if rows.entries:
            self.head = rows.entries[-1][0]
            self.told(self.head)

    def _id(self, name: str | None) -> int | None:
        return None if name is None else self.people[name]

    # Rows

    def _add_entry(self, line: EntryLine) -> None:
        extra = names.in_extra(line.extra, names.has_name, self._someone) if line.extra else {}
        self.rows.entries.append(
            (
                line.seq,
                self.people[line.sender],
                line.client_id,
                line.kind,
                line.target,
                self.messages,
                line.body,
                clean(line.html) if line.html else "",
                _dumps(extra) if extra else "",
                self._deleted(line) if line.deleted else "",
                _stored(line.at),
            )
        )
        if line.kind == "message" and line.seq >= self.first:
            mentioned = {someone["id"] for someone in extra.get("mentions", ())}
            self.rows.mentions += [(user, line.seq) for user in sorted(mentioned)]
        if line.order is not None:
            self._add_order(line)

    def _someone(self, someone: dict[str, Any]) -> dict[str, Any]:
        return {"id": self.people[someone.get("account", someone["name"])], "name": someone["name"]}

    def _deleted(self, line: EntryLine) -> str:
        assert line.deleted is not None
        by = line.deleted.by
        deleted: dict[str, Any] = {
            "by": {"id": self.people[by.account or by.name], "name": by.name},
            "at": rfc3339(line.deleted.at.astimezone(UTC)),
        }
        return _dumps(deleted | ({"reason": line.deleted.reason} if line.deleted.reason else {}))

    def _add_order(self, line: EntryLine) -> None:
        order = line.order
        assert order is not None
        changed_at = _stored(order.changed_at)
        self.rows.orders.append(
            (
                *(line.seq, order.state, order.attempts, _stored(order.visible_at), changed_at),
                *(self._id(order.worker), "", "", order.failed, order.reason, order.result),
            )
        )
        if order.state == "dead":
            reason = DeadLetter.Reason.MAX_ATTEMPTS.value
            self.rows.letters.append((None, line.seq, line.seq, order.attempts, reason, changed_at))

    def _member(self, line: MemberLine) -> tuple[Any, ...]:
        return (
            *(self._id(line.name), line.role, _stored(line.joined_at), line.joined_at_seq),
            *(_stored(line.muted_until), line.notify, line.received, line.acked, json.dumps(line.deliveries)),
            *(_stored(line.wrote_at), line.read, line.read),
        )

    def _report(self, line: ReportLine) -> tuple[Any, ...]:
        return (
            *(line.seq, self._id(line.reporter), line.reason, line.state, self._id(line.handled_by)),
            *(_stored(line.handled_at), line.outcome, _stored(line.at)),
        )

    # The end

    def _publish(self, line: RoomLine) -> None:
        settings = {name: getattr(line, name) for name in SETTINGS if name != "head"}
        with transaction.atomic():
            staging.publish(self.room_id, self.head, **{**settings, "slug": self.found.slug})
            by, room = User.objects.get(pk=SYSTEM), Room.objects.get(pk=self.room_id)
            Act(by, room).record("a room was imported", room, flag=ADDITION, entries=self.head)
        self._tell()

    def _tell(self) -> None:
        """Those who are here learn that they have a room more, as if they had been invited."""
        online = Presence.objects.values("user")
        members = Membership.objects.filter(room=self.room_id, user__in=online).order_by("user")
        for user in list(members.values_list("user", flat=True)):
            door.control("added", user=user, namespace=self.found.namespace, room=self.found.slug)


def _of_room(lines: Iterator[Numbered]) -> Iterator[Any]:
    """The lines of one room, after its first."""
    for each in lines:
        if not isinstance(each.line, EntryLine | MemberLine | BanLine | LetterLine | ReportLine):
            return
        yield each.line


def _stored(at: Any) -> Any:
    return None if at is None else stored(at)


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class _Pace:
    """How much goes into one slice. Beside a server no slice holds up others for long; on SQLite,
    where there is one writer at a time and no queue for it, others get their turn between two."""

    BESIDE, ALONE = 0.03, 0.25  #: seconds of a slice
    LOOK = 1.0  #: seconds between two looks whether a server runs

    def __init__(self) -> None:
        self.size = SMALLEST
        self._looked_at = -self.LOOK
        self._held_up = False

    def work(self, size: int, work: Callable[[], None]) -> None:
        began = time.monotonic()
        held_up = self._holds_up(began)
        work()
        took = time.monotonic() - began
        if size >= self.size:
            fitting = int(size * (self.BESIDE if held_up else self.ALONE) / max(took, 0.001))
            self.size = max(SMALLEST, min(fitting, 2 * self.size, LARGEST))
        if held_up:
            time.sleep(took)

    def _holds_up(self, now: float) -> bool:
        """On PostgreSQL nobody else wants what a slice locks."""
        if connection.vendor != "sqlite":
            return False
        if now - self._looked_at >= self.LOOK:
            self._looked_at, self._held_up = now, bool(presence.alive())
        return self._held_up

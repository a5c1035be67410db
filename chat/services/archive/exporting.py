"""Rooms, read as of one moment each and written as lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec
from django.db.models import QuerySet

from chat.delivery import staging
from chat.delivery.entries import now
from chat.errors import EventError
from chat.models import Ban, DeadLetter, Lease, Membership, Message, Report, Room
from chat.services.deadletters import find_place

from .lines import (
    SETTINGS,
    VERSION,
    BanLine,
    Deleted,
    EndLine,
    EntryLine,
    Header,
    LetterLine,
    Line,
    MemberLine,
    Order,
    ReportLine,
    RoomLine,
    Someone,
)
from .names import Names, has_id, in_extra, named_in

PAGE = 1000  #: entries read at a time

_encoder = msgspec.json.Encoder()


def find(places: Iterable[str]) -> list[Room]:
    """The rooms and queues of these names, `ROOM` or `NAMESPACE/ROOM`; all, where none is given."""
    wanted = [find_place(place) for place in places]
    everything = Room.objects.exclude(kind=Room.Kind.CONTROL).order_by("namespace", "slug")
    return list({room.pk: room for room in wanted}.values()) or list(everything)


def export(
    rooms: Iterable[Room], told: Callable[[Room, int], None] = lambda *_: None
) -> Generator[bytes, None, None]:
    """Whole lines, some at a time. `told` hears how many entries of a room are out."""
    count, names = 0, Names()
    for lines in _export(rooms, names, told):
        count += len(lines)
        yield _encoder.encode_lines(lines)
    yield _encoder.encode_lines([EndLine(lines=count)])


def _export(rooms: Iterable[Room], names: Names, told: Callable[[Room, int], None]) -> Iterator[list[Line]]:
    yield [Header(version=VERSION, at=now())]
    for each in rooms:
        with staging.one_moment():
            room = Room.objects.filter(pk=each.pk).first()
            if room is None:
                raise EventError("not_found", f"{each} is gone")
            yield [_room(room)]
            for entries in _entries(room, names):
                yield [*entries]
                told(room, entries[-1].seq)
            rest = _rest(room)
            while page := list(islice(rest, PAGE)):
                yield page


def _room(room: Room) -> RoomLine:
    return RoomLine(room=room.slug, **{name: getattr(room, name) for name in SETTINGS})


# Entries

_COLUMNS = (
    *("seq", "sender_id", "sender__username", "client_id", "kind", "target"),
    *("body", "html", "extra", "deleted", "at"),
)


def _entries(room: Room, names: Names) -> Iterator[list[EntryLine]]:
    after = 0
    while after < room.head:
        rows = Message.objects.filter(room=room, seq__gt=after).order_by("seq").values_list(*_COLUMNS)
        page = [*rows[:PAGE]]
        if not page:
            raise EventError("internal", f"{room}: there is nothing after entry {after} of {room.head}")
        orders = _orders(room, after, page[-1][0]) if room.kind == Room.Kind.QUEUE else {}
        extras = [json.loads(row[8]) if row[8] else {} for row in page]
        deletions = [json.loads(row[9]) if row[9] else None for row in page]
        named = [someone for extra in extras for someone in named_in(extra, has_id)]
        names.load(someone["id"] for someone in [*named, *(each["by"] for each in deletions if each)])
        yield [
            _entry(row, extra, deletion, orders.get(row[0]), names)
            for row, extra, deletion in zip(page, extras, deletions, strict=True)
        ]
        after = page[-1][0]


def _entry(row: Any, extra: Any, deletion: Any, order: Order | None, names: Names) -> EntryLine:
    seq, sender, name, client_id, kind, target, body, html, _, _, at = row
    return EntryLine(
        seq=seq,
        kind=kind,
        sender=name,
        client_id=client_id,
        at=at,
        target=target,
        body=body,
        html=html,
        extra=in_extra(extra, has_id, lambda someone: _someone(someone, names)) if extra else extra,
        deleted=None if deletion is None else _deletion(deletion, names),
        order=order,
    )


def _someone(someone: dict[str, Any], names: Names) -> Someone:
    account = names.of(someone["id"])
    return Someone(someone["name"], None if account == someone["name"] else account)


def _deletion(deletion: dict[str, Any], names: Names) -> Deleted:
    at = datetime.fromisoformat(deletion["at"])
    return Deleted(_someone(deletion["by"], names), at, deletion.get("reason", ""))


def _orders(room: Room, after: int, upto: int) -> dict[int, Order]:
    rows = Lease.objects.filter(room=room, seq__gt=after, seq__lte=upto).select_related("worker")
    return {row.seq: _order(row) for row in rows}


def _order(row: Any) -> Order:
    """Nobody goes on with a lease from another database, or from another time of this one."""
    running = row.state == Lease.State.LEASED
    return Order(
        state="queued" if running else row.state,
        attempts=row.attempts,
        visible_at=row.changed_at if running else row.visible_at,
        changed_at=row.changed_at,
        worker=None if running else _name(row.worker),
        failed=row.failed,
        reason=row.reason,
        result=row.result,
    )


# The rest, in the order in which it came, so that the same room gives the same lines


def _rest(room: Room) -> Iterator[Line]:
    mine = {"room": room}
    yield from map(_member, _rows(Membership.objects.filter(**mine), "user"))
    yield from map(_ban, _rows(Ban.objects.filter(**mine), "user", "by"))
    # Those of orders follow from the orders' states.
    yield from map(_letter, _rows(DeadLetter.objects.filter(**mine).exclude(user=None), "user"))
    yield from map(_report, _rows(Report.objects.filter(**mine), "reporter", "handled_by"))


def _rows(found: QuerySet[Any], *people: str) -> Iterator[Any]:
    return found.select_related(*people).order_by("pk").iterator(PAGE)


def _name(user: Any) -> str | None:
    return None if user is None else str(user.get_username())


def _member(row: Any) -> MemberLine:
    return MemberLine(
        name=row.user.get_username(),
        role=row.role,
        joined_at=row.joined_at,
        joined_at_seq=row.joined_at_seq,
        received=row.received,
        acked=row.acked,
        deliveries=row.deliveries,
        read=row.read,
        notify=row.notify,
        muted_until=row.muted_until,
        wrote_at=row.wrote_at,
    )


def _ban(row: Any) -> BanLine:
    name = row.user.get_username()
    return BanLine(name=name, reason=row.reason, until=row.until, by=_name(row.by), at=row.at)


def _letter(row: Any) -> LetterLine:
    return LetterLine(
        name=row.user.get_username(),
        first=row.first,
        last=row.last,
        attempts=row.attempts,
        reason=row.reason,
        at=row.at,
    )


def _report(row: Any) -> ReportLine:
    return ReportLine(
        seq=row.seq,
        reporter=row.reporter.get_username(),
        reason=row.reason,
        state=row.state,
        handled_by=_name(row.handled_by),
        handled_at=row.handled_at,
        outcome=row.outcome,
        at=row.at,
    )

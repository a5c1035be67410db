"""What the site knows of a person, for that person: as JSON lines.

Nothing of it is a secret that opens something (passwords, tokens, sessions), and of other people
no more than the person has seen.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from itertools import islice
from typing import Any

import msgspec
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db.models import Exists, F, OuterRef

from chat.delivery import staging
from chat.delivery.entries import now
from chat.models import (
    Ban,
    DeadLetter,
    LastSeen,
    Lease,
    Login,
    Membership,
    Message,
    Report,
    Room,
    Token,
)

VERSION = 1
PAGE = 1000  #: lines read at a time

Line = dict[str, Any]

_encoder = msgspec.json.Encoder()


def export(user: User) -> Generator[bytes, None, None]:
    """Whole lines, some at a time, all as of one moment; the last one tells that it is complete."""
    count = 0
    with staging.one_moment():
        lines = _lines(user)
        while page := list(islice(lines, PAGE)):
            count += len(page)
            yield _encoder.encode_lines(page)
    yield _encoder.encode_lines([_line("end", lines=count)])


def _lines(user: User) -> Iterator[Line]:
    yield _line("chatsite-person", version=VERSION, at=now())
    yield _profile(user)
    yield from _access(user)
    yield from _memberships(user)
    yield from _entries(user)
    yield from _orders(user)
    yield from _moderation(user)


def _line(line: str, /, **fields: Any) -> Line:
    return {"line": line, **{key: value for key, value in fields.items() if value not in (None, "")}}


def _place(room: Room) -> Line:
    return {"namespace": room.namespace, "room": room.slug}


def _rows(rows: Any) -> Iterator[Any]:
    return iter(rows.order_by("pk").iterator(PAGE))


def _profile(user: User) -> Line:
    seen = LastSeen.objects.filter(user=user).values_list("at", flat=True).first()
    return _line(
        "person",
        id=user.pk,
        name=user.get_username(),
        first_name=user.first_name,
        last_name=user.last_name,
        email=user.email,
        joined_at=user.date_joined,
        last_login=user.last_login,
        last_seen=seen,
        active=user.is_active,
        staff=user.is_staff,
        superuser=user.is_superuser,
    )


def _access(user: User) -> Iterator[Line]:
    for login in _rows(Login.objects.filter(user=user)):
        yield _line("login", at=login.at)
    for token in _rows(Token.objects.filter(user=user)):
        yield _line("token", label=token.label, at=token.created_at, revoked_at=token.revoked_at)


def _memberships(user: User) -> Iterator[Line]:
    for row in _rows(Membership.objects.filter(user=user).select_related("room")):
        yield _line(
            "membership",
            **_place(row.room),
            role=row.role,
            joined_at=row.joined_at,
            received=row.received,
            read=row.read,
            notify=row.notify,
            muted_until=row.muted_until,
        )


def _entries(user: User) -> Iterator[Line]:
    """Messages, edits, reactions and orders: everything that they have sent."""
    mine = Message.objects.filter(sender=user)
    for room in _rows(Room.objects.filter(Exists(mine.filter(room=OuterRef("pk"))))):
        # With `+ 0` by the sender, whom an index has, however long the log is: for rows in the order
        # of `seq` the database would look through all of it.
        for row in mine.filter(room=room).order_by(F("seq") + 0).iterator(PAGE):
            yield _line(
                "entry",
                **_place(room),
                seq=row.seq,
                kind=row.kind,
                at=row.at,
                target=row.target,
                body=row.body,
                **(json.loads(row.extra) if row.extra else {}),
                deleted=_deletion(row.deleted),
            )


def _deletion(deleted: str) -> Line | None:
    """When, and why; not by whom."""
    if not deleted:
        return None
    return {key: value for key, value in json.loads(deleted).items() if key != "by"}


def _orders(user: User) -> Iterator[Line]:
    for row in _rows(Lease.objects.filter(worker=user).select_related("room")):
        yield _line(
            "work",
            **_place(row.room),
            seq=row.seq,
            state=row.state,
            attempts=row.attempts,
            at=row.changed_at,
            reason=row.reason,
            result=row.result,
        )
    for row in _rows(DeadLetter.objects.filter(user=user).select_related("room")):
        yield _line(
            "dead_letter", **_place(row.room), first=row.first, last=row.last, reason=row.reason, at=row.at
        )


def _moderation(user: User) -> Iterator[Line]:
    for ban in _rows(Ban.objects.filter(user=user).select_related("room")):
        where = {} if ban.room is None else _place(ban.room)
        yield _line("ban", **where, reason=ban.reason, until=ban.until, at=ban.at)
    theirs = Message.objects.filter(room=OuterRef("room"), seq=OuterRef("seq"), sender=user)
    for row in _rows(Report.objects.filter(reporter=user).select_related("room")):
        yield _line(
            "report",
            **_place(row.room),
            seq=row.seq,
            reason=row.reason,
            state=row.state,
            outcome=row.outcome,
            at=row.at,
        )
    for row in _rows(Report.objects.filter(Exists(theirs)).select_related("room")):
        # Without the words of others, which might tell who it was.
        yield _line("report_about", **_place(row.room), seq=row.seq, state=row.state, at=row.at)
    about = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(User), object_id=str(user.pk)
    )
    for entry in _rows(about):
        yield _line("act_about", at=entry.action_time, what=entry.get_change_message())

"""What the staff do to people, rooms and messages.

Each act is one transaction: its effect, the notice of it in a room's log where members should
see it, the word to every process that makes it live, a line for the event log and Django's
LogEntry of who did what, to whom and why. (What a deleted person leaves, and what they wrote, goes
in slices after it.) `by` is the id of one of the staff, or the system's.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from chat.delivery import door
from chat.delivery.entries import SYSTEM, Draft, now, rfc3339
from chat.errors import EventError
from chat.models import Ban, Login, Membership, Message, Room, Token

from . import people, presence, rooms

CHAT = "chat"
REASON = 300  #: characters of a reason
LONGEST = 100 * 365 * 24 * 3600.0  #: seconds of a ban or a mute; without any they are for good
FOR_GOOD = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  #: of a mute, whose column knows no other way
#: Messages erased in one transaction: nobody else's write waits for more than about 50 ms.
SLICE = 200
#: Memberships ended in one.
ROOMS = 5


# People


def ban(
    by: int,
    user: int | str,
    room: str | None = None,
    *,
    namespace: str = CHAT,
    seconds: float | None = None,
    reason: str = "",
) -> Ban:
    """Keep a person out of a room, whose membership ends, or out of the site; for so many seconds
    or for good. One who is banned already is banned so from now on."""
    reason, until = _checked_reason(reason), _until(seconds)
    with _act(by) as staff:
        place = None if room is None else _room(namespace, room)
        person = _target(staff, user)
        if place is None:
            check_not_last(person)
        banned = Ban.objects.filter(user=person, room=place).first() or Ban(user=person, room=place)
        banned.until, banned.reason, banned.by = until, reason, staff
        banned.save()
        if place is not None:
            _end_membership(place, person, "ban", f"{person.username} was banned.", reason)
        _record(staff, "a user was banned", person, place, until=until, reason=reason)
    return banned


def unban(by: int, user: int | str, room: str | None = None, *, namespace: str = CHAT) -> User:
    """Returns the person. Raises `not_found` where they aren't banned there."""
    with _act(by) as staff:
        place = None if room is None else _room(namespace, room)
        person = _target(staff, user)
        bans = Ban.objects.filter(people.in_force(), user=person, room=place)
        if not bans.delete()[0]:
            where = "from the site" if place is None else f"from {room!r}"
            raise EventError("not_found", f"{person.username} is not banned {where}", field="user")
        _record(staff, "a user was unbanned", person, place)
    return person


def mute(
    by: int,
    user: int | str,
    room: str,
    *,
    namespace: str = CHAT,
    seconds: float | None = None,
    reason: str = "",
) -> Membership:
    """A member may read and not write, for so many seconds or for good; 0 ends that."""
    reason = _checked_reason(reason)
    until = None if seconds == 0 else _until(seconds) or FOR_GOOD
    with _act(by) as staff:
        place = _room(namespace, room)
        person = _target(staff, user)
        membership = _membership(place, person)
        membership.muted_until = until
        membership.save(update_fields=["muted_until"])
        text = f"{person.username} was muted." if until else f"{person.username} may write again."
        more = _given(reason=reason, until=until)
        about = {"id": person.pk, "name": person.username}
        rooms.note(place, text, act="mute" if until else "unmute", user=about, **more)
        _record(
            staff, f"a user was {'muted' if until else 'unmuted'}", person, place, until=until, reason=reason
        )
    return membership


def kick(by: int, user: int | str, room: str, *, namespace: str = CHAT, reason: str = "") -> User:
    """End a membership. Of a public room the person may become a member again."""
    reason = _checked_reason(reason)
    with _act(by) as staff:
        place = _room(namespace, room)
        person = _target(staff, user)
        _membership(place, person)
        _end_membership(place, person, "kick", f"{person.username} was removed.", reason)
        _record(staff, "a user was removed from a room", person, place, reason=reason)
    return person


def send_away(by: int, user: int | str | None, *, sid: str | None = None, reason: str = "") -> User | None:
    """Close all of a person's sockets, or the one with this id, which is this person's or nobody's.
    They may come back by hand."""
    reason = _checked_reason(reason)
    with _act(by) as staff:
        person = None if user is None else _target(staff, user)
        door.control("kick", user=person and person.pk, sid=sid, reason=reason)
        _record(staff, "a user was sent away", person, sid=sid, reason=reason)
    return person


# Rooms and messages


def close_room(by: int, room: str, *, namespace: str = CHAT, reason: str = "") -> None:
    """No more entries. Raises `conflict` where it is closed already."""
    reason = _checked_reason(reason)
    with _act(by) as staff:
        place = _room(namespace, room)
        if place.closed_at is not None:
            raise EventError("conflict", f"{room!r} is closed already", room=room)
        rooms.close(place, reason)
        _record(staff, "a room was closed", place, reason=reason)


def delete_message(by: int, room: str, seq: int, *, namespace: str = CHAT, reason: str = "") -> None:
    """Its body leaves the log, with a `delete` entry that has the reason. Raises `not_found`."""
    reason = _checked_reason(reason)
    with _act(by) as staff:
        place = _room(namespace, room)
        found = _messages().filter(room=place, seq=seq, seq__gte=place.first).first()
        if found is None:
            raise EventError("not_found", f"there is no message {seq} in {room!r}", field="seq")
        door.write(_deletion(place, seq, reason))
        _record(staff, "a message was deleted", place, flag=DELETION, seq=seq, reason=reason)


# The end of a person


def delete_person(by: int, user: int | str, *, erase: bool = False) -> User:
    """Nobody is left who could sign in, and the account says nothing of who it was. What they wrote
    stays, under the new name, or with `erase` goes too; asked again, what was left of it goes.

    The row stays, since logs refer to it, as `deleted-ID`; bans stay as well, and so does what
    others wrote: a mention, a notice of the old name.
    """
    person = anonymise(by, user, erased=erase)
    while leave_slice(person.pk):
        pass
    place = (0, 0) if erase else None
    while place is not None:
        place = erase_slice(person.pk, place)
    return person


def anonymise(by: int, user: int | str, *, erased: bool = False) -> User:
    """Their access and their name come to an end at once, their memberships by `leave_slice`."""
    with _act(by) as staff:
        person = _target(staff, user)
        check_not_last(person)
        _end_access(person)
        _forget_name(person)
        door.control("forget")
        _record(staff, "a user was deleted", person, flag=DELETION, erased=erased or None)
    return person


def leave_slice(user: int) -> bool:
    """End some of the memberships of a person who is gone, in a transaction of its own. True where
    there may be more."""
    with door.controlled():
        memberships = _lock_memberships(user)
        for membership in memberships:
            left = f"{membership.user.username} left the site."
            rooms.end_membership(membership.room, membership, "quit", left)
    return len(memberships) == ROOMS


def erase_slice(user: int, place: tuple[int, int]) -> tuple[int, int] | None:
    """Delete some of a person's messages, in a transaction of its own, from a place on, `(0, 0)` at
    first. Returns the next place, None once all are gone."""
    room_id, seq = place
    mine = _messages().filter(sender=user, room=OuterRef("pk"), seq__gte=OuterRef("first"))
    with transaction.atomic():
        room = Room.objects.filter(Exists(mine), pk__gte=room_id).order_by("pk").first()
        if room is None:
            return None
        after = max(room.first - 1, seq if room.pk == room_id else 0)
        rest = _messages().filter(room=room, sender=user, seq__gt=after).order_by("seq")
        some = list(rest.values_list("seq", flat=True)[:SLICE])
        door.write(*(_deletion(room, each) for each in some))
    return (room.pk, some[-1]) if some else (room.pk + 1, 0)


def _lock_memberships(user: int) -> list[Membership]:
    """Some of them: rooms and then memberships by id, as everyone locks them. Each has its room."""
    mine = Room.objects.filter(memberships__user=user).order_by("pk").values_list("pk", flat=True)
    some = list(mine[:ROOMS])
    locked = Room.objects.select_for_update(no_key=True).filter(pk__in=some).order_by("pk")
    by_id = {room.pk: room for room in locked}
    rows = Membership.objects.select_for_update(of=("self",)).filter(user=user, room__in=by_id)
    memberships = list(rows.select_related("user").order_by("pk"))
    for membership in memberships:
        membership.room = by_id[membership.room_id]
    return memberships


def _end_access(person: User) -> None:
    keys = list(Login.objects.filter(user=person).values_list("session_key", flat=True))
    for rows in (
        Login.objects.filter(user=person),
        Session.objects.filter(session_key__in=keys),
        Token.objects.filter(user=person),
    ):
        rows.delete()
    presence.forget(person)
    person.groups.clear()
    person.user_permissions.clear()


def _forget_name(person: User) -> None:
    person.username = _name_of_nobody(person.pk)
    person.first_name = person.last_name = person.email = ""
    person.is_active = person.is_staff = person.is_superuser = False
    person.set_unusable_password()
    person.save()


def _name_of_nobody(pk: int) -> str:
    name = f"deleted-{pk}"
    taken = User.objects.filter(username=name).exclude(pk=pk).exists()
    return f"{name}-{secrets.token_hex(4)}" if taken else name


# Who may


@contextmanager
def _act(by: int) -> Iterator[User]:
    """The transaction of an act, and who does it: staff still, and not banned, now that it begins."""
    with door.controlled():
        staff = User.objects.filter(Q(is_active=True, is_staff=True) | Q(pk=SYSTEM), pk=by).first()
        if staff is None or people.site_bans([by]):
            raise EventError("forbidden", "this is for the staff alone")
        yield staff


def _target(staff: User, user: int | str) -> User:
    """The person whom it is about. Only superusers may do anything to a superuser."""
    person = people.find(user, active=False)
    if person.is_superuser and not (staff.is_superuser or staff.pk == SYSTEM):
        raise EventError("forbidden", f"{person.username} is a superuser: only another superuser may do this")
    return person


def check_not_last(person: User) -> None:
    """Raises `forbidden` where nobody would be left who can do everything."""
    if not (person.is_active and person.is_superuser):
        return
    others = User.objects.filter(is_active=True, is_superuser=True).exclude(pk=person.pk)
    banned = Ban.objects.filter(people.in_force(), room=None).values("user")
    if not others.exclude(pk__in=banned).exists():
        raise EventError("forbidden", f"{person.username} is the last superuser: make someone else one first")


# What they share


def _room(namespace: str, slug: str) -> Room:
    """The room or queue, locked."""
    rows = Room.objects.select_for_update(no_key=True).exclude(kind=Room.Kind.CONTROL)
    room = rows.filter(namespace=namespace, slug=slug).first()
    if room is None:
        raise EventError("not_found", f"there is no room {slug!r} in /{namespace}", field="room")
    return room


def _membership(room: Room, person: User) -> Membership:
    membership = Membership.objects.filter(room=room, user=person).select_related("user").first()
    if membership is None:
        raise EventError("not_found", f"{person.username} is not a member of {room.slug!r}", field="user")
    return membership


def _end_membership(room: Room, person: User, act: str, text: str, reason: str) -> None:
    membership = Membership.objects.filter(room=room, user=person).select_related("user").first()
    if membership is not None:
        rooms.end_membership(room, membership, act, text, reason)


def _messages() -> QuerySet[Message]:
    return Message.objects.filter(kind=Message.Kind.MESSAGE, deleted="")


def _deletion(room: Room, seq: int, reason: str = "") -> Draft:
    extra = _given(reason=reason)
    return Draft(room.namespace, room.slug, SYSTEM, uuid.uuid4().hex, "delete", target=seq, extra=extra)


def _record(
    staff: User,
    what: str,
    about: User | Room | None,
    room: Room | None = None,
    *,
    flag: int = CHANGE,
    **more: Any,
) -> None:
    """For Django's log of the staff's acts, and for the event log of every process."""
    place = about if isinstance(about, Room) else room
    where = {} if place is None else {"room": place.slug, "namespace": f"/{place.namespace}"}
    whom = {"user": about.username, "id": about.pk} if isinstance(about, User) else {}
    fields = _given(**more)
    LogEntry.objects.create(
        user=staff,
        content_type=None if about is None else ContentType.objects.get_for_model(about),
        object_id=None if about is None else str(about.pk),
        object_repr=str(about or "")[:200],
        action_flag=flag,
        change_message=" ".join([what, *(f"{key}={value}" for key, value in {**where, **fields}.items())]),
    )
    door.control("note", text=what, fields={**whom, **where, "by": staff.username, **fields})


def _given(**fields: Any) -> dict[str, Any]:
    """Those that say something, times as entries show them."""
    said = {key: value for key, value in fields.items() if value not in (None, "", FOR_GOOD)}
    return {key: rfc3339(value) if isinstance(value, datetime) else value for key, value in said.items()}


def _until(seconds: float | None) -> datetime | None:
    if seconds is None:
        return None
    if not 0 < seconds <= LONGEST:
        raise EventError("bad_data", "`seconds` must be more than 0, and 100 years at most", field="seconds")
    return now() + timedelta(seconds=seconds)


def _checked_reason(reason: str) -> str:
    return rooms.checked_text("reason", reason, REASON)

"""Rooms and their members: finding, joining, making, inviting, leaving.

A private room that isn't yours and a room that doesn't exist are the same answer after the
same queries, so that neither the words nor the time tell them apart. A room that was
closed is one too, but for its members, who may still read what they have not received.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from chat.delivery import door
from chat.delivery.entries import SYSTEM, Draft, Person
from chat.errors import EventError
from chat.models import SLUG_PATTERN, Ban, Former, Membership, Room

from . import people
from .paging import in_slices

N = TypeVar("N", int, float)

# What breaks a log's line or turns the text around it: controls, separators, directions.
UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

Role = Membership.Role
LEADERS = (Role.OWNER, Role.MODERATOR)
NAMES = {Role.OWNER: "an owner", Role.MODERATOR: "a moderator", Role.MEMBER: "a member"}


@dataclass(slots=True)
class Seat:
    """What a socket's join needs to know of a room and of the person's place in it."""

    room_id: int
    namespace: str
    slug: str
    ordering: str
    head: int
    first: int
    epoch: str
    ack_wait: float  # seconds
    max_deliver: int
    history_from_join: bool
    member_id: int
    user_id: int
    joined_at_seq: int
    received: int
    acked: str
    deliveries: dict[str, int]
    read: int


# Finding


class View(NamedTuple):
    """A room as one person sees it; without a membership they only look in."""

    room: Room
    membership: Membership | None


def look(namespace: str, slug: str, user_id: int, *, lock: bool = False) -> View:
    """The room, if this person may see it, and their membership, if they have one.

    Raises `not_found`, or `banned` for a public room.
    """
    named = Q(namespace=namespace, slug=slug)
    there = Q(room__namespace=namespace, room__slug=slug, user=user_id)
    rooms = Room.objects.select_for_update(no_key=True) if lock else Room.objects.all()
    # All three, whatever the first one says: a room that's hidden takes as long as none.
    room = rooms.filter(named, kind=Room.Kind.FANOUT).first()
    membership = Membership.objects.filter(there).first()
    ban = Ban.objects.filter(people.in_force(), there).first()
    return _seen(slug, room, membership, ban)


def member(namespace: str, slug: str, user_id: int, *, lock: bool = False) -> tuple[Room, Membership]:
    """The room and the person's membership. `forbidden` where they only may look in."""
    room, membership = look(namespace, slug, user_id, lock=lock)
    if membership is None:
        raise EventError("forbidden", f"you are not a member of {slug!r}")
    return room, membership


def find(namespace: str, slug: str, *, lock: bool = False) -> Room:
    """The room or queue, for those who may see all."""
    found = Room.objects.select_for_update(no_key=True) if lock else Room.objects.all()
    room = found.exclude(kind=Room.Kind.CONTROL).filter(namespace=namespace, slug=slug).first()
    if room is None:
        raise EventError("not_found", f"there is no room {slug!r} in /{namespace}", field="room")
    return room


def check_member(namespace: str, slug: str, user_id: int, roles: Collection[str] | None = None) -> None:
    """Of a room or a queue. Raises `not_found`, `banned` or, without one of the roles, `forbidden`."""
    there = Q(room__namespace=namespace, room__slug=slug, user=user_id)
    room = Room.objects.filter(namespace=namespace, slug=slug).exclude(kind=Room.Kind.CONTROL).first()
    membership = Membership.objects.filter(there).first()
    _seen(slug, room, membership, Ban.objects.filter(people.in_force(), there).first())
    if membership is None:
        raise EventError("forbidden", f"you are not a member of {slug!r}")
    if roles is not None and membership.role not in roles:
        raise EventError("forbidden", f"only {' or '.join(roles)} of {slug!r} may do this")


def _seen(slug: str, room: Room | None, membership: Membership | None, ban: Ban | None) -> View:
    if room is None or (membership is None and (room.private or room.closed_at)) or (ban and room.private):
        raise no_room(slug)
    if ban:
        raise people.banned(ban)
    return View(room, membership)


def no_room(slug: str) -> EventError:
    return EventError("not_found", f"there is no room {slug!r}, or it is not open to you")


# Joining


def find_seats(keys: list[tuple[str, str, int]]) -> list[Seat | EventError | None]:
    """Seats of people who are members already, of (namespace, slug, user id), in three queries.

    `None` is a public room whose member this person isn't yet: `take_seat` makes them one.
    """
    return in_slices(keys, _find_seats)


def take_seat(namespace: str, slug: str, user_id: int) -> Seat:
    """The person's place in the room; joining a public room makes one, with its cursors at
    `head`. Raises `not_found` or `banned`.
    """
    with transaction.atomic():
        # Locked, so that `head` is where the membership begins and a ban is seen.
        room, membership = look(namespace, slug, user_id, lock=True)
        return _seat(room, membership or seat_person(room, user_id))


def seat_person(room: Room, user_id: int, role: Role = Role.MEMBER) -> Membership:
    """A membership that begins at the room's head. The caller holds the room's lock."""
    return Membership.objects.create(
        room=room,
        user_id=user_id,
        role=role,
        **_taken_up(room, user_id),
        joined_at_seq=room.head,
        received=room.head,
        read=room.head,
        read_messages=room.messages,
    )


def _taken_up(room: Room, user_id: int) -> dict[str, Any]:
    """What still holds of a former membership."""
    former = Former.objects.filter(room=room, user=user_id).first()
    if former is None:
        return {}
    former.delete()
    return {"muted_until": former.muted_until, "wrote_at": former.wrote_at}


def _keep(room: Room, membership: Membership) -> None:
    """For when they come back."""
    still = {"muted_until": membership.muted_until, "wrote_at": membership.wrote_at}
    ends = {
        "muted_until": membership.muted_until,
        "wrote_at": membership.wrote_at and membership.wrote_at + timedelta(seconds=room.slow_mode),
    }
    kept = {field: still[field] for field, end in ends.items() if end is not None and end > timezone.now()}
    if kept:
        Former.objects.update_or_create(room=room, user_id=membership.user_id, defaults=kept)


def _find_seats(keys: list[tuple[str, str, int]]) -> list[Seat | EventError | None]:
    slugs, users = {slug for _, slug, _ in keys}, {user for _, _, user in keys}
    rooms = {
        (room.namespace, room.slug): room
        for room in Room.objects.filter(slug__in=slugs, kind=Room.Kind.FANOUT)
    }
    here = {"room__in": list(rooms.values()), "user__in": users}
    memberships = {(row.room_id, row.user_id): row for row in Membership.objects.filter(**here)}
    bans = {(row.room_id, row.user_id): row for row in Ban.objects.filter(people.in_force(), **here)}

    def seat(namespace: str, slug: str, user_id: int) -> Seat | EventError | None:
        found = rooms.get((namespace, slug))
        place = (found.pk if found else 0, user_id)
        try:
            room, membership = _seen(slug, found, memberships.get(place), bans.get(place))
        except EventError as error:
            return error
        return _seat(room, membership) if membership else None

    return [seat(*key) for key in keys]


def _seat(room: Room, membership: Membership) -> Seat:
    return Seat(
        room_id=room.pk,
        namespace=room.namespace,
        slug=room.slug,
        ordering=room.ordering,
        head=room.head,
        first=room.first,
        epoch=room.epoch,
        ack_wait=room.ack_wait,
        max_deliver=room.max_deliver,
        history_from_join=room.history_from_join,
        member_id=membership.pk,
        user_id=membership.user_id,
        joined_at_seq=membership.joined_at_seq,
        received=membership.received,
        acked=membership.acked,
        deliveries=membership.deliveries,
        read=membership.read,
    )


def named(namespace: str, slug: str, names: Iterable[str]) -> list[dict[str, Any]]:
    """The members of a room who go by one of these names: whom a message mentions."""
    wanted = {each for name in names for each in (name, name.lower())}
    people_named = Membership.objects.filter(
        room__namespace=namespace, room__slug=slug, user__username__in=wanted, user__is_active=True
    )
    rows = people_named.order_by("user").values_list("user_id", "user__username")
    return [Person(pk, name).as_dict() for pk, name in rows]


# Making and changing


def create(
    namespace: str,
    user_id: int,
    slug: str,
    *,
    name: str = "",
    topic: str = "",
    private: bool = False,
    ordering: str = Room.Ordering.ORDERED,
    ack_wait: float = 30.0,
    max_deliver: int = 5,
) -> Room:
    """A new room, owned by its creator. `conflict` where the name is taken: this tells that a
    private room of that name exists, which no room that can be named by its slug can hide.
    """
    room = Room(
        namespace=namespace,
        slug=checked_slug(slug),
        name=checked_text("name", name, 100),
        topic=checked_text("topic", topic, 300),
        private=private,
        ordering=checked_choice("ordering", ordering, Room.Ordering.values),
        ack_wait=checked_range("ack_wait", ack_wait, 0.1, 3600),
        max_deliver=checked_range("max_deliver", max_deliver, 1, 1000),
    )
    try:
        with transaction.atomic():
            room.save()
            seat_person(room, user_id, Role.OWNER)
    except IntegrityError:
        raise EventError("conflict", f"there is a room {slug!r} already", room=slug) from None
    return room


def invite(namespace: str, slug: str, by: int, user: int | str) -> User:
    """Make a person a member at once; by an owner or a moderator. Returns that person.

    Inviting a member again changes nothing. The control entry tells every process.
    """
    with door.controlled():
        room, _ = led(namespace, slug, by, lock=True)
        check_open(room)
        person = people.find(user)
        if Ban.objects.filter(people.in_force(), room=room, user=person).exists():
            raise EventError("forbidden", f"{person.username} is banned from {slug!r}")
        if not Membership.objects.filter(room=room, user=person).exists():
            seat_person(room, person.pk)
            door.control("added", user=person.pk, namespace=namespace, room=slug)
    return person


def quit(namespace: str, slug: str, user_id: int) -> None:
    """End one's membership. An owner who leaves none behind hands the room on to the
    longest-standing moderator, else the longest-standing member; the last one out leaves
    it to the staff.
    """
    with door.controlled():
        room, membership = member(namespace, slug, user_id, lock=True)
        end_membership(room, membership, "quit", f"{membership.user.get_username()} left the room.")


def end_membership(room: Room, membership: Membership, act: str, text: str, reason: str = "") -> None:
    """The same for who is removed: told as a notice, at whose place in the log it takes effect.
    The caller holds the control log and the room."""
    membership.delete()
    _keep(room, membership)
    about: dict[str, Any] = {"user": as_person(membership), **({"reason": reason} if reason else {})}
    if membership.role == Role.OWNER and (heir := _heir(room)):
        heir.role = Role.OWNER
        heir.save(update_fields=["role"])
        about["owner"] = as_person(heir)
        text += f" {about['owner']['name']} owns it now."
    note(room, text, act=act, **about)


def update(
    namespace: str, slug: str, user_id: int, name: str | None = None, topic: str | None = None
) -> Room:
    """A new name or topic, by an owner or a moderator, told to the members as a notice."""
    changes = {}
    if name is not None:
        changes["name"] = checked_text("name", name, 100)
    if topic is not None:
        changes["topic"] = checked_text("topic", topic, 300)
    with transaction.atomic():
        room, _ = led(namespace, slug, user_id, lock=True)
        check_open(room)
        rename(room, changes)
    return room


def rename(room: Room, wanted: dict[str, str]) -> dict[str, str]:
    """The same of a room that the caller has locked, with what was checked. Returns what changed."""
    changes = {field: value for field, value in wanted.items() if getattr(room, field) != value}
    if changes:
        for field, value in changes.items():
            setattr(room, field, value)
        room.save(update_fields=list(changes))
        note(room, _told(changes), act="update", **changes)
    return changes


def close(room: Room, reason: str = "") -> None:
    """No more entries after this notice. Members keep the room, to read; nobody else finds it."""
    with transaction.atomic():
        room = Room.objects.select_for_update(no_key=True).get(pk=room.pk)
        if room.closed_at is None:
            note(room, "The room was closed.", act="close", **({"reason": reason} if reason else {}))
            room.closed_at = timezone.now()
            room.save(update_fields=["closed_at"])


def reopen(room: Room) -> None:
    """Entries again. The caller holds the room."""
    room.closed_at = None
    room.save(update_fields=["closed_at"])
    note(room, "The room is open again.", act="reopen")


def led(
    namespace: str, slug: str, user_id: int, roles: Collection[str] = LEADERS, *, lock: bool = False
) -> tuple[Room, Membership]:
    """The room, and the membership of someone with one of these roles there."""
    room, membership = member(namespace, slug, user_id, lock=lock)
    check_role(room, membership.role, roles)
    return room, membership


def check_role(room: Room, role: str, roles: Collection[str] = LEADERS) -> None:
    if role not in roles:
        who = " or ".join(NAMES[Role(each)] for each in roles) or "the staff"
        raise EventError("forbidden", f"only {who} of {room.slug!r} may do this")


def check_open(room: Room) -> None:
    if room.closed_at:
        raise EventError("forbidden", f"{room.slug!r} is closed")


def _heir(room: Room) -> Membership | None:
    members = room.memberships.select_related("user").order_by("joined_at", "pk")
    if members.filter(role=Role.OWNER).exists():
        return None
    return members.filter(role=Role.MODERATOR).first() or members.filter(user__is_active=True).first()


def as_person(membership: Membership) -> dict[str, Any]:
    return Person(membership.user_id, membership.user.get_username()).as_dict()


def note(room: Room, text: str, **about: Any) -> None:
    """What the members of a room are told of it; in a queue there are none to tell."""
    if room.kind != Room.Kind.FANOUT:
        return
    door.write(
        Draft(
            namespace=room.namespace,
            room=room.slug,
            sender=SYSTEM,
            client_id=uuid.uuid4().hex,
            kind="notice",
            extra={"text": text, **about},
        )
    )


def _told(changes: dict[str, str]) -> str:
    said = {"name": "The room is called “{}” now.", "topic": "The topic is “{}” now."}
    return " ".join(said[field].format(value) for field, value in changes.items())


# Checks


def checked_slug(slug: str, field: str = "room") -> str:
    if not re.match(SLUG_PATTERN, slug):
        raise EventError(
            "bad_data",
            f"`{field}` is 1 to 64 of a-z, 0-9, `.`, `_` and `-`, the first a letter or digit",
            field=field,
        )
    return slug


def checked_text(field: str, text: str, longest: int) -> str:
    text = text.strip()
    if len(text) > longest:
        raise EventError("bad_data", f"`{field}` has at most {longest} characters", field=field)
    if UNFIT.search(text):
        raise EventError("bad_data", f"`{field}` must be one line without control characters", field=field)
    return text


def checked_choice(field: str, value: str, choices: list[str]) -> str:
    if value not in choices:
        raise EventError("bad_data", f"`{field}` must be one of {', '.join(choices)}", field=field)
    return value


def checked_range(field: str, value: N, least: float, most: float) -> N:
    if not least <= value <= most:
        raise EventError("bad_data", f"`{field}` must be from {least:g} to {most:g}", field=field)
    return value

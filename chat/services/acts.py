"""Acts of moderation: who may do what to whom, and the record of it.

The staff act everywhere, owners and moderators in their room: a moderator on plain members, an
owner on moderators as well, and neither on the staff.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model

from chat.delivery import door
from chat.delivery.entries import SYSTEM, now, rfc3339
from chat.errors import EventError
from chat.models import Ban, Membership, Room

from . import people, rooms

CHAT = "chat"
REASON = 300  #: characters of a reason
LONGEST = 100 * 365 * 24 * 3600.0  #: seconds of a ban or a mute; without any they are for good
FOR_GOOD = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  #: of a mute, whose column knows no other way

Role = Membership.Role
RANKS = (Role.MEMBER, Role.MODERATOR, Role.OWNER)


@dataclass(frozen=True, slots=True)
class Act:
    """Who acts, in which room, if in one, and by which right."""

    by: User
    room: Room | None = None
    #: An owner's or a moderator's; None: one of the staff.
    role: str | None = None

    @property
    def place(self) -> Room:
        assert self.room is not None
        return self.room

    def target(self, user: int | str) -> User:
        """The person whom it is about. Raises `not_found`, or `forbidden` as `check_target` does."""
        person = people.find(user, active=False)
        self.check_target(person)
        return person

    def check_target(self, person: User) -> None:
        """Only superusers may do anything to a superuser, the staff to the staff, and who has a
        role in the room to those with less of one."""
        if person.is_superuser and not (self.by.is_superuser or self.by.pk == SYSTEM):
            raise _beyond(person, "a superuser", "another superuser")
        if self.role is None:
            return
        if person.is_staff or person.is_superuser:
            raise _beyond(person, "one of the staff", "the staff")
        membership = Membership.objects.filter(room=self.room, user=person).first()
        if membership is not None and rank(membership.role) >= rank(self.role):
            above = "the staff" if membership.role == Role.OWNER else "an owner"
            raise _beyond(person, rooms.NAMES[Role(membership.role)], above)

    def record(self, what: str, about: Model | None = None, *, flag: int = CHANGE, **more: Any) -> None:
        """For Django's log of the staff's acts, and for the event log of every process."""
        where = {} if self.room is None else {"room": self.room.slug, "namespace": f"/{self.room.namespace}"}
        whom = {"user": about.username, "id": about.pk} if isinstance(about, User) else {}
        fields = given(**more)
        LogEntry.objects.create(
            user=self.by,
            content_type=None if about is None else ContentType.objects.get_for_model(about),
            object_id=None if about is None else str(about.pk),
            object_repr=str(about or "")[:200],
            action_flag=flag,
            change_message=" ".join(
                [what, *(f"{key}={value}" for key, value in {**where, **fields}.items())]
            ),
        )
        door.control("note", text=what, fields={**whom, **where, "by": self.by.username, **fields})


def rank(role: str) -> int:
    return RANKS.index(Role(role))


@contextmanager
def acting(
    by: int, namespace: str = CHAT, room: str | None = None, roles: Collection[str] = rooms.LEADERS
) -> Iterator[Act]:
    """The transaction of an act by one of the staff or, in a room, by a member with one of these
    roles: still, and not banned from the site, now that it begins. The room is locked.

    Raises `forbidden`, and `not_found` or `banned` as for anyone who may not see the room.
    """
    # Who may not is refused before anything is locked: nobody holds up those who may.
    _act(by, namespace, room, roles, lock=False)
    with door.controlled():
        yield _act(by, namespace, room, roles, lock=True)


def _act(by: int, namespace: str, room: str | None, roles: Collection[str], lock: bool) -> Act:
    person = active(by)
    if is_staff(person):
        return Act(person, None if room is None else rooms.find(namespace, room, lock=lock))
    if room is None:
        raise EventError("forbidden", "this is for the staff alone")
    place, membership = rooms.led(namespace, room, by, roles, lock=lock)
    return Act(person, place, membership.role)


def is_staff(person: User) -> bool:
    return person.is_staff or person.pk == SYSTEM


def active(by: int) -> User:
    """Whoever it is that acts. Raises `forbidden` where the account is switched off or banned."""
    person = User.objects.filter(pk=by).first()
    if person is None or not (person.is_active or by == SYSTEM) or people.site_bans([by]):
        raise EventError("forbidden", "this account may do nothing any more")
    return person


def _beyond(person: User, what: str, above: str) -> EventError:
    return EventError("forbidden", f"{person.username} is {what}: only {above} may do this")


def check_not_last(person: User) -> None:
    """Raises `forbidden` where nobody would be left who can do everything."""
    if not (person.is_active and person.is_superuser):
        return
    # One who isn't of the staff comes in nowhere.
    others = User.objects.filter(is_active=True, is_superuser=True, is_staff=True).exclude(pk=person.pk)
    banned = Ban.objects.filter(people.in_force(), room=None).values("user")
    if not others.exclude(pk__in=banned).exists():
        raise EventError("forbidden", f"{person.username} is the last superuser: make someone else one first")


# What they say


def given(**fields: Any) -> dict[str, Any]:
    """Those that say something, times as entries show them."""
    said = {key: value for key, value in fields.items() if value not in (None, "", FOR_GOOD)}
    return {key: rfc3339(value) if isinstance(value, datetime) else value for key, value in said.items()}


def until_after(seconds: float | None) -> datetime | None:
    if seconds is None:
        return None
    if not 0 < seconds <= LONGEST:
        raise EventError("bad_data", "`seconds` must be more than 0, and 100 years at most", field="seconds")
    return now() + timedelta(seconds=seconds)


def checked_reason(reason: str, field: str = "reason") -> str:
    return rooms.checked_text(field, reason, REASON)

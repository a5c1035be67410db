"""The end of a person: nobody is left who could sign in, and what they wrote stays or goes.

Their access and their name end at once, in one transaction; what they leave behind, their
memberships and where it is wanted their messages, goes in slices after it.
"""

from __future__ import annotations

import secrets

from django.contrib.admin.models import DELETION
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef

from chat.delivery import door
from chat.models import Membership, Message, Room, Token

from . import people, presence, rooms
from .acts import acting, check_not_last
from .moderation import deletion, messages

#: Messages erased in one transaction: nobody else's write waits for more than about 50 ms.
SLICE = 100
#: Memberships ended in one.
ROOMS = 5


def delete_person(by: int, user: int | str, *, erase: bool = False) -> User:
    """Nobody is left who could sign in, and the account says nothing of who it was. What they wrote
    stays, under the new name, or with `erase` goes too; asked again, what was left of it goes.

    The row stays, since logs refer to it, as `deleted-ID`; bans stay as well, and so does what
    others wrote: a mention, a notice of the old name.
    """
    person = anonymise(by, user, erased=erase)
    while leave_slice(person.pk):
        pass
    for some in slices(person.pk) if erase else ():
        erase_slice(*some)
    return person


def anonymise(by: int, user: int | str, *, erased: bool = False) -> User:
    """Their access and their name come to an end at once, their memberships by `leave_slice`."""
    with acting(by) as act:
        person = act.target(user)
        check_not_last(person)
        _end_access(person)
        _forget_name(person)
        door.control("forget")
        act.record("a user was deleted", person, flag=DELETION, erased=erased or None)
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


def slices(user: int) -> list[tuple[int, list[int]]]:
    """What there is to erase: ids of rooms, each with some of the person's messages there."""
    theirs = Room.objects.filter(Exists(Message.objects.filter(sender=user, room=OuterRef("pk"))))
    return [(room.pk, some) for room in theirs.order_by("pk") for some in _said(user, room)]


def _said(user: int, room: Room) -> list[list[int]]:
    """Found by the sender, whom an index has: asked for a part or an order of the log, the
    database would look through all of it."""
    there = messages().filter(sender=user, room=room).values_list("seq", flat=True)
    seqs = sorted(seq for seq in there if seq >= room.first)
    return [seqs[start : start + SLICE] for start in range(0, len(seqs), SLICE)]


def erase_slice(room_id: int, seqs: list[int]) -> None:
    """Delete these messages, but for those that have gone since, in a transaction of its own."""
    with transaction.atomic():
        room = Room.objects.select_for_update(no_key=True).filter(pk=room_id).first()
        if room is not None:
            kept = [seq for seq in seqs if seq >= room.first]
            left = messages().filter(room=room, seq__in=kept).values_list("seq", flat=True)
            door.write(*(deletion(room, seq) for seq in sorted(left)))


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
    people.end_sessions(person)
    Token.objects.filter(user=person).delete()
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

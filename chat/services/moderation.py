"""What moderators do to people, rooms and messages.

Each act is one transaction: its effect, the notice of it in a room's log where members should
see it, the word to every process that makes it live, a line for the event log and Django's
LogEntry of who did what, to whom and why. `by` is the id of one of the staff, the system's, or
in a room the id of an owner or moderator of it; see `acts.py` for who may.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.admin.models import DELETION
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.utils import timezone

from chat.delivery import door
from chat.delivery.entries import SYSTEM, Draft, Receipt
from chat.errors import EventError
from chat.models import SLOWEST, Ban, Membership, Message, Room, Token

from . import people, rooms, words
from .acts import CHAT, FOR_GOOD, Act, acting, checked_reason, given, is_staff, rank, until_after
from .acts import REASON as REASON
from .acts import check_not_last as check_not_last
from .tokens import revoke

Role = Membership.Role
WORDS, WORD = 200, 50  #: filtered words of a room, and characters of one

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
    reason, until = checked_reason(reason), until_after(seconds)
    with acting(by, namespace, room) as act:
        person = act.target(user)
        if act.room is None:
            check_not_last(person)
        banned = Ban.objects.filter(user=person, room=act.room).first() or Ban(user=person, room=act.room)
        _check_ours(act, banned)
        banned.until, banned.reason, banned.by = until, reason, act.by
        banned.save()
        if act.room is not None:
            _end_membership(act.room, person, "ban", f"{person.username} was banned.", reason)
        act.record("a user was banned", person, until=until, reason=reason)
    return banned


def unban(by: int, user: int | str, room: str | None = None, *, namespace: str = CHAT) -> User:
    """Returns the person. Raises `not_found` where they aren't banned there."""
    with acting(by, namespace, room) as act:
        person = act.target(user)
        banned = Ban.objects.filter(people.in_force(), user=person, room=act.room).first()
        if banned is None:
            where = "from the site" if room is None else f"from {room!r}"
            raise EventError("not_found", f"{person.username} is not banned {where}", field="user")
        _check_ours(act, banned)
        banned.delete()
        act.record("a user was unbanned", person)
    return person


def _check_ours(act: Act, banned: Ban) -> None:
    """What the staff have banned from a room is not the room's to end, nor to make shorter."""
    runs = banned.pk is not None and (banned.until is None or banned.until > timezone.now())
    if act.role is not None and runs and (banned.by is None or is_staff(banned.by)):
        raise EventError(
            "forbidden", f"{banned.user.username} was banned by the staff: only they may change it"
        )


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
    reason = checked_reason(reason)
    until = None if seconds == 0 else until_after(seconds) or FOR_GOOD
    with acting(by, namespace, room) as act:
        person = act.target(user)
        membership = _membership(act.place, person)
        membership.muted_until = until
        membership.save(update_fields=["muted_until"])
        text = f"{person.username} was muted." if until else f"{person.username} may write again."
        more = given(reason=reason, until=until)
        rooms.note(
            act.place, text, act="mute" if until else "unmute", user=rooms.as_person(membership), **more
        )
        act.record(f"a user was {'muted' if until else 'unmuted'}", person, until=until, reason=reason)
    return membership


def kick(by: int, user: int | str, room: str, *, namespace: str = CHAT, reason: str = "") -> User:
    """End a membership. Of a public room the person may become a member again."""
    reason = checked_reason(reason)
    with acting(by, namespace, room) as act:
        person = act.target(user)
        _membership(act.place, person)
        _end_membership(act.place, person, "kick", f"{person.username} was removed.", reason)
        act.record("a user was removed from a room", person, reason=reason)
    return person


def send_away(by: int, user: int | str | None, *, sid: str | None = None, reason: str = "") -> User | None:
    """Close all of a person's sockets, or the one with this id, which is this person's or nobody's.
    They may come back by hand."""
    reason = checked_reason(reason)
    with acting(by) as act:
        person = None if user is None else act.target(user)
        door.control("kick", user=person and person.pk, sid=sid, reason=reason)
        act.record("a user was sent away", person, sid=sid, reason=reason)
    return person


# Their access


def end_sessions(by: int, user: int | str, *, tokens: bool = False, reason: str = "") -> User:
    """Sign a person out of every browser, and revoke their tokens where that is asked for, too.
    What was open with those closes; they may sign in again."""
    reason = checked_reason(reason)
    with acting(by) as act:
        person = act.target(user)
        # The reason goes ahead of the word that also finds sockets whose rights are read right now.
        door.control("end", user=person.pk, tokens=tokens, reason=reason)
        door.control("recheck", users=[person.pk])
        people.end_sessions(person)
        if tokens:
            Token.objects.filter(user=person, revoked_at=None).update(revoked_at=timezone.now())
        act.record("a user's sessions were ended", person, tokens=tokens or None, reason=reason)
    return person


def revoke_token(by: int, token: int) -> Token:
    """Raises `not_found`, `conflict` where it is revoked already."""
    with acting(by) as act:
        row = Token.objects.filter(pk=token).select_related("user").first()
        if row is None:
            raise EventError("not_found", f"there is no token {token}", field="token")
        act.check_target(row.user)
        if row.revoked_at is not None:
            raise EventError("conflict", f"token {token} is revoked already")
        revoke(row)
        act.record("a token was revoked", row.user, token=row.pk, label=row.label)
    return row


# Rooms


def close_room(by: int, room: str, *, namespace: str = CHAT, reason: str = "") -> None:
    """No more entries; by an owner. Raises `conflict` where it is closed already."""
    reason = checked_reason(reason)
    with acting(by, namespace, room, [Role.OWNER]) as act:
        if act.place.closed_at is not None:
            raise EventError("conflict", f"{room!r} is closed already", room=room)
        rooms.close(act.place, reason)
        act.record("a room was closed", act.place, reason=reason)


def reopen_room(by: int, room: str, *, namespace: str = CHAT) -> None:
    """By the staff alone. Raises `conflict` where it is open."""
    with acting(by, namespace, room, []) as act:
        if act.place.closed_at is None:
            raise EventError("conflict", f"{room!r} is open", room=room)
        rooms.reopen(act.place)
        door.control("rules")  # no process knows the words of a closed room
        act.record("a room was opened again", act.place)


def set_role(by: int, user: int | str, room: str, role: str, *, namespace: str = CHAT) -> Membership:
    """Make a member a moderator or an owner, or no longer; by an owner. Anyone may step down, but
    for the last owner (`forbidden`)."""
    role = rooms.checked_choice("role", role, Role.values)
    with acting(by, namespace, room) as act:
        membership = _membership(act.place, people.find(user, active=False))
        _check_may_set(act, membership, role)
        if membership.role != role:
            _change_role(act, membership, role)
    return membership


def _check_may_set(act: Act, membership: Membership, role: str) -> None:
    steps_down = membership.user_id == act.by.pk and rank(role) <= rank(membership.role)
    if not steps_down:
        if act.role == Role.MODERATOR:
            raise EventError("forbidden", f"only an owner of {act.place.slug!r} may do this")
        act.check_target(membership.user)
    owners = act.place.memberships.filter(role=Role.OWNER).exclude(pk=membership.pk)
    if membership.role == Role.OWNER != role and not owners.exists():
        name = membership.user.get_username()
        raise EventError("forbidden", f"{name} is the last owner: make someone else one first, or quit")


def _change_role(act: Act, membership: Membership, role: str) -> None:
    person, before = membership.user, rooms.NAMES[Role(membership.role)]
    membership.role = role
    membership.save(update_fields=["role"])
    now = f"no longer {before}" if role == Role.MEMBER else f"{rooms.NAMES[Role(role)]} now"
    text = f"{person.username} is {now}."
    rooms.note(act.place, text, act="role", user=rooms.as_person(membership), role=role)
    place = {"namespace": act.place.namespace, "room": act.place.slug}
    door.control("role", user=person.pk, role=role, **place)
    act.record("a user got another role", person, role=role)


def set_rules(
    by: int,
    room: str,
    *,
    slow_mode: int | None = None,
    filtered_words: list[str] | None = None,
    filter_action: str | None = None,
    namespace: str = CHAT,
) -> Room:
    """What is given changes. Slow mode is told to the members, filtered words are not."""
    wanted: dict[str, Any] = {}
    if slow_mode is not None:
        wanted["slow_mode"] = rooms.checked_range("slow_mode", slow_mode, 0, SLOWEST)
    if filtered_words is not None:
        wanted["filtered_words"] = "\n".join(_checked_words(filtered_words))
    if filter_action is not None:
        actions = Room.FilterAction.values
        wanted["filter_action"] = rooms.checked_choice("filter_action", filter_action, actions)
    with acting(by, namespace, room) as act:
        if act.place.kind != Room.Kind.FANOUT:
            raise rooms.no_room(room)
        changes = {field: value for field, value in wanted.items() if getattr(act.place, field) != value}
        if changes:
            _change_rules(act, changes)
    return act.place


def rules_of(room: Room) -> dict[str, Any]:
    return {
        "room": room.slug,
        "slow_mode": room.slow_mode,
        "filtered_words": room.filtered_words.splitlines(),
        "filter_action": room.filter_action,
    }


def _change_rules(act: Act, changes: dict[str, Any]) -> None:
    rooms.check_open(act.place)
    for field, value in changes.items():
        setattr(act.place, field, value)
    act.place.save(update_fields=list(changes))
    slow = changes.get("slow_mode")
    if slow is not None:
        text = f"Slow mode: one message every {_duration(slow)}." if slow else "Slow mode is off."
        rooms.note(act.place, text, act="rules", slow_mode=slow)
    filtered = changes.get("filtered_words")
    said = changes if filtered is None else changes | {"filtered_words": len(filtered.splitlines())}
    act.record("the rules of a room were changed", act.place, **said)


def _duration(seconds: int) -> str:
    for name, length in (("h", 3600), ("min", 60)):
        if seconds % length == 0:
            return f"{seconds // length} {name}"
    return f"{seconds} s"


def _checked_words(given_words: list[str]) -> list[str]:
    """Each once. One that no message could have as a word is refused, rather than kept in vain."""
    kept = list(dict.fromkeys(filter(None, (word.strip() for word in given_words))))
    if len(kept) > WORDS:
        raise EventError(
            "bad_data", f"`filtered_words` are at most {WORDS}, got {len(kept)}", field="filtered_words"
        )
    for word in kept:
        if len(word) > WORD or not words.is_word(word):
            right = f"single words of letters and digits, at most {WORD} of them"
            raise EventError(
                "bad_data", f"`filtered_words` are {right}: {word[:WORD]!r} is none", field="filtered_words"
            )
    return kept


# Messages


def delete_message(by: int, room: str, seq: int, *, namespace: str = CHAT, reason: str = "") -> None:
    """Its body leaves the log, with a `delete` entry that has the reason. Raises `not_found`."""
    reason = checked_reason(reason)
    with acting(by, namespace, room) as act:
        found = messages().filter(room=act.place, seq=seq, seq__gte=act.place.first).first()
        if found is None:
            raise EventError("not_found", f"there is no message {seq} in {room!r}", field="seq")
        door.write(deletion(act.place, seq, reason, SYSTEM if act.role is None else by))
        act.record("a message was deleted", act.place, flag=DELETION, seq=seq, reason=reason)


def delete_as_member(draft: Draft) -> Receipt:
    """A moderator or one of the staff, who is a member, deletes someone else's message, which is on
    record. The log judges who may."""
    with door.controlled():
        receipt = door.write(draft)[0]
        if receipt.duplicate:
            return receipt
        place = Room.objects.get(namespace=draft.namespace, slug=draft.room)
        act = Act(User.objects.get(pk=draft.sender), place)
        act.record("a message was deleted", place, flag=DELETION, seq=draft.target, **draft.extra)
    return receipt


def moderates(namespace: str, room: str, seq: int, user: int) -> bool:
    """Whether this person deletes an entry by a role, and not as their own. No refusal: the log
    gives one to whoever may do neither."""
    there = {"room__namespace": namespace, "room__slug": room}
    right = Q(role__in=rooms.LEADERS) | Q(user__is_staff=True)
    own = Message.objects.filter(**there, seq=seq, sender=user)
    return Membership.objects.filter(right, **there, user=user).exists() and not own.exists()


def messages() -> QuerySet[Message]:
    """Those that stand."""
    return Message.objects.filter(kind=Message.Kind.MESSAGE, deleted="")


def deletion(room: Room, seq: int, reason: str = "", by: int = SYSTEM) -> Draft:
    extra = given(reason=reason)
    return Draft(room.namespace, room.slug, by, uuid.uuid4().hex, "delete", target=seq, extra=extra)


# What they share


def _membership(room: Room, person: User) -> Membership:
    membership = Membership.objects.filter(room=room, user=person).select_related("user").first()
    if membership is None:
        raise EventError("not_found", f"{person.username} is not a member of {room.slug!r}", field="user")
    return membership


def _end_membership(room: Room, person: User, act: str, text: str, reason: str) -> None:
    membership = Membership.objects.filter(room=room, user=person).select_related("user").first()
    if membership is not None:
        rooms.end_membership(room, membership, act, text, reason)

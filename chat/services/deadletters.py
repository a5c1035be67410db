"""Dead letters: orders that no worker got done, and entries that a member never got."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from chat.delivery import leases
from chat.delivery.entries import rfc3339
from chat.errors import EventError
from chat.models import DeadLetter, Room

from .acts import acting
from .paging import check_seq, clamp, fitting


def find_place(name: str) -> Room:
    """The queue or room of this name, or of `NAMESPACE/NAME` where several have it."""
    namespace, slash, slug = name.replace("\0", "\ufffd").strip("/").rpartition("/")
    found = Room.objects.filter(slug=slug).exclude(kind=Room.Kind.CONTROL).order_by("namespace")
    if slash:
        found = found.filter(namespace=namespace)
    places = list(found)
    if not places:
        raise EventError("not_found", f"there is no queue or room {name!r}")
    if len(places) > 1:
        raise EventError("conflict", f"there are {' and '.join(map(str, places))}: say which")
    return places[0]


def letters(place: Room | None = None) -> QuerySet[DeadLetter]:
    """The newest first."""
    found = DeadLetter.objects.select_related("room", "user").order_by("-pk")
    return found if place is None else found.filter(room=place)


def describe(found: Iterable[DeadLetter]) -> list[dict[str, Any]]:
    """`{"place", "first", "last", "user", "attempts", "reason", "why"?, "item"?, "at"}` of each.

    An order has no `user`, but its `item` and why its last attempt came to nothing.
    """
    found = list(found)
    keys = [(letter.room_id, letter.first) for letter in found if letter.user_id is None]
    orders = {(order.queue_id, order.seq): order for order in leases.load(keys)}
    return [_describe(letter, orders.get((letter.room_id, letter.first))) for letter in found]


def _describe(letter: DeadLetter, order: leases.Order | None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "place": str(letter.room),
        "first": letter.first,
        "last": letter.last,
        "user": None if letter.user is None else letter.user.get_username(),
        "attempts": letter.attempts,
        "reason": letter.reason,
        "at": rfc3339(letter.at),
    }
    if letter.user is None and order is not None:
        shown |= {"why": order.reason, "item": order.item}
    return shown


def dead_orders(queue: Room) -> list[int]:
    """Their numbers, ascending."""
    return list(letters(queue).filter(user=None).order_by("first").values_list("first", flat=True))


def member_letters(room: Room, seq: int | None = None, user: str | None = None) -> list[DeadLetter]:
    """Of all members or of one; those that cover an entry, or all."""
    found = letters(room).exclude(user=None)
    if seq is not None:
        found = found.filter(first__lte=seq, last__gte=seq)
    if user is not None:
        found = found.filter(user__username=user)
    return list(found)


def page(place: str | None = None, before: int | None = None, limit: int | None = None) -> dict[str, Any]:
    """`{"dead_letters", "more", "next"?}`: the newest first, of one queue or room or of all."""
    check_seq("before", before)
    found = letters(None if place is None else find_place(place))
    if before is not None:
        found = found.filter(pk__lt=before)
    rows = list(found[: clamp(limit) + 1])
    shown = zip(rows, describe(rows), strict=True)
    fit = fitting(
        [{"id": letter.pk, **_where(letter.room), **said} for letter, said in shown][: clamp(limit)]
    )
    reply: dict[str, Any] = {"dead_letters": fit, "more": len(fit) < len(rows)}
    if reply["more"]:
        reply["next"] = fit[-1]["id"]
    return reply


def _where(room: Room) -> dict[str, Any]:
    return {"namespace": room.namespace, "room": room.slug, "kind": room.kind}


def revive(by: int, letter_id: int) -> leases.Order:
    """Queue its order once more. Raises `not_found`, or `conflict` for an entry of a room."""
    letter = _find(letter_id)
    if letter.user_id is not None:
        message = (
            f"{letter.room} is a room: its members' cursors have moved past what they never got, so it is "
            f"not sent again; a member finds it by paging back"
        )
        raise EventError("conflict", message, room=letter.room.slug)
    with acting(by, letter.room.namespace, letter.room.slug) as act:
        order = leases.revive(letter.room.namespace, letter.room.slug, letter.first, by)
        act.record("a dead letter was revived", act.place, seq=letter.first)
    return order


def bury(by: int, letter_id: int) -> leases.Order | None:
    """Give it up for good. None where it was a member's, of whom nothing else is told."""
    letter = _find(letter_id)
    with acting(by, letter.room.namespace, letter.room.slug) as act:
        order = None
        if letter.user_id is None:
            order = leases.bury(letter.room.namespace, letter.room.slug, letter.first, by)
        else:
            remove([letter])
        member = None if letter.user is None else letter.user.get_username()
        act.record("a dead letter was buried", act.place, seq=letter.first, member=member)
    return order


def _find(letter_id: int) -> DeadLetter:
    check_seq("id", letter_id)
    letter = letters().filter(pk=letter_id).first()
    if letter is None:
        raise EventError("not_found", f"there is no dead letter {letter_id}; it may be settled", field="id")
    return letter


def remove(found: Iterable[DeadLetter]) -> None:
    """A member's letters: nothing else knows of them."""
    DeadLetter.objects.filter(pk__in=[letter.pk for letter in found]).exclude(user=None).delete()

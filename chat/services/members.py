"""Who belongs to a room, and who is kept out of it."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from chat.delivery.entries import Person, now, rfc3339
from chat.models import Ban, Membership, Presence, Room

from . import people, rooms
from .acts import CHAT, active, is_staff
from .paging import clamp, fitting


def list_members(
    by: int,
    slug: str,
    query: str = "",
    after: str = "",
    limit: int | None = None,
    *,
    namespace: str = CHAT,
) -> dict[str, Any]:
    """`{"members", "more", "next"?}`, by name, for members and the staff; `query` is a part of the
    name. Who moderates is also shown who is muted and who is of the staff."""
    room, role = _place(by, namespace, slug)
    here = Presence.objects.filter(user=OuterRef("user"))
    found = Membership.objects.filter(room=room, user__username__gt=after.replace("\0", "\ufffd"))
    if query:
        found = found.filter(user__in=people.everyone(active=False).filter(people.whose_name_has(query)))
    rows = found.select_related("user").annotate(online=Exists(here)).order_by("user__username")
    moderates = role is None or role in rooms.LEADERS
    return _page("members", rows, limit, lambda row: _as_member(row, moderates), lambda item: item["name"])


def list_bans(
    by: int, slug: str, after: str = "", limit: int | None = None, *, namespace: str = CHAT
) -> dict[str, Any]:
    """`{"bans", "more", "next"?}`: those in force, by the person's name, for who moderates the room."""
    room, role = _place(by, namespace, slug)
    if role is not None:
        rooms.check_role(room, role)
    found = Ban.objects.filter(people.in_force(), room=room, user__username__gt=after.replace("\0", "\ufffd"))
    rows = found.select_related("user", "by").order_by("user__username")
    return _page("bans", rows, limit, _as_ban, lambda item: item["user"]["name"])


def _place(by: int, namespace: str, slug: str) -> tuple[Room, str | None]:
    """The room, and the role of who asks; None: one of the staff."""
    if is_staff(active(by)):
        return rooms.find(namespace, slug), None
    room, membership = rooms.member(namespace, slug, by)
    return room, membership.role


def _page(key: str, rows: QuerySet[Any], limit: int | None, show: Any, name: Any) -> dict[str, Any]:
    some = list(rows[: clamp(limit) + 1])
    fit = fitting(show(row) for row in some[: clamp(limit)])
    reply: dict[str, Any] = {key: fit, "more": len(fit) < len(some)}
    if reply["more"]:
        reply["next"] = name(fit[-1])
    return reply


def _as_member(row: Any, moderates: bool) -> dict[str, Any]:
    shown = {"id": row.user_id, "name": row.user.get_username(), "role": row.role, "online": row.online}
    if moderates:
        shown["staff"] = row.user.is_staff
        if row.muted_until is not None and row.muted_until > now():
            shown["muted_until"] = rfc3339(row.muted_until)
    return shown


def _as_ban(row: Ban) -> dict[str, Any]:
    return {
        "user": Person(row.user_id, row.user.get_username()).as_dict(),
        "reason": row.reason,
        "until": row.until and rfc3339(row.until),
        "by": row.by and Person(row.by.pk, row.by.get_username()).as_dict(),
        "at": rfc3339(row.at),
    }

"""What the staff see of the site: its people, its rooms, and how much there is."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db.models import Count, Exists, F, IntegerField, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from chat.delivery.entries import now, rfc3339
from chat.models import Ban, DeadLetter, Lease, Membership, Presence, Report, Room

from . import people
from .paging import clamp, fitting


def list_people(query: str = "", after: str = "", limit: int | None = None) -> dict[str, Any]:
    """`{"users", "more", "next"?}`, by name, whose accounts are switched off too; `query` is a part
    of the name."""
    found = _people().filter(username__gt=after).order_by("username")
    if query:
        found = found.filter(people.whose_name_has(query))
    rows = list(found[: clamp(limit) + 1])
    return _page("users", rows, limit, _as_person, "name")


def list_rooms(namespace: str, after: str = "", limit: int | None = None) -> dict[str, Any]:
    """`{"rooms", "more", "next"?}`, by slug: all of a namespace, private and closed ones too."""
    members = Membership.objects.filter(room=OuterRef("pk")).values("room").annotate(count=Count("pk"))
    found = (
        _rooms()
        .filter(namespace=namespace, slug__gt=after)
        .order_by("slug")
        .annotate(members=Coalesce(Subquery(members.values("count")), 0, output_field=IntegerField()))
    )
    return _page("rooms", list(found[: clamp(limit) + 1]), limit, _as_room, "room")


def stats() -> dict[str, Any]:
    """How much there is. `entries` are those that are kept; `orders` what isn't done yet."""
    rooms = _rooms().aggregate(count=Count("pk"), entries=Sum(F("head") - F("first") + 1))
    open_orders = Lease.objects.exclude(state=Lease.State.DONE).order_by().values_list("state")
    counts = dict(open_orders.annotate(Count("pk")))
    return {
        "online": Presence.objects.values("user").distinct().count(),
        "rooms": rooms["count"],
        "entries": rooms["entries"] or 0,
        "dead_letters": DeadLetter.objects.count(),
        "open_reports": Report.objects.filter(state=Report.State.OPEN).count(),
        "orders": {state: counts.get(state, 0) for state in ("queued", "leased", "dead")},
    }


def _page(key: str, rows: list[Any], limit: int | None, show: Any, by: str) -> dict[str, Any]:
    fit = fitting(show(row) for row in rows[: clamp(limit)])
    reply: dict[str, Any] = {key: fit, "more": len(fit) < len(rows)}
    if reply["more"]:
        reply["next"] = fit[-1][by]
    return reply


def _people() -> QuerySet[User]:
    here = Presence.objects.filter(user=OuterRef("pk"))
    bans = Ban.objects.filter(people.in_force(), user=OuterRef("pk"), room=None)
    everyone = people.everyone(active=False)
    return everyone.annotate(online=Exists(here), seen_at=F("last_seen__at"), banned=Exists(bans))


def _as_person(row: Any) -> dict[str, Any]:
    seen = now() if row.online else row.seen_at
    return {
        "id": row.pk,
        "name": row.username,
        "staff": row.is_staff,
        "active": row.is_active,
        "online": row.online,
        "last_seen": rfc3339(seen) if seen else None,
        "banned": row.banned,
    }


def _rooms() -> QuerySet[Room]:
    return Room.objects.exclude(kind=Room.Kind.CONTROL)


def _as_room(row: Any) -> dict[str, Any]:
    return {
        "room": row.slug,
        "name": row.name or row.slug,
        "kind": row.kind,
        "ordering": row.ordering,
        "private": row.private,
        "closed": row.closed_at is not None,
        "members": row.members,
        "head": row.head,
        "first": row.first,
    }

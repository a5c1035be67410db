"""What the staff see of the site: its people, its rooms, and how much there is."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db.models import Count, Exists, F, IntegerField, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from chat.delivery.entries import now, rfc3339
from chat.delivery.ranges import Ranges
from chat.errors import EventError
from chat.models import Ban, DeadLetter, Lease, Membership, Presence, Report, Room

from . import people
from .paging import check_seq, clamp, fitting

LARGEST_ID = 2**31 - 1  #: of Django's log


def list_people(query: str = "", after: str = "", limit: int | None = None) -> dict[str, Any]:
    """`{"users", "more", "next"?}`, by name, whose accounts are switched off too; `query` is a part
    of the name."""
    found = with_presence().filter(username__gt=after).order_by("username")
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
        "online": online(),
        "rooms": rooms["count"],
        "entries": rooms["entries"] or 0,
        "dead_letters": DeadLetter.objects.count(),
        "open_reports": Report.objects.filter(state=Report.State.OPEN).count(),
        "orders": {state: counts.get(state, 0) for state in ("queued", "leased", "dead")},
    }


def online() -> int:
    """How many people are."""
    return Presence.objects.values("user").distinct().count()


def lag(namespace: str = "chat", limit: int | None = None) -> dict[str, Any]:
    """`{"rooms", "more"}`: where somebody is behind, those furthest behind first. A room's `lag` is
    what its `slowest` member has not received, from their cursor to the head."""
    slowest = Membership.objects.filter(room=OuterRef("pk")).order_by("received", "pk")
    found = _rooms().filter(namespace=namespace, kind=Room.Kind.FANOUT)
    found = found.annotate(lag=F("head") - Subquery(slowest.values("received")[:1]))
    page = list(found.filter(lag__gt=0).order_by("-lag", "slug")[: clamp(limit) + 1])
    # Who it is is looked up for the page alone.
    names = _rooms().filter(pk__in=[row.pk for row in page]).annotate(slowest=slowest.values("pk")[:1])
    members = _members().in_bulk([row.slowest for row in names])
    by_room = {member.room_id: _as_person_behind(member) for member in members.values()}
    fit = fitting(_as_lag(row, by_room.get(row.pk)) for row in page[: clamp(limit)])
    return {"rooms": fit, "more": len(fit) < len(page)}


def lag_in(namespace: str, slug: str, limit: int | None = None) -> dict[str, Any]:
    """`{"room", "head", "members", "more"}`: those furthest behind first."""
    room = _rooms().filter(namespace=namespace, slug=slug, kind=Room.Kind.FANOUT).first()
    if room is None:
        raise EventError("not_found", f"there is no room {slug!r} in /{namespace}", field="room")
    found = list(_members().filter(room=room).order_by("received", "pk")[: clamp(limit) + 1])
    fit = fitting(_as_behind(row, room.head) for row in found[: clamp(limit)])
    return {"room": slug, "head": room.head, "members": fit, "more": len(fit) < len(found)}


def list_acts(before: int | None = None, limit: int | None = None) -> dict[str, Any]:
    """`{"acts", "more", "next"?}`: what the staff and the moderators did, the newest first."""
    check_seq("before", before)
    found = LogEntry.objects.select_related("user", "content_type").order_by("-pk")
    if before is not None:
        found = found.filter(pk__lt=min(before, LARGEST_ID))
    return _page("acts", list(found[: clamp(limit) + 1]), limit, _as_act, "id")


def _page(key: str, rows: list[Any], limit: int | None, show: Any, by: str) -> dict[str, Any]:
    fit = fitting(show(row) for row in rows[: clamp(limit)])
    reply: dict[str, Any] = {key: fit, "more": len(fit) < len(rows)}
    if reply["more"]:
        reply["next"] = fit[-1][by]
    return reply


def with_presence() -> QuerySet[User]:
    """Everyone, with whether they are `online`, when they were (`seen_at`), and whether `banned`."""
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
        "slow_mode": row.slow_mode,
    }


def _members() -> QuerySet[Membership]:
    here = Presence.objects.filter(user=OuterRef("user"))
    return Membership.objects.select_related("user").annotate(online=Exists(here))


def _as_person_behind(row: Any) -> dict[str, Any]:
    return {"id": row.user_id, "name": row.user.username, "online": row.online}


def _as_behind(row: Any, head: int) -> dict[str, Any]:
    """In an unordered room, what was received above the cursor is no lag."""
    above = sum(last - first + 1 for first, last in Ranges.parse(row.acked).pairs())
    lag = max(0, head - row.received - above)
    return {"user": _as_person_behind(row), "received": row.received, "read": row.read, "lag": lag}


def _as_lag(row: Any, slowest: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "room": row.slug,
        "name": row.name or row.slug,
        "namespace": row.namespace,
        "ordering": row.ordering,
        "head": row.head,
        "lag": row.lag,
        "slowest": slowest,
    }


def _as_act(row: LogEntry) -> dict[str, Any]:
    return {
        "id": row.pk,
        "at": rfc3339(row.action_time),
        "by": {"id": row.user_id, "name": row.user.get_username()},
        "kind": row.content_type.model if row.content_type else None,
        "about": row.object_repr,
        "text": row.get_change_message(),
    }

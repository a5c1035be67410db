"""The list of rooms, as each person sees it."""

from __future__ import annotations

from typing import Any

from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    FilteredRelation,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    When,
)
from django.db.models.functions import Coalesce

from chat.delivery.entries import now, rfc3339
from chat.models import Ban, Mention, Room

from . import people, reports
from .paging import clamp, fitting
from .rooms import LEADERS


def list_for(
    user_id: int, namespace: str = "chat", after: str = "", limit: int | None = None
) -> dict[str, Any]:
    """`{"rooms", "more", "next"?}`: the public rooms and this person's own, by slug.

    `unread` counts messages; where the person is no member, `cursor`, `read` and `role` are
    null, `unread` and `mentions` 0.
    """
    limit = clamp(limit)
    rooms = list(_listed(user_id).filter(namespace=namespace, slug__gt=after).order_by("slug")[: limit + 1])
    fit = fitting(_as_listed(room) for room in rooms[:limit])
    reply: dict[str, Any] = {"rooms": fit, "more": len(fit) < len(rooms)}
    if reply["more"]:
        reply["next"] = fit[-1]["room"]
    return reply


def describe(room_id: int, user_id: int) -> dict[str, Any]:
    """One room as `rooms` lists it for this person."""
    return _as_listed(_listed(user_id).get(pk=room_id))


def _listed(user_id: int) -> QuerySet[Room]:
    """The rooms this person may see, with what a list says of them: one query."""
    mentions = (
        Mention.objects.filter(room=OuterRef("pk"), user=user_id, seq__gt=OuterRef("mine__read"))
        .values("room")
        .annotate(count=Count("pk"))
        .values("count")
    )
    bans = Ban.objects.filter(people.in_force(), user=user_id, room=OuterRef("pk"))
    open_reports = (
        reports.by_others(reports.open_in(OuterRef("pk")), user_id)
        .values("room")
        .annotate(count=Count("pk"))
        .values("count")
    )
    return (
        Room.objects.alias(mine=FilteredRelation("memberships", condition=Q(memberships__user=user_id)))
        .filter(
            Q(mine__isnull=False) | Q(private=False, closed_at=None), ~Exists(bans), kind=Room.Kind.FANOUT
        )
        .annotate(
            role=F("mine__role"),
            cursor=F("mine__received"),
            read=F("mine__read"),
            unread=Coalesce(F("messages") - F("mine__read_messages"), 0, output_field=IntegerField()),
            mentions=Coalesce(Subquery(mentions), 0, output_field=IntegerField()),
            muted_until=F("mine__muted_until"),
            open_reports=Case(
                When(mine__role__in=LEADERS, then=Coalesce(Subquery(open_reports), 0)),
                output_field=IntegerField(),
            ),
        )
    )


def _as_listed(room: Any) -> dict[str, Any]:
    listed = {
        "room": room.slug,
        "name": room.name or room.slug,
        "topic": room.topic,
        "private": room.private,
        "ordering": room.ordering,
        "closed": room.closed_at is not None,
        "member": room.role is not None,
        "role": room.role,
        "head": room.head,
        "cursor": room.cursor,
        "read": room.read,
        "unread": max(0, room.unread),
        "mentions": room.mentions,
        "slow_mode": room.slow_mode,
    }
    if room.muted_until is not None and room.muted_until > now():
        listed["muted_until"] = rfc3339(room.muted_until)
    if room.open_reports is not None:
        listed["open_reports"] = room.open_reports
    return listed

"""Figures of the site as they are now, for the staff's first page."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import CharField, Count
from django.db.models.functions import Cast, Substr

from chat.delivery.entries import now
from chat.models import DeadLetter, Message, Report

from . import overview, presence

MINUTES = 60
TO_THE_MINUTE = len("2026-01-31 12:00")


def read() -> dict[str, Any]:
    """`{"sockets", "processes", "online", "minutes", "lag", "dead_letters", "reports"}`: how many,
    `minutes` by the minute in the last hour with the present one last, and `lag` the room whose
    slowest member is furthest behind, as `overview.lag` tells it, or None."""
    return {
        **presence.running(),
        "online": overview.online(),
        "minutes": minutes(now()),
        "lag": next(iter(overview.lag(limit=1)["rooms"]), None),
        "dead_letters": DeadLetter.objects.count(),
        "reports": Report.objects.filter(state=Report.State.OPEN).count(),
    }


def minutes(until: datetime) -> list[int]:
    """Messages in each of the last minutes, the present one last."""
    present = until.replace(second=0, microsecond=0)
    first = present - timedelta(minutes=MINUTES - 1)
    # As text both databases cut a time without leaving it to Python, row by row.
    minute = Substr(Cast("at", CharField()), 1, TO_THE_MINUTE)
    rows = Message.objects.filter(at__gte=first, kind=Message.Kind.MESSAGE).order_by()
    counts = dict(rows.values_list(minute).annotate(Count("pk")))
    each = (first + timedelta(minutes=number) for number in range(MINUTES))
    return [counts.get(f"{at:%Y-%m-%d %H:%M}", 0) for at in each]

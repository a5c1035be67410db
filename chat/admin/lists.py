"""Lists of messages: pages, days and searches that never look at the whole table."""

from __future__ import annotations

import calendar
from datetime import date, datetime
from itertools import takewhile
from typing import Any

from django.utils import formats
from unfold.views import ChangeList

from chat.models import Message

NAMES = ("at__year", "at__month", "at__day")
#: (year,), (year, month) or (year, month, day); () is all of time.
Parts = tuple[int, ...]


class Timeline(ChangeList):
    """A list by time. Its years, months and days are those between the first and the last entry:
    Django's own would read every row to leave out the empty ones."""

    def dates(self) -> dict[str, Any]:
        """`{"show", "back"?, "choices"}`, for the template of the dates."""
        first, last = self._bounds()
        if first is None or last is None:
            return {"show": False}
        chosen = self._chosen()
        if len(chosen) == 3:
            choices = [{"title": title(chosen)}]
        else:
            low, high = parts(first)[: len(chosen) + 1], parts(last)[: len(chosen) + 1]
            choices = [self._link(each) for each in below(chosen, low, high)]
        return {"show": True, "back": self._link(chosen[:-1]) if chosen else None, "choices": choices}

    def _bounds(self) -> tuple[datetime | None, datetime | None]:
        by_time = (
            Message.objects.filter(kind=Message.Kind.MESSAGE).order_by("at").values_list("at", flat=True)
        )
        return by_time.first(), by_time.last()

    def _chosen(self) -> Parts:
        """The year, or with the month, or with the day as well, as far as the address says."""
        values = [str(self.params.get(name, "")) for name in NAMES]
        given = list(takewhile(str.isdecimal, values))
        return tuple(map(int, given))

    def _link(self, chosen: Parts) -> dict[str, str]:
        query = dict(zip(NAMES, chosen, strict=False))
        return {"title": title(chosen), "link": self.get_query_string(query, ["at__"])}


def parts(at: datetime) -> Parts:
    return at.year, at.month, at.day


def below(chosen: Parts, low: Parts, high: Parts) -> list[Parts]:
    """The years, the months of a year or the days of a month, from the first to the last."""
    if not chosen:
        return [(year,) for year in range(low[0], high[0] + 1)]
    most = 12 if len(chosen) == 1 else calendar.monthrange(*chosen)[1]
    return [each for number in range(1, most + 1) if low <= (each := (*chosen, number)) <= high]


def title(chosen: Parts) -> str:
    if not chosen:
        return "All dates"
    if len(chosen) == 1:
        return str(chosen[0])
    year, month, day = (*chosen, 1)[:3]
    return formats.date_format(
        date(year, month, day), "MONTH_DAY_FORMAT" if len(chosen) == 3 else "YEAR_MONTH_FORMAT"
    )

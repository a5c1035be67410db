"""The admin's first page: how the site is, and what waits for the staff."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from chat.models import Report
from chat.services import figures, overview

from .columns import excerpt, with_messages

HEIGHT = 40  #: of the plot, in its own units; a minute is 10 wide
ROWS = 6
MESSAGES, MEMBERS, LETTERS, REPORTS = (
    f"admin:chat_{name}_changelist" for name in ("message", "membership", "deadletter", "report")
)


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """unfold's callback: what templates/admin/index.html shows."""
    read = figures.read()
    context |= {
        "title": "Dashboard",
        "figures": [*_traffic(read), *_waiting(read)],
        "bars": bars(read["minutes"]),
        "minutes": read["minutes"],
        "most": max(read["minutes"]),
    }
    if request.user.has_perm("chat.view_report"):
        context["reports"] = list(open_reports())
    if request.user.has_perm("admin.view_logentry"):
        context["acts"] = overview.list_acts(limit=ROWS)["acts"]
    return context


def _traffic(read: dict[str, Any]) -> list[dict[str, Any]]:
    lag = read["lag"]
    minutes = read["minutes"]
    return [
        _figure(
            "Sockets now", read["sockets"], counted(read["online"], "person", "people") + " online", "console"
        ),
        _figure("Messages a minute", minutes[-2], f"{sum(minutes)} in the last hour", MESSAGES),
        _figure("Deepest lag", lag["lag"] if lag else 0, _behind(lag), MEMBERS),
    ]


def counted(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def _behind(lag: dict[str, Any] | None) -> str:
    if lag is None or lag["slowest"] is None:
        return "everyone has everything"
    return f"{lag['slowest']['name']} in {lag['room']}"


def _waiting(read: dict[str, Any]) -> list[dict[str, Any]]:
    letters, reports = read["dead_letters"], read["reports"]
    lost = "to revive or bury" if letters else "nothing was lost"
    open_ones = "to be looked at" if reports else "nobody complains"
    return [
        _figure("Dead letters", letters, lost, LETTERS, alert=letters > 0),
        _figure("Open reports", reports, open_ones, REPORTS, "?state__exact=open", alert=reports > 0),
    ]


def _figure(
    title: str, value: int, detail: str, page: str, query: str = "", alert: bool = False
) -> dict[str, Any]:
    try:
        link = reverse(page) + query
    except NoReverseMatch:
        link = ""
    return {"title": title, "value": value, "detail": detail, "link": link, "alert": alert}


def bars(minutes: list[int]) -> list[dict[str, float]]:
    """Where each minute's bar stands in the plot, the highest as high as it is."""
    most = max(*minutes, 1)
    heights = [round(count / most * HEIGHT, 1) for count in minutes]
    return [
        {"x": number * 10, "y": round(HEIGHT - height, 1), "height": height}
        for number, height in enumerate(heights)
    ]


def open_reports() -> list[dict[str, Any]]:
    """The oldest first: they have waited longest."""
    found = Report.objects.filter(state=Report.State.OPEN).select_related("room", "reporter").order_by("pk")
    return [
        {
            "report": report,
            "link": reverse("admin:chat_report_change", args=[report.pk]),
            "sender": report.said.sender if report.said else "–",
            "text": excerpt(report.said) if report.said else "(trimmed)",
        }
        for report in with_messages(found[:ROWS])
    ]

"""The admin's sidebar: what this person may look at."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

#: Headings, and below them what a list is called, its icon and its model.
GROUPS: list[tuple[str, list[tuple[str, str, str]]]] = [
    (
        "Rooms",
        [
            ("Rooms", "meeting_room", "chat.room"),
            ("Members", "groups", "chat.membership"),
            ("Messages", "chat_bubble", "chat.message"),
        ],
    ),
    (
        "Moderation",
        [
            ("Reports", "flag", "chat.report"),
            ("Bans", "block", "chat.ban"),
            ("Mutes", "volume_off", "chat.mute"),
        ],
    ),
    (
        "People",
        [
            ("People", "person", "auth.user"),
            ("Groups", "shield_person", "auth.group"),
            ("Sessions", "devices", "chat.login"),
            ("Tokens", "key", "chat.token"),
            ("Wrong passwords", "gpp_maybe", "axes.accessattempt"),
        ],
    ),
    (
        "Queues",
        [
            ("Orders", "inventory_2", "chat.lease"),
            ("Dead letters", "mark_email_unread", "chat.deadletter"),
        ],
    ),
    ("Log", [("Audit", "history", "admin.logentry")]),
]


def links(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups with something in them, as unfold wants them."""
    groups = [(title, [_link(*item) for item in items if _may(request, item[2])]) for title, items in GROUPS]
    return [
        {"items": [_page("Dashboard", "dashboard", "admin:index"), *_console()]},
        *({"title": title, "separator": True, "items": items} for title, items in groups if items),
    ]


def _may(request: HttpRequest, model: str) -> bool:
    app, name = model.split(".")
    return any(request.user.has_perm(f"{app}.{verb}_{name}") for verb in ("view", "change"))


def _link(title: str, icon: str, model: str) -> dict[str, Any]:
    return _page(title, icon, f"admin:{model.replace('.', '_')}_changelist")


def _page(title: str, icon: str, name: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse(name)}


def _console() -> list[dict[str, Any]]:
    try:
        return [_page("Console", "monitor_heart", "console")]
    except NoReverseMatch:
        return []

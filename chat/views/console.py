"""The staff's console: one shell for all its parts, filled by its scripts over /admin's socket."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from .console_words import CONSOLE
from .shell import SignedIn, render_shell, signed_in
from .words import BANS, MUTES

#: Each part: its address, its name, and its heroicon.
PARTS = (
    ("overview", _("Overview"), "chart-bar"),
    ("sockets", _("Sockets"), "signal"),
    ("rooms", _("Rooms"), "chat-bubble-left-right"),
    ("lag", _("Lag"), "clock"),
    ("people", _("People"), "users"),
    ("reports", _("Reports"), "flag"),
    ("letters", _("Dead letters"), "archive-box-x-mark"),
    ("audit", _("Audit"), "clipboard-document-list"),
)

NAMESPACES = tuple((path, f"/{path}") for path in ("chat", "orders"))
STATES = (
    ("unsettled", _("Open and claimed")),
    ("open", _("Open")),
    ("claimed", _("Claimed")),
    ("resolved", _("Resolved")),
    ("dismissed", _("Dismissed")),
    ("all", _("All")),
)


@signed_in
def console(request: SignedIn, part: str = "overview") -> HttpResponse:
    """For the staff: for anyone else it is as absent as a part that doesn't exist."""
    if not request.user.is_staff or part not in {slug for slug, _, _ in PARTS}:
        raise Http404
    page = {
        "namespace": "admin",
        "place": "room",
        "probe": ["log:watch", {}],
        "part": part,
        "admin": reverse("admin:index"),
    }
    context = {"part": part, "parts": PARTS, "namespaces": NAMESPACES, "states": STATES}
    words = {"words": CONSOLE, "mutes": MUTES, "bans": BANS}
    return render_shell(request, "console/console.html", "chat/js/console/main.js", page, **context, **words)

"""The chat's two pages: the rooms, and one of them. Both are the same shell, filled by its scripts."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse

from chat.services import history, listing, rooms

from .shell import SignedIn, render_shell, signed_in
from .words import BANS, CHAT, EMOJIS, MUTES

NAMESPACE = "chat"
FIRST_PAGE = 50


@signed_in
def home(request: SignedIn) -> HttpResponse:
    return _shell(request)


@signed_in
def room(request: SignedIn, slug: str) -> HttpResponse:
    return _shell(request, rooms.look(NAMESPACE, slug, request.user.pk))


def _shell(request: SignedIn, view: rooms.View | None = None) -> HttpResponse:
    user = request.user
    listed = listing.list_for(user.pk, NAMESPACE, limit=100)["rooms"]
    if view and all(info["room"] != view.room.slug for info in listed):
        listed.append(listing.describe(view.room.pk, user.pk))
    page = {
        "namespace": NAMESPACE,
        "rooms": listed,
        "room": view.room.slug if view else None,
        "history": _history(view, user.pk) if view and view.membership else None,
    }
    context = {"room": view.room if view else None, "words": CHAT, "emojis": EMOJIS}
    durations = {"mutes": MUTES, "bans": BANS}
    return render_shell(request, "chat/chat.html", "chat/js/main.js", page, **context, **durations)


def _history(view: rooms.View, user_id: int) -> dict[str, Any]:
    """What lies behind the person's cursor; what lies before it comes over the socket."""
    assert view.membership is not None
    cursor = view.membership.received
    page = history.page(NAMESPACE, view.room.slug, user_id, before=cursor + 1, limit=FIRST_PAGE)
    return {**page, "cursor": cursor, "epoch": view.room.epoch}

"""The chat's two pages: the rooms, and one of them. Both are the same shell, filled by its scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from chat.errors import EventError
from chat.services import history, listing, rooms

from .words import EMOJIS, WORDS

NAMESPACE = "chat"
FIRST_PAGE = 50

STATIC = Path(__file__).resolve().parent.parent / "static"
# The modules that main.js imports, one from the other: named in the page, they load at once.
MODULES = sorted(
    path.relative_to(STATIC).as_posix()
    for path in (STATIC / "chat/js").rglob("*.js")
    if path.name not in ("main.js", "theme.js")
)


class SignedIn(HttpRequest):
    """A request that `login_required` let through."""

    user: User


@never_cache
@login_required
def home(request: SignedIn) -> HttpResponse:
    return _shell(request)


@never_cache
@login_required
def room(request: SignedIn, slug: str) -> HttpResponse:
    """A private room that isn't one's own is as absent as one that doesn't exist."""
    try:
        view = rooms.look(NAMESPACE, slug, request.user.pk)
    except EventError as error:
        raise Http404 from error
    return _shell(request, view)


def _shell(request: SignedIn, view: rooms.View | None = None) -> HttpResponse:
    user = request.user
    listed = listing.list_for(user.pk, NAMESPACE, limit=100)["rooms"]
    if view and all(info["room"] != view.room.slug for info in listed):
        listed.append(listing.describe(view.room.pk, user.pk))
    page = {
        "user": {"id": user.pk, "name": user.get_username(), "staff": user.is_staff},
        "rooms": listed,
        "room": view.room.slug if view else None,
        "history": _history(view, user.pk) if view and view.membership else None,
    }
    context = {
        "room": view.room if view else None,
        "page": page,
        "modules": MODULES,
        "words": WORDS,
        "emojis": EMOJIS,
    }
    return render(request, "chat/chat.html", context)


def _history(view: rooms.View, user_id: int) -> dict[str, Any]:
    """What lies behind the person's cursor; what lies before it comes over the socket."""
    assert view.membership is not None
    cursor = view.membership.received
    page = history.page(NAMESPACE, view.room.slug, user_id, before=cursor + 1, limit=FIRST_PAGE)
    return {**page, "cursor": cursor, "epoch": view.room.epoch}

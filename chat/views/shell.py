"""What the pages with a socket share: a shell that its scripts fill."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from functools import cache, wraps
from pathlib import Path
from typing import Any

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from chat.errors import EventError
from chat.services import people

IMPORT = re.compile(r"""^(?:import|export)\b[^;"']*["'](\.{1,2}/[^"']+)["'];""", re.MULTILINE)


class SignedIn(HttpRequest):
    """A request that `login_required` let through."""

    user: User


def signed_in(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """For those who are signed in, and not banned. What isn't open to a person is as absent as what
    doesn't exist."""

    @never_cache
    @login_required
    @wraps(view)
    def answer(request: SignedIn, **place: str) -> HttpResponse:
        if ban := people.site_bans([request.user.pk]).get(request.user.pk):
            return render(request, "banned.html", {"ban": ban}, status=403)
        try:
            return view(request, **place)
        except EventError as error:
            raise Http404 from error

    return answer


def render_shell(
    request: SignedIn, template: str, script: str, page: Mapping[str, Any], **context: Any
) -> HttpResponse:
    """`page` is what the scripts start with, beside who is signed in."""
    user = request.user
    person = {"id": user.pk, "name": user.get_username(), "staff": user.is_staff}
    context = {"page": {"user": person, **page}, "script": script, "modules": modules(script), **context}
    return render(request, template, context)


@cache
def modules(script: str) -> list[str]:
    """The modules that a script imports, one from the other: named in the page, they load at once."""
    found = {script}
    waiting = [script]
    while waiting:
        name = waiting.pop()
        path = finders.find(name)
        assert path, f"no static file {name}"
        imported = IMPORT.findall(Path(path).read_text())
        new = {posixpath.normpath(posixpath.join(posixpath.dirname(name), each)) for each in imported} - found
        found |= new
        waiting += new
    return sorted(found - {script})

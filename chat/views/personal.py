"""A person's own data, to take away."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, StreamingHttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from chat.downloads import data_of


@require_GET
@login_required
@never_cache
def data(request: HttpRequest) -> StreamingHttpResponse:
    """As a file of JSON lines."""
    assert isinstance(request.user, User)
    return data_of(request.user)

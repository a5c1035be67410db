"""A person's own data, to take away."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from typing import IO

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.http import content_disposition_header
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from chat.services import personal

CHUNK = 64 * 1024


@require_GET
@login_required
@never_cache
def data(request: HttpRequest) -> StreamingHttpResponse:
    """As a file of JSON lines. It is complete before the first byte of it goes out, so that a slow
    download holds no transaction open."""
    assert request.user.pk is not None
    file = tempfile.TemporaryFile()  # noqa: SIM115 (`_pieces` closes it)
    file.writelines(personal.export(request.user))
    size = file.tell()
    file.seek(0)
    name = f"{request.user.get_username()}.jsonl"
    headers = {
        "Content-Disposition": content_disposition_header(True, name) or "",
        "Content-Length": str(size),
    }
    return StreamingHttpResponse(_pieces(file), content_type="application/jsonl", headers=headers)


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while piece := await asyncio.to_thread(file.read, CHUNK):
            yield piece

"""What people take away as a file."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from typing import IO

from django.contrib.auth.models import User
from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header

from chat.services import personal

CHUNK = 64 * 1024


def data_of(person: User) -> StreamingHttpResponse:
    """A person's data as JSON lines. It is complete before the first byte of it goes out, so that a
    slow download holds no transaction open."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 (`_pieces` closes it)
    file.writelines(personal.export(person))
    size = file.tell()
    file.seek(0)
    headers = {
        "Content-Disposition": content_disposition_header(True, f"{person.get_username()}.jsonl") or "",
        "Content-Length": str(size),
    }
    return StreamingHttpResponse(_pieces(file), content_type="application/jsonl", headers=headers)


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while piece := await asyncio.to_thread(file.read, CHUNK):
            yield piece

"""The words in which the tests of archives speak."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from chat.errors import EventError
from chat.models import Ban, DeadLetter, Lease, Membership, Mention, Message, Report, Room
from chat.services import archive


def exported(*rooms: Room) -> bytes:
    return b"".join(archive.export(rooms))


def bring_in(data: bytes, rename: str | None = None, **accounts: str) -> list[archive.Found]:
    stream = io.BytesIO(data)
    found = archive.check(stream, rename=rename)
    for room in found:
        if not room.there:
            archive.import_room(stream, room, accounts)
    return found


def refused(data: bytes, rename: str | None = None) -> EventError:
    with pytest.raises(EventError) as refusal:
        bring_in(data, rename)
    return refusal.value


def copy(room: Room, slug: str = "copy") -> Room:
    """The room once more, by way of a file."""
    bring_in(exported(room), slug)
    return Room.objects.get(namespace=room.namespace, slug=slug)


def content(room: Room) -> list[dict[str, Any]]:
    """What an export says of a room, without its name and the time."""
    lines = as_dicts(exported(room))[1:]
    del lines[0]["room"]
    return lines


def as_dicts(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


def as_lines(lines: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def rows() -> dict[str, list[Any]]:
    """All that an import writes, in every room."""
    models: tuple[Any, ...] = (Room, Membership, Message, Mention, Lease, DeadLetter, Ban, Report)
    return {model.__name__: list(model.objects.order_by("pk").values()) for model in models}

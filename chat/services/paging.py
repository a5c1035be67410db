"""Lists: read in slices that a query takes, answered in pages that fit a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from chat.errors import EventError

T = TypeVar("T")
V = TypeVar("V")

# SQLite takes 999 parameters in a query where it was built with its old default.
SLICE = 500
DEFAULT, MOST = 50, 100  # items of a list
REPLY = 192 * 1024  # bytes; a frame holds 256 KiB

# A bigint column of either database takes no more.
LARGEST = 2**63 - 1


def in_slices(items: list[T], read: Callable[[list[T]], list[V]]) -> list[V]:
    return [value for start in range(0, len(items), SLICE) for value in read(items[start : start + SLICE])]


def clamp(limit: int | None) -> int:
    return DEFAULT if limit is None else max(1, min(limit, MOST))


def fitting(items: Iterable[Any]) -> list[Any]:
    """The items from the first on that fit a reply; at least one, or paging would not end."""
    taken: list[Any] = []
    size = 0
    for item in items:
        size += len(msgspec.json.encode(item)) + 1
        if taken and size > REPLY:
            break
        taken.append(item)
    return taken


def check_seq(field: str, value: int | None) -> None:
    """A position in a log: a non-negative integer that a database can compare, else `bad_data`."""
    if value is not None and not 0 <= value <= LARGEST:
        raise EventError("bad_data", f"`{field}` must be an integer from 0 to 2^63 - 1", field=field)

"""Items of orders and lines of files, as people and programs give them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import msgspec

from chat.errors import EventError
from chat.services.queues import as_json

CHUNK = 64 * 1024
#: Bytes of a line: an item has 32 KiB, but who writes JSON may take more room for it.
LONGEST = 2**20
#: Lines whose orders or messages one transaction adds.
SLICE = 500


class Item(NamedTuple):
    line: int
    json: str


def from_argument(text: str) -> str:
    """Its JSON; what isn't JSON is text. Raises `bad_data`, `too_large`."""
    value: Any = text
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        pass
    return as_json("item", value)


def from_lines(stream: BinaryIO) -> Iterator[list[Item]]:
    """Slices of a stream of JSON lines, each as soon as it has come in.

    Raises EventError at a line that won't do, after everything before it was given out.
    """
    for numbered in numbered_lines(stream):
        items: list[Item] = []
        try:
            for line, text in numbered:
                if text.strip() or len(text) > LONGEST:
                    items.append(Item(line, _from_line(line, text)))
        except EventError:
            yield items
            raise
        yield items


def numbered_lines(stream: Any) -> Iterator[list[tuple[int, bytes]]]:
    """Slices of a stream's lines, as soon as they have come in. One that is far too long is the last."""
    count, rest = 0, b""
    while chunk := stream.read1(CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        numbered = list(enumerate(lines, start=count + 1))
        count += len(lines)
        for start in range(0, len(numbered), SLICE):
            yield numbered[start : start + SLICE]
        if len(rest) > LONGEST:
            break
    yield [(count + 1, rest)]


def _from_line(line: int, text: bytes) -> str:
    if len(text) > LONGEST:
        raise EventError("too_large", f"line {line} is longer than {LONGEST} bytes")
    try:
        return as_json("item", msgspec.json.decode(text))
    except EventError as refusal:
        raise EventError(refusal.code, f"line {line}: {refusal.message}") from None
    except (ValueError, RecursionError) as error:
        raise EventError("bad_data", f"line {line} is no JSON: {error}") from None

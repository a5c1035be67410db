"""Consecutive entries that travel together, encoded once for each wire."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from ..delivery.entries import Entry
from ..wire.lines import byte_length, lines

#: A chunk is one frame on the lines wire; a frame has at most 256 KiB.
CHUNK_ENTRIES = 500
CHUNK_BYTES = 192 * 1024


class Item:
    """An entry and its packet on the lines wire, which also tells its size."""

    __slots__ = ("entry", "line", "seq", "size")

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.seq = entry.seq
        self.line = lines.entry(entry)
        self.size = byte_length(self.line)

    def packet(self, wire: Any) -> str:
        return self.line if wire is lines else wire.entry(self.entry)


class Chunk:
    __slots__ = ("_frames", "first", "items", "last", "size")

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.first = items[0].seq
        self.last = items[-1].seq
        self.size = sum(item.size for item in items)
        self._frames: dict[str, list[str]] = {}

    def frames(self, wire: Any) -> list[str]:
        frames = self._frames.get(wire.name) if wire.shared else None
        if frames is None:
            frames = wire.frames([item.packet(wire) for item in self.items])
            if wire.shared:
                self._frames[wire.name] = frames
        return frames


def chunks(items: Iterable[Item]) -> Iterator[Chunk]:
    batch: list[Item] = []
    size = 0
    for item in items:
        if batch and (size + item.size > CHUNK_BYTES or len(batch) == CHUNK_ENTRIES):
            yield Chunk(batch)
            batch, size = [], 0
        batch.append(item)
        size += item.size
    if batch:
        yield Chunk(batch)


class Tail:
    """The newest entries of a room, kept for readers that are a little behind."""

    MOST = 1000
    MOST_BYTES = 2**20

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._size = 0
        # The last chunk built and what for: sockets that resume together share it.
        self._built: tuple[int, int, Chunk] | None = None

    def extend(self, items: Sequence[Item]) -> None:
        self._items.extend(items)
        self._size += sum(item.size for item in items)
        while self._items and (len(self._items) > self.MOST or self._size > self.MOST_BYTES):
            self._size -= self._items.popleft().size

    def chunk(self, first: int) -> Chunk | None:
        """The chunk that begins at `first`, None where the tail doesn't reach back so far."""
        if not self._items or first < self._items[0].seq or first > self._items[-1].seq:
            return None
        newest = self._items[-1].seq
        if self._built is None or self._built[:2] != (first, newest):
            start = first - self._items[0].seq
            self._built = first, newest, next(chunks(islice(self._items, start, None)))
        return self._built[2]

    def delete(self, deletion: Entry) -> None:
        """Take out the body of a message that was deleted, and of its edits."""
        self._built = None
        target = deletion.data["target"]
        for place, item in enumerate(self._items):
            entry = item.entry
            if item.seq == target or (entry.kind == "edit" and entry.data.get("target") == target):
                self._size -= item.size
                self._items[place] = emptied = Item(replace(entry, data=_tombstone(entry, deletion)))
                self._size += emptied.size


def _tombstone(entry: Entry, deletion: Entry) -> dict[str, Any]:
    deleted: dict[str, Any] = {"by": deletion.sender.as_dict(), "at": deletion.at}
    if deletion.data.get("reason"):
        deleted["reason"] = deletion.data["reason"]
    kept: dict[str, Any] = {key: entry.data[key] for key in ("client_id", "target") if key in entry.data}
    return {**kept, "deleted": deleted}

"""Entries that travel together, and the newest ones of a room."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chat.delivery.entries import Entry, Person
from chat.hub.chunk import CHUNK_BYTES, CHUNK_ENTRIES, Item, Tail, chunks
from chat.wire.lines import FRAME_OUT, lines

AT = "2026-01-31T12:00:00.000Z"


def item(seq: int, body: str = "hello", kind: str = "message", **data: Any) -> Item:
    shown = {"client_id": f"c{seq}", **({"body": body} if kind in ("message", "edit") else {}), **data}
    return Item(Entry("room", seq, AT, kind, Person(1, "alice"), shown))


@given(st.lists(st.sampled_from([1, 100, 16_000, 66_000]), min_size=1, max_size=40), st.booleans())
@settings(deadline=None, max_examples=50)
def test_chunks_keep_the_order_and_fit_a_frame(sizes: list[int], wide: bool) -> None:
    bodies = [("é" if wide else "e") * size for size in sizes]
    items = [item(seq, body) for seq, body in enumerate(bodies, 1)]
    made = list(chunks(items))
    assert [each for chunk in made for each in chunk.items] == items
    for chunk in made:
        assert (chunk.first, chunk.last) == (chunk.items[0].seq, chunk.items[-1].seq)
        assert len(chunk.items) <= CHUNK_ENTRIES
        assert chunk.size <= CHUNK_BYTES or len(chunk.items) == 1
        frames = chunk.frames(lines)
        assert len(frames) == 1
        assert len(frames[0].encode()) <= FRAME_OUT


def test_a_chunk_is_encoded_once_for_all_sockets() -> None:
    chunk = next(chunks([item(1), item(2)]))
    assert chunk.frames(lines) is chunk.frames(lines)


@given(st.lists(st.integers(1, 400), max_size=8), st.integers(1, 3000))
@settings(deadline=None, max_examples=30)
def test_a_tail_has_every_chunk_that_begins_in_it(batches: list[int], first: int) -> None:
    tail, head = Tail(), 0
    for size in batches:
        tail.extend([item(head + number) for number in range(1, size + 1)])
        head += size
    chunk = tail.chunk(first)
    if head - Tail.MOST < first <= head:
        assert chunk is not None
        assert [each.seq for each in chunk.items] == list(
            range(first, min(head, first + CHUNK_ENTRIES - 1) + 1)
        )
    else:
        assert chunk is None


def test_a_tail_forgets_the_oldest_past_a_mebibyte() -> None:
    tail = Tail()
    for seq in range(1, 101):
        tail.extend([item(seq, "x" * 16_000)])
    kept = [seq for seq in range(1, 101) if tail.chunk(seq) is not None]
    assert kept == list(range(kept[0], 101))
    assert 60 <= len(kept) <= 65


def test_sockets_that_resume_together_share_the_chunk_of_the_tail() -> None:
    tail = Tail()
    tail.extend([item(1), item(2)])
    shared = tail.chunk(1)
    assert tail.chunk(1) is shared
    tail.extend([item(3)])
    grown = tail.chunk(1)
    assert grown is not None and grown.last == 3


def test_a_deletion_takes_the_body_out_of_the_tail_from_the_message_and_its_edits() -> None:
    tail = Tail()
    tail.extend([item(1, "secret", html="<b>secret</b>"), item(2, "other")])
    tail.extend(
        [item(3, "secret still", "edit", target=1), item(4, kind="react", target=1, emoji="👍", on=True)]
    )
    assert tail.chunk(1) is not None  # built and kept before
    deletion = item(5, kind="delete", target=1, reason="spam")
    tail.extend([deletion])
    tail.delete(deletion.entry)
    chunk = tail.chunk(1)
    assert chunk is not None
    (text,) = chunk.frames(lines)
    assert "secret" not in text and "other" in text
    first, _, third, fourth, _ = (json.loads(line)["data"] for line in text.split("\n"))
    gone = {"by": {"id": 1, "name": "alice"}, "at": AT, "reason": "spam"}
    assert first == {"client_id": "c1", "deleted": gone}
    assert third == {"client_id": "c3", "target": 1, "deleted": gone}
    assert fourth["emoji"] == "👍"

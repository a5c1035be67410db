"""Where one socket stands in one room: what it was sent, what it has acknowledged.

A live push, a resume and a redelivery are the same act: send what lies after `next`. A socket
is in step while `next` is the entry after the room's head; then the room's pushes go straight
to it. Any other one has a reader, a task that reads on from the log until it is in step.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from ..errors import Close, EventError
from .chunk import Chunk

if TYPE_CHECKING:
    from .room import Member, Room

#: Sent and not yet acknowledged, for each socket and room.
WINDOW_ENTRIES = 1000
WINDOW_BYTES = 2**20
#: Redeliveries without an acknowledgement after which a socket is closed.
REDELIVERIES = 3


class Position:
    """A socket's place in an ordered room."""

    def __init__(self, room: Room, socket: Any, member: Member, after: int, acks: bool) -> None:
        self.room = room
        self.socket = socket
        self.member = member
        self.outbox = socket.outbox
        self.acks = acks  #: whether this client acknowledges at all
        self.next = 0  #: the next entry to send; 0 until `start`
        self.sent = after  #: the highest entry ever sent to this socket, or where it joined
        self.acked = after  #: all up to here is acknowledged by this socket
        self.live = True
        self._after = after
        self._flight: deque[tuple[int, int]] = deque()  # (last entry, size) of chunks not acknowledged
        self._flying = 0  # their sizes
        self._reader: asyncio.Task[None] | None = None
        self._moved: asyncio.Future[None] | None = None
        self._waiting_since: float | None = None
        self._redeliveries = 0
        self._timed: tuple[int, float] | None = None  # an entry, and when it was committed

    def start(self) -> None:
        """Begin to send, once the answer to `join` is in the outbox."""
        if self.live and not self.next:
            self.next = self._first()
            self._read_on()

    def end(self) -> None:
        self.live = False
        self.next = 0
        if self._reader is not None:
            self._reader.cancel()

    @property
    def lag(self) -> int:
        """Entries that this socket has not acknowledged, or not been sent if it never does."""
        return self.room.head - (self.acked if self.acks else self.sent)

    def push(self, chunk: Chunk) -> None:
        """Take a new chunk at the room's head, if this socket is in step and has room."""
        if self.next != chunk.first:
            return  # its reader brings it here
        if self._has_room(chunk):
            self._send(chunk)
        else:
            self._read_on()

    def time(self, seq: int, committed: float) -> None:
        """Count how long it takes until this entry is acknowledged."""
        if self.acks and self._timed is None:
            self._timed = seq, committed

    def acknowledge(self, what: int | list[int]) -> None:
        """Raises `bad_data` for anything past what this socket was sent."""
        if not isinstance(what, int):
            raise EventError("bad_data", "an ordered room takes one number, not a list", field=self.room.slug)
        if what > self.sent:
            raise _beyond(self.room.slug, what, self.sent)
        self.member.receive(what)  # also up to `after`, which an earlier connection brought
        if what <= self.acked:
            return
        self.acked = what
        if self.next <= what:
            self.next = what + 1
        while self._flight and self._flight[0][0] <= what:
            self._flying -= self._flight.popleft()[1]
        if self._timed is not None and what >= self._timed[0]:
            self.room.hub.metrics.acknowledged(self._timed[1])
            self._timed = None
        self._progress()

    def sweep(self, now: float) -> bool:
        """Redeliver what has waited too long. False when nothing waits for an acknowledgement."""
        if not self.acks or not self._open():
            self._waiting_since = None
            return False
        if self._waiting_since is None or self.outbox.busy:
            self._waiting_since = now
        elif now - self._waiting_since >= self.room.ack_wait * 2**self._redeliveries:
            self._waiting_since = now
            if self._redeliveries == REDELIVERIES:
                self._close_unheard()
            else:
                self._redeliver()
        return True

    # -- What an unordered room does in its own way

    def forget(self, seq: int) -> None:
        """Wait for this entry no longer; an ordered room has no such exceptions."""

    def _first(self) -> int:
        return self._after + 1

    def _open(self) -> bool:
        return self.acked < self.sent

    def _has_room(self, chunk: Chunk) -> bool:
        if not self.acks or not self._flying:
            return True
        return chunk.last - self.acked <= WINDOW_ENTRIES and self._flying + chunk.size <= WINDOW_BYTES

    def _send(self, chunk: Chunk) -> None:
        """Positions move when a chunk is in the outbox, not when it is on its way."""
        self.next = chunk.last + 1
        self.sent = max(self.sent, chunk.last)
        if self.acks:
            self._flight.append((chunk.last, chunk.size))
            self._flying += chunk.size
            self.room.restless = True
        for frame in chunk.frames(self.outbox.wire):
            self.outbox.put(frame)

    def _redeliver(self) -> None:
        self._redeliveries += 1
        self.room.hub.redelivered += 1
        self._flight.clear()
        self._flying = 0
        self.next = self.acked + 1
        self._wake()
        self._read_on()

    # -- Shared

    def _progress(self) -> None:
        self._redeliveries = 0
        self._waiting_since = None
        self._wake()

    def _wake(self) -> None:
        """The window may have room again: let a reader that waits for it look."""
        if self._moved is not None and not self._moved.done():
            self._moved.set_result(None)

    def _close_unheard(self) -> None:
        message = f"nothing was acknowledged in {self.room.slug!r} after {REDELIVERIES} redeliveries"
        self.socket.close(Close.UNACKNOWLEDGED, EventError("unacknowledged", message))

    def _read_on(self) -> None:
        if self._reader is None and self.live and self.next and self.next <= self.room.head:
            self._reader = self.room.hub.spawn(self._read_until_in_step())

    async def _read_until_in_step(self) -> None:
        try:
            while self.live and self.next <= self.room.head:
                await self._read_page()
        finally:
            # In one step with the last comparison: no push can fall between the two.
            self._reader = None

    async def _read_page(self) -> None:
        await self.outbox.idle()
        if self.next > self.room.head or not self.live:
            return
        wanted = self.next
        chunk = await self.room.page(wanted)
        if not self.live or self.next != wanted:
            return  # an acknowledgement or a redelivery moved it meanwhile
        if chunk is None:
            self.room.gap(self.socket)
            self.live = False
        elif self._has_room(chunk):
            self._send(chunk)
        else:
            self._moved = asyncio.get_running_loop().create_future()
            await self._moved


class UnorderedPosition(Position):
    """A socket's place in an unordered room: each entry is acknowledged and redelivered alone.

    One that is never acknowledged holds back no other: the window counts open entries, not
    the distance from the oldest of them.
    """

    def __init__(self, room: Room, socket: Any, member: Member, after: int, acks: bool) -> None:
        super().__init__(room, socket, member, after, acks)
        self._resumed = max(after, room.head)  # up to here entries may have been delivered before
        self._entries: dict[int, _Open] = {}
        self._heard_at = -1.0  # when anything was acknowledged last

    @property
    def lag(self) -> int:
        unsent = self.room.head - self.sent
        return unsent + len(self._entries) if self.acks else unsent

    def _first(self) -> int:
        """What the member has not acknowledged comes again, below `after` too."""
        return min(self._after, self.member.received) + 1

    def acknowledge(self, what: int | list[int]) -> None:
        if isinstance(what, int):
            raise EventError("bad_data", "an unordered room takes a list of numbers", field=self.room.slug)
        for seq in what:
            if seq > self.sent or seq < 1:
                raise _beyond(self.room.slug, seq, self.sent)
        self.member.receive_some(what)
        if self._timed is not None and self._timed[0] in what:
            self.room.hub.metrics.acknowledged(self._timed[1])
            self._timed = None
        for seq in what:
            self.forget(seq)
        self._heard_at = self.room.hub.now()
        self._progress()

    def forget(self, seq: int) -> None:
        """Wait for this entry no longer."""
        if (entry := self._entries.pop(seq, None)) is not None:
            self._flying -= entry.size
            self._wake()

    def _open(self) -> bool:
        return bool(self._entries)

    def _has_room(self, chunk: Chunk) -> bool:
        if not self.acks or not self._entries:
            return True
        entries = len(self._entries) + len(chunk.items)
        return entries <= WINDOW_ENTRIES and self._flying + chunk.size <= WINDOW_BYTES

    def _send(self, chunk: Chunk) -> None:
        self.next = chunk.last + 1
        self.sent = max(self.sent, chunk.last)
        wanted = self._wanted(chunk)
        if wanted is not None:
            self._deliver(wanted)

    def _wanted(self, chunk: Chunk) -> Chunk | None:
        """Without what the member acknowledged elsewhere (below `after`) or was sent too often."""
        if chunk.first > self._resumed:
            return chunk
        kept = [item for item in chunk.items if self._wants(item.seq)]
        return Chunk(kept) if kept else None

    def _wants(self, seq: int) -> bool:
        if self.acks and self.member.give_up(seq):
            return False
        return seq > self._after or not self.member.has(seq)

    def _deliver(self, chunk: Chunk) -> None:
        if self.acks:
            self.room.restless = True
            now = self.room.hub.now()
            for item in chunk.items:
                earlier = self._entries.get(item.seq)
                self.member.delivered(item.seq, again=earlier is not None)
                self.forget(item.seq)
                self._entries[item.seq] = _Open(now, item.size) if earlier is None else earlier.again(now)
                self._flying += item.size
        for frame in chunk.frames(self.outbox.wire):
            self.outbox.put(frame)

    def sweep(self, now: float) -> bool:
        if not self.acks or not self._entries:
            return False
        if self.outbox.busy or self._reader is not None:
            return True
        wait = self.room.ack_wait
        due = [seq for seq, entry in self._entries.items() if now - entry.at >= wait * 2 ** (entry.tries - 1)]
        if due:
            self._redeliver_some(due)
        return True

    def _redeliver_some(self, due: list[int]) -> None:
        if any(self._entries[seq].unheard(self._heard_at) for seq in due):
            self._close_unheard()
            return
        again = [seq for seq in due if not self.member.give_up(seq)]
        if again:
            self.room.hub.redelivered += len(again)
            self._reader = self.room.hub.spawn(self._send_again(again))

    async def _send_again(self, seqs: list[int]) -> None:
        try:
            chunk = await self.room.some(seqs)
            open_still = [item for item in chunk if item.seq in self._entries] if self.live else []
            for seq in set(seqs) - {item.seq for item in chunk}:
                self.forget(seq)  # trimmed meanwhile
            if open_still:
                self._deliver(Chunk(open_still))
        finally:
            self._reader = None
            self._read_on()


class _Open:
    """An entry sent and not yet acknowledged: when first and last, how often, and its size."""

    __slots__ = ("at", "since", "size", "tries")

    def __init__(self, at: float, size: int) -> None:
        self.since = self.at = at
        self.tries = 1
        self.size = size

    def again(self, at: float) -> _Open:
        self.at = at
        self.tries += 1
        return self

    def unheard(self, heard_at: float) -> bool:
        """Whether it was redelivered often enough and nothing was acknowledged meanwhile."""
        return self.tries > REDELIVERIES and self.since > heard_at


def _beyond(slug: str, seq: int, sent: int) -> EventError:
    message = f"{seq} was never sent to you in {slug!r}; the last entry sent is {sent}"
    return EventError("bad_data", message, field=slug)

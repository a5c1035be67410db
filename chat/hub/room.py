"""One room of this process: its head, the sockets in it, and what they are pushed."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..delivery import log, pools
from ..delivery.cursors import Lowest
from ..delivery.entries import Appended, Entry
from ..errors import Close, EventError
from ..models import Room as RoomRow
from .addresses import deliver
from .chunk import Chunk, Item, Tail, chunks
from .member import Member
from .metrics import committed_by
from .position import Position, UnorderedPosition

if TYPE_CHECKING:
    from ..services.rooms import Seat
    from .hub import Hub

logger = logging.getLogger("chat.hub")

#: Notices that end a person's membership.
REMOVALS = {"kick": "kicked", "ban": "banned", "quit": "quit"}
#: How often a short or stale read of the log is tried again before the next poll asks anew.
TRIES = 5
#: Seconds between two `receipts` or `presence` events of a room.
PAUSE = 1.0
#: Changes in one `presence` event, and people who are said to be typing within a second. Each
#: goes to all members: without a bound they would cost members x members.
CHANGES = 100
TYPING = 10
#: Pages of the log that are kept for other readers, until the next sweep.
PAGES = 16


class Room:
    """Does one thing at a time: `head` advances only over contiguous entries, in the order of
    their `seq`, that were handed over by the journal or read from the log."""

    def __init__(self, hub: Hub, state: log.RoomState) -> None:
        self.hub = hub
        self.id = state.id
        self.namespace = state.namespace
        self.slug = state.slug
        self.epoch = state.epoch
        self.head = state.head
        self.ordered = state.ordering == RoomRow.Ordering.ORDERED
        self.ordering = state.ordering
        self.ack_wait = state.ack_wait
        self.max_deliver = state.max_deliver
        self.live = True
        self.restless = False  #: something here may wait for an acknowledgement
        self.positions: dict[Any, Position] = {}
        self.members: dict[int, Member] = {}
        self.joining: dict[Any, Joining] = {}
        self._tail = Tail()
        self._pages: dict[int, asyncio.Task[Chunk | None]] = {}
        self._wanted = self.head
        self._repairing: asyncio.Task[None] | None = None
        self._lowest = Lowest(0, 0)
        self._told = Lowest(0, 0)
        self._told_at = -PAUSE
        self._came_or_went: dict[int, tuple[str, str]] = {}  # user: name and state
        self._presence_at = -PAUSE
        self._typing: set[int] = set()  # since `_typing_at`
        self._typing_at = -PAUSE

    @property
    def key(self) -> tuple[str, str]:
        return self.namespace, self.slug

    @property
    def in_use(self) -> bool:
        return bool(self.positions or self.joining)

    # -- Advancing

    def offer(self, new: Appended) -> None:
        """From the journal."""
        if new.epoch == self.epoch and new.first == self.head + 1 and self._repairing is None:
            self._advance(new.entries, new.committed)
        else:
            self._learn(new.epoch, new.last)

    def heard(self, hint: dict[str, Any]) -> None:
        """From another process, without the entries."""
        self._learn(hint["epoch"], hint["last"])

    def _learn(self, epoch: str, last: int) -> None:
        if epoch == self.epoch and last > self.head:
            self.want(last)

    def want(self, head: int) -> None:
        """Read the log up to `head`, once for all sockets."""
        self._wanted = max(self._wanted, head)
        if self._repairing is None and self.head < self._wanted:
            self._repairing = self.hub.spawn(self._repair())

    async def reach(self, head: int) -> None:
        """Return once this room is at `head`. Raises `unavailable` if the log can't be read."""
        self.want(head)
        if self._repairing is not None:
            await asyncio.shield(self._repairing)
        if self.head < head:
            raise EventError("unavailable", f"{self.slug!r} can't be read now")

    async def _repair(self) -> None:
        try:
            tries = 0
            while self.live and self.head < self._wanted and tries < TRIES:
                entries = await self._read_after_head()
                if entries and entries[0].seq == self.head + 1:
                    self._advance(entries, committed_by(entries[-1].at))
                    tries = 0
                elif entries:
                    self.lose("entries were trimmed before this process had read them")
                else:
                    tries += 1
                    await asyncio.sleep(0.02 * 2**tries)
        finally:
            self._repairing = None
            self._wanted = self.head  # what is missing still, the next poll sees

    async def _read_after_head(self) -> list[Entry]:
        try:
            return await pools.read(log.read, self.id, self.head, self._wanted)
        except Exception as failure:
            logger.warning("the log of %s/%s can't be read: %s", *self.key, failure)
            return []

    def _advance(self, entries: Sequence[Entry], committed: float) -> None:
        items = [Item(entry) for entry in entries]
        self._tail.extend(items)
        start = 0
        for place, item in enumerate(items, 1):
            if item.entry.kind in ("delete", "notice", "control"):
                self._push(items[start:place], committed)
                start = place
                self._act(item.entry)
        self._push(items[start:], committed)

    def _push(self, items: Sequence[Item], committed: float) -> None:
        for chunk in chunks(items):
            self.head = chunk.last
            positions = list(self.positions.values())
            for position in positions:
                position.push(chunk)
            if positions:
                # Of a batch one acknowledgement is timed: of each it would cost as much as the push.
                self.hub.metrics.pushed(len(chunk.items), len(positions), committed)
                random.choice(positions).time(chunk.last, committed)

    def _act(self, entry: Entry) -> None:
        """What an entry changes for this process, at its place in the log."""
        try:
            if entry.kind == "control":
                self.hub.obey(entry.data)
            elif entry.kind == "delete":
                self._tail.delete(entry)
                self._pages.clear()
            else:
                self._heed(entry.data)
        except Exception:  # such as an act of a newer version; the log goes on
            logger.exception("%s/%s: entry %d can't be obeyed", *self.key, entry.seq)

    def _heed(self, notice: dict[str, Any]) -> None:
        act = notice.get("act")
        if act in REMOVALS:
            self.expel(notice["user"]["id"], REMOVALS[act], notice.get("reason", ""))
        elif act in ("update", "rules", "close", "reopen"):
            about = {key: notice[key] for key in ("name", "topic", "slow_mode") if key in notice}
            self.emit("room:updated", {"room": self.slug, **about, "closed": act == "close"})

    def forget(self) -> None:
        """What is kept for readers is read again."""
        self._tail = Tail()
        self._pages.clear()

    # -- Reading for sockets that are behind

    async def page(self, first: int) -> Chunk | None:
        """The chunk that begins at `first`; None if it was trimmed. Sockets that are at the same
        place share one read."""
        chunk = self._tail.chunk(first)
        if chunk is not None:
            return chunk
        reading = self._pages.get(first)
        if reading is None:
            while len(self._pages) >= PAGES:
                del self._pages[next(iter(self._pages))]
            reading = self._pages[first] = self.hub.spawn(self._read_page(first, self.head))
        return await asyncio.shield(reading)

    async def _read_page(self, first: int, upto: int) -> Chunk | None:
        while True:
            try:
                entries = await pools.read(log.read, self.id, first - 1, upto)
                break
            except Exception as failure:
                logger.warning("the log of %s/%s can't be read: %s", *self.key, failure)
                await asyncio.sleep(1)
        if not entries or entries[0].seq != first:
            return None
        return next(chunks([Item(entry) for entry in entries]))

    async def some(self, seqs: Sequence[int]) -> list[Item]:
        return [Item(entry) for entry in await pools.read(log.read_some, self.id, seqs)]

    # -- Sockets coming and going

    def expect(self, socket: Any) -> Joining:
        """Register a socket before its rights are read, so that a kick in between finds it."""
        joining = self.joining[socket] = Joining()
        return joining

    def member(self, seat: Seat, name: str, left: Member | None) -> Member:
        """The person of this seat; `left` is who went a moment ago, with unwritten cursors."""
        known = self.members.get(seat.user_id)
        if known is None and left is not None and left.room.epoch == self.epoch:
            known, left.room = left, self
        if known is None:
            return Member(self, seat, name)
        known.catch_up(seat)
        return known

    def admit(self, socket: Any, member: Member, after: int, acks: bool) -> Position:
        """Put a socket in its place; a second join of the same socket replaces the first."""
        self.leave(socket)
        if member.user not in self.members:
            self.members[member.user] = member
            self._came_or_went[member.user] = member.name, "online"
        kind = Position if self.ordered else UnorderedPosition
        position = kind(self, socket, member, after, acks)
        self.positions[socket] = position
        member.positions.add(position)
        return position

    def leave(self, socket: Any) -> None:
        position = self.positions.pop(socket, None)
        if position is None:
            return
        position.end()
        member = position.member
        member.positions.discard(position)
        if not member.positions:
            del self.members[member.user]
            self._came_or_went[member.user] = member.name, "offline"

    def expel(self, user: int, code: str, reason: str = "") -> None:
        """The person is no longer a member: nothing after this reaches them."""
        removed = {"room": self.slug, "code": code, **({"reason": reason} if reason else {})}
        for socket, joining in self.joining.items():
            if socket.user.id == user:
                joining.refusal = EventError("kicked", f"you were removed from {self.slug!r}")
        for socket in [each for each in self.positions if each.user.id == user]:
            self.hub.leave(socket, self.slug)
            socket.outbox.put(socket.outbox.wire.event("room:removed", removed))

    def gap(self, socket: Any) -> None:
        """What this socket should get next was trimmed: it resumes where the log begins now."""
        message = f"older entries of {self.slug!r} were trimmed; join again"
        socket.close(Close.GOING_AWAY, EventError("unavailable", message))

    def lose(self, why: str) -> None:
        """The log is not the one this process knew: its sockets come back and start anew."""
        logger.warning("%s/%s: %s; its sockets are closed and will resume", *self.key, why)
        self.hub.drop(self)
        for socket in list(self.positions):
            socket.close(Close.GOING_AWAY, EventError("unavailable", f"{self.slug!r} was reset; join again"))

    def end(self) -> None:
        self.live = False
        for position in self.positions.values():
            position.end()

    # -- Polling and the clock

    def polled(self, seen: log.Heads, head_before: int) -> None:
        """The database's word; `head_before` is this room's head from before the query."""
        if seen.epoch != self.epoch or seen.head < head_before:
            self.lose("its log was reset or restored")
            return
        if seen.first > self.head + 1:
            self.lose("entries were trimmed before this process had read them")
            return
        if seen.head > self.head:
            self.want(seen.head)
        self.tell(Lowest(seen.received, seen.read))

    def sweep(self, now: float) -> None:
        """About once a second: redeliver what waits, tell receipts and who came and went."""
        self._pages.clear()
        if self.restless:
            waiting = [position.sweep(now) for position in list(self.positions.values())]
            self.restless = any(waiting)
        self.tell(self._lowest)
        self._tell_presence(now)

    def tell(self, lowest: Lowest) -> None:
        """Receipts: the lowest cursors of all members, when they rose, at most once a second."""
        known = self._lowest
        self._lowest = Lowest(max(lowest.received, known.received), max(lowest.read, known.read))
        now = self.hub.now()
        if self._lowest != self._told and now - self._told_at >= PAUSE and self.positions:
            self._told, self._told_at = self._lowest, now
            self.emit("receipts", self.receipts())

    def receipts(self) -> dict[str, Any]:
        return {"room": self.slug, "received_by_all": self._lowest.received, "read_by_all": self._lowest.read}

    def _tell_presence(self, now: float) -> None:
        if not self._came_or_went or now - self._presence_at < PAUSE:
            return
        self._presence_at = now
        changed = list(islice(self._came_or_went.items(), CHANGES))
        for user, _ in changed:
            del self._came_or_went[user]
        changes = [{"user": {"id": user, "name": name}, "state": state} for user, (name, state) in changed]
        self.emit("presence", {"room": self.slug, "changes": changes})

    def may_say_typing(self, user: int) -> bool:
        """Once a second and person, and a few people a second."""
        now = self.hub.now()
        if now - self._typing_at >= PAUSE:
            self._typing_at = now
            self._typing.clear()
        if user in self._typing or len(self._typing) >= TYPING:
            return False
        self._typing.add(user)
        return True

    # -- Events without history

    def emit(self, event: str, data: Any) -> None:
        """To every socket here."""
        deliver(list(self.positions), event, data)

    def here(self, most: int) -> list[dict[str, Any]]:
        some = list(self.members.values())[:most]
        return [{"id": member.user, "name": member.name} for member in some]


class Joining:
    """A join under way; `refusal` is set when the person is removed meanwhile, `doubtful` when
    members were looked at while its rights were being read."""

    __slots__ = ("doubtful", "refusal")

    def __init__(self) -> None:
        self.doubtful = False
        self.refusal: EventError | None = None

"""The hub: the rooms and sockets of this process, and the clock that keeps them true.

The database is the truth. The journal tells the hub what this process appended, hints tell
what others did, and once a second a poll compares the heads of all open rooms, so that neither
a lost hint nor a command in another process leaves a member behind.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, TypeVar

from django.db import connection

from ..delivery import cursors, door, durability, log, pools, retention
from ..delivery.entries import Appended, Person
from ..delivery.journal import journal
from ..errors import Close, EventError
from ..services import rooms
from . import hints
from .activity import Activity
from .addresses import Address, Addresses
from .control import Control
from .events import Events
from .member import Member
from .metrics import Metrics
from .position import Position
from .presence import Presence
from .processes import Processes
from .queue import Queue
from .queues import Queues
from .rights import Rights
from .room import Room
from .words import Words

logger = logging.getLogger("chat.hub")

POLL = 1.0  #: seconds between two polls of heads
FLUSH = 1.0  #: seconds between two writes of cursors
FLUSH_SOON = 0.02  #: after a quiet second the first one is written at once
TRIM = 60.0  #: seconds between two rounds of retention
ROOMS_A_SOCKET = 1000
HERE = 100  #: people named in the answer to `join`
DRAIN = 10.0  #: seconds that a stop waits for the journal, and then for outboxes

GOODBYE = "the server is going away; come back"

T = TypeVar("T")

#: Returns the seconds to its next turn.
Work = Callable[[], Coroutine[Any, Any, float]]


class Hub:
    def __init__(self) -> None:
        self._started: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._works: list[Work] = [self._poll, self._sweep, self._trim]
        self.sockets: set[Any] = set()
        self.rooms: dict[int, Room] = {}
        self.stopping = False
        self.redelivered = 0  #: entries and rounds sent again since the start
        self.control = Control(self)
        self.hints = hints.Hints(self._heard)
        self.process = uuid.uuid4().hex
        self.addresses = Addresses(self.listeners)
        self.events = Events(self)
        self.activity = Activity(self)
        self.processes = Processes(self)
        self.presence = Presence(self)
        self.queues = Queues(self)
        self.words = Words(self)
        self.rights = Rights(self)
        self.metrics = Metrics(self)
        self.every(self.activity.say_watched)
        self._by_key: dict[tuple[str, str], Room] = {}
        self._opening: dict[tuple[str, str], asyncio.Task[Room]] = {}
        self._positions: dict[Any, dict[str, Room]] = {}
        self._dirty: dict[int, Member] = {}
        self._flushed_at = 0.0
        self._flushing: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._seats = pools.Together(rooms.find_seats)

    # -- Life

    async def start(self) -> None:
        """Ready for sockets. The control log's head is read before the first is let in. Any
        caller may await this; it starts once. Raises `unavailable` once the process is stopping."""
        if self.stopping:
            raise EventError("unavailable", GOODBYE)
        if self._started is None:
            self._started = asyncio.create_task(self._start())
        if not self._started.done():
            await asyncio.shield(self._started)

    async def _start(self) -> None:
        try:
            await pools.read(lambda: durability.use_wal(connection))
            await self.hints.start()
            journal.listener = asyncio.get_running_loop(), self._appended
            self._loop = asyncio.get_running_loop()
            door.on_write = partial(_call_soon, self._loop, self._appended)
            await self._watch_control()
            await self.processes.start()
            await self.words.read()
        except BaseException:
            self._started = None
            raise
        for work in self._works:
            self.spawn(self._every(work))

    def every(self, work: Work) -> None:
        """Run `work` for ever once the hub has started; it returns the seconds to its next turn."""
        self._works.append(work)
        if self._started is not None and self._started.done():
            self.spawn(self._every(work))

    @property
    def running(self) -> bool:
        return self._loop is not None and self._loop.is_running() and not self.stopping

    def call_soon(self, function: Callable[..., None], *args: Any) -> None:
        """From any thread."""
        assert self._loop is not None
        _call_soon(self._loop, function, *args)

    async def drain(self) -> None:
        """Take nothing more in; store and answer what was taken in."""
        self.stopping = True
        for socket in self.sockets:
            socket.deaf = True
        await self._within(DRAIN, journal.drain())
        await self._within(DRAIN, self.flush())

    async def stop(self) -> None:
        """Send everyone away to come back (4001). Before that the process is known to be dead, so
        that a worker who is quick finds elsewhere what they had in hand here."""
        await self._within(2.0, self.processes.stop())
        for socket in list(self.sockets):
            socket.close(Close.GOING_AWAY, EventError("unavailable", GOODBYE))
        await self._within(2.0, asyncio.gather(*(socket.outbox.idle() for socket in list(self.sockets))))
        await self.hints.stop()
        for task in list(self._tasks):
            task.cancel()

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task that is kept from the garbage collector and whose failure is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            logger.error("a task of the hub failed", exc_info=failure)

    def insist(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """For what must come to pass, such as acting on a loss of rights: if the database can't be
        reached now, then as soon as it can."""
        self.spawn(self._insist(work))

    async def _insist(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                return await work()
            except Exception as failure:
                logger.warning("%s failed, it is tried again: %s", _name(work), failure)
                await asyncio.sleep(POLL)

    async def _within(self, seconds: float, work: Any) -> None:
        try:
            await asyncio.wait_for(work, seconds)
        except Exception as failure:
            logger.warning("while stopping: %r", failure)

    async def _every(self, work: Work) -> None:
        while True:
            try:
                pause = await work()
            except Exception:
                logger.exception("%s failed; it is tried again", work.__name__)
                pause = POLL
            await asyncio.sleep(pause)

    # -- Sockets

    def register(self, socket: Any) -> None:
        """Know a socket. Before its rights are read, so that a loss of them in between finds it."""
        self.sockets.add(socket)

    def admit(self, socket: Any) -> None:
        """The socket is let in: from now on events find it."""
        socket.admitted = True
        self.addresses.add(socket)
        self.presence.arrive(socket)

    def unregister(self, socket: Any) -> None:
        self.sockets.discard(socket)
        self.addresses.remove(socket)
        if socket.admitted:
            self.presence.leave(socket)
        self.queues.unregister(socket)
        for slug in list(self._positions.get(socket, ())):
            self.leave(socket, slug)
        self._positions.pop(socket, None)
        socket.outbox.discard()

    def sockets_of(self, users: Iterable[int]) -> list[Any]:
        wanted = set(users)
        return [each for each in self.sockets if each.user is not None and each.user.id in wanted]

    # -- Joining and leaving

    async def join(
        self,
        socket: Any,
        slug: str,
        *,
        after: int | None = None,
        epoch: str | None = None,
        after_client_id: str | None = None,
        ack: bool = True,
    ) -> tuple[dict[str, Any], Callable[[], None]]:
        """Give a socket its place in a room.

        Returns the answer to `join` and a function that begins to send: the caller calls it
        once the answer is in the outbox. Raises `not_found`, `banned`, `kicked`,
        `unavailable`, `rate_limited` (1,000 rooms a socket), `bad_data`.
        """
        key = (socket.namespace_path, slug)
        if socket not in self.sockets:
            raise EventError("unavailable", "this connection has ended")
        joined = self._positions.setdefault(socket, {})
        if slug not in joined and len(joined) >= ROOMS_A_SOCKET:
            raise EventError("rate_limited", f"a socket can be in {ROOMS_A_SOCKET} rooms", retry_after=60)
        if key not in self._by_key:
            # The same questions for a room that is hidden as for one that does not exist.
            await self._seat(key, socket.user.id)
        room = await self._open(key)
        joining = room.expect(socket)
        try:
            seat = await self._seat(key, socket.user.id)
            if seat.epoch != room.epoch:
                room.lose("its log was reset or restored")
            await room.reach(seat.head)
            reset = await self._is_foreign(room, seat, after, epoch, after_client_id)
            if joining.refusal is not None:
                raise joining.refusal
            if not room.live or socket not in self.sockets:
                raise EventError("unavailable", f"{slug!r} was reset; join again")
            member = room.member(seat, socket.user.name, self._dirty.get(seat.member_id))
            first = self._first(seat)
            if after is None or reset:
                after = max(member.received, first - 1)
            elif after < first - 1:
                after, reset = first - 1, True
            position = room.admit(socket, member, after, ack)
            if slug not in joined:
                self.activity.note("a user joined a room", socket=socket, room=slug)
            joined[slug] = room
            if joining.doubtful:
                self.insist(partial(self.rights.reseat, room))
        finally:
            room.joining.pop(socket, None)
            self._close_unused(room)
        answer: dict[str, Any] = {
            "room": slug,
            "head": room.head,
            "first": first,
            "cursor": member.received,
            "epoch": room.epoch,
            "ordering": room.ordering,
            "here": room.here(HERE),
            "here_count": len(room.members),
            **room.receipts(),
        }
        if reset:
            answer["reset"] = True
        return answer, position.start

    def joined(self, socket: Any) -> Iterable[str]:
        """The rooms with a log in which this socket has a place."""
        return self._positions.get(socket, ())

    def lags(self, socket: Any) -> dict[str, int]:
        """How far it is behind in each of these rooms."""
        return {slug: room.positions[socket].lag for slug, room in self._positions.get(socket, {}).items()}

    def places(self, socket: Any) -> list[Position]:
        """Where this socket stands, in each of those rooms."""
        return [room.positions[socket] for room in self._positions.get(socket, {}).values()]

    def leave(self, socket: Any, slug: str) -> bool:
        """Stop listening. False where the socket had not joined."""
        room = self._positions.get(socket, {}).pop(slug, None)
        if room is None:
            return False
        room.leave(socket)
        self._close_unused(room)
        if socket in self.sockets:  # else it is gone altogether
            self.activity.note("a user left a room", socket=socket, room=slug)
        return True

    async def _seat(self, key: tuple[str, str], user: int) -> rooms.Seat:
        seat = await self._seats((*key, user))
        return seat if seat is not None else await pools.write(rooms.take_seat, *key, user)

    async def _is_foreign(
        self, room: Room, seat: rooms.Seat, after: int | None, epoch: str | None, after_client_id: str | None
    ) -> bool:
        """Whether a client comes with the end of another log than the one that is here now."""
        if after is None:
            return False
        if after > seat.head or (epoch is not None and epoch != seat.epoch):
            return True
        if after_client_id is None or after == 0:
            return False
        return await pools.read(log.client_id_at, room.id, after) != after_client_id

    def _first(self, seat: rooms.Seat) -> int:
        """The first entry that this member may have."""
        return max(seat.first, seat.joined_at_seq + 1) if seat.history_from_join else seat.first

    async def open_queue(self, key: tuple[str, str]) -> Queue:
        queue = await self._open(key, Queue)
        assert isinstance(queue, Queue)
        return queue

    async def _open(self, key: tuple[str, str], kind: type[Room] = Room) -> Room:
        room = self._by_key.get(key)
        if room is not None:
            return room
        if key not in self._opening:
            self._opening[key] = task = self.spawn(self._open_room(key, kind))
            task.add_done_callback(lambda _: self._opening.pop(key, None))
        return await asyncio.shield(self._opening[key])

    async def _open_room(self, key: tuple[str, str], kind: type[Room]) -> Room:
        """Join the group first, then read the head, then let sockets in: nothing falls between."""
        state = await pools.read(log.state, *key)
        if state is None:
            raise EventError("not_found", f"there is no room {key[1]!r}, or it is not open to you")
        await self.hints.join(hints.group(state.id))
        state = await pools.read(log.state, *key)
        assert state is not None
        room = self.rooms[state.id] = self._by_key[key] = kind(self, state)
        return room

    def _close_unused(self, room: Room) -> None:
        if not room.in_use and room.live and room is not self.control.room:
            self.drop(room)

    def drop(self, room: Room) -> None:
        """Forget a room of this process; the next join opens it anew."""
        room.end()
        if self.rooms.get(room.id) is room:
            del self.rooms[room.id], self._by_key[room.key]
            self.spawn(self._leave_group(room.id))

    async def _leave_group(self, room_id: int) -> None:
        await asyncio.sleep(0)
        if room_id not in self.rooms:
            await self.hints.leave(hints.group(room_id))

    async def _watch_control(self) -> None:
        self.control.room = await self._open(door.CONTROL)

    # -- Cursors

    def received(self, socket: Any, slug: str, what: int | list[int]) -> None:
        """Acknowledge. Raises `not_found` where the socket had not joined, `bad_data`."""
        self._position(socket, slug).acknowledge(what)

    def read(self, socket: Any, slug: str, seq: int) -> None:
        position = self._position(socket, slug)
        if seq > position.room.head:
            message = f"{slug!r} has no entry {seq}; its head is {position.room.head}"
            raise EventError("bad_data", message, field="seq")
        position.member.read_to(seq)

    def _position(self, socket: Any, slug: str) -> Any:
        room = self._positions.get(socket, {}).get(slug)
        if room is None:
            raise EventError("not_found", f"this socket has not joined {slug!r}", field=slug)
        return room.positions[socket]

    def touch(self, member: Member) -> None:
        """A cursor moved: it is written with the next flush."""
        member.moved = True
        self._dirty[member.id] = member
        if self._flushing is None and not self.stopping:
            self._flushing = self.spawn(self._flush_soon())

    async def _flush_soon(self) -> None:
        try:
            await asyncio.sleep(max(FLUSH_SOON, self._flushed_at + FLUSH - self.now()))
            await self.flush()
        finally:
            self._flushing = None
        if self._dirty and not self.stopping:
            self._flushing = self.spawn(self._flush_soon())

    async def flush(self) -> None:
        """Write the dirty cursors in one transaction. They stay dirty until it has committed."""
        self._flushed_at = self.now()
        if not self._dirty:
            return
        written = [(member, member.progress()) for member in self._dirty.values()]
        try:
            lowest, dead = await pools.write(cursors.flush, [each for _, each in written])
        except Exception as failure:
            logger.warning("%d cursors could not be written yet: %s", len(written), failure)
            return
        for member, progress in written:
            member.written(progress)
            if not member.moved and self._dirty.get(member.id) is member:
                del self._dirty[member.id]
        self._note_dead(dead, [member for member, _ in written])
        for room_id, receipts in lowest.items():
            if (room := self.rooms.get(room_id)) is not None:
                room.tell(receipts)

    def _note_dead(self, dead: list[cursors.Dead], members: list[Member]) -> None:
        known = {(member.room.id, member.user): member for member in members} if dead else {}
        for each in dead:
            member = known[each.room, each.user]
            self.activity.note(
                "a message became a dead letter",
                user=Person(member.user, member.name),
                namespace=f"/{member.room.namespace}",
                room=member.room.slug,
                seq=each.seq,
                attempts=each.attempts,
                reason=each.reason,
            )

    # -- News

    def _appended(self, appended: list[Appended]) -> None:
        """From the journal, after a commit of this process."""
        self.metrics.stored += sum(len(each.entries) for each in appended)
        for each in appended:
            room = self.rooms.get(each.room_id)
            if room is not None:
                room.offer(each)
            self.hints.publish(*hints.about(each))

    def _heard(self, hint: dict[str, Any]) -> None:
        """From another process. Only where to look; but for events, which have no history."""
        if "room" not in hint:
            self.events.heard(hint)
        elif (room := self.rooms.get(hint["room"])) is not None:
            room.heard(hint)

    async def _poll(self) -> float:
        before = {room.id: room.head for room in self.rooms.values()}
        seen = await pools.poll(log.heads, list(before))
        for room_id, head in before.items():
            room = self.rooms.get(room_id)
            if room is None or not room.live:
                continue
            if room_id in seen:
                room.polled(seen[room_id], head)
            else:
                room.lose("it is gone")
        if self.control.room is None or not self.control.room.live:
            # This process was away too long to know what it missed.
            await self._watch_control()
            self.close_all("this process was paused for too long; come back")
        return POLL

    def close_all(self, why: str) -> None:
        for socket in list(self.sockets):
            socket.close(Close.GOING_AWAY, EventError("unavailable", why))

    async def _sweep(self) -> float:
        now = self.now()
        for room in list(self.rooms.values()):
            room.sweep(now)
        self.control.sweep()
        return self._sweep_pause()

    def _sweep_pause(self) -> float:
        """Once a second, or often enough for the shortest `ack_wait` of an open room."""
        shortest = min((room.ack_wait / 4 for room in self.rooms.values() if room.restless), default=POLL)
        return min(POLL, max(0.05, shortest))

    async def _trim(self) -> float:
        for room_id in await pools.read(retention.due):
            while await pools.write(retention.trim_slice, room_id) is not None:
                pass
        return TRIM

    # -- Events without history

    def listeners(self, namespace: str, slug: str) -> Iterable[Any]:
        """The sockets with a place in this room's log."""
        room = self._by_key.get((namespace, slug))
        return () if room is None else room.positions

    def typing(self, socket: Any, slug: str) -> None:
        if self._position(socket, slug).room.may_say_typing(socket.user.id):
            user = {"id": socket.user.id, "name": socket.user.name}
            data = {"room": slug, "user": user}
            self.events.emit(Address(socket.namespace_path, (slug,), (socket.id,)), "typing", data)

    def obey(self, data: dict[str, Any]) -> None:
        self.control.obey(data)


def _name(work: Callable[..., Any]) -> str:
    function: Any = work.func if isinstance(work, partial) else work
    return str(function.__name__).strip("_")


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *args: Any) -> None:
    loop.call_soon_threadsafe(function, *args)


_hub: Hub | None = None


def get_hub() -> Hub:
    """This process's hub."""
    global _hub
    if _hub is None:
        _hub = Hub()
    return _hub

"""A hub in a world whose clock, database and network are the test's.

The hub, its rooms, positions and outboxes are the real ones. The database is a list in memory
that answers late, short or not at all, and the clock jumps to the next timer whenever nothing
is left to do, so that half a minute of redeliveries takes no time.
"""

from __future__ import annotations

import asyncio
import json
import random
import selectors
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError

from chat.delivery import cursors, door, leases, log, pools, retention
from chat.delivery.entries import Appended, Entry, Person
from chat.delivery.journal import journal
from chat.delivery.ranges import Ranges
from chat.errors import EventError
from chat.hub.hub import Hub
from chat.hub.outbox import Outbox
from chat.namespace import Socket
from chat.services import people, presence, rooms
from chat.services.people import Rights
from chat.wire.lines import lines

AT = "2026-01-31T12:00:00.000Z"
ROOM = "room"


class Skipping(selectors.DefaultSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everyone waits, and no timer will wake anyone"
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = Skipping()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(work)


@dataclass
class Row:
    """A membership."""

    user: int
    received: int = 0
    read: int = 0
    acked: str = ""
    deliveries: dict[str, int] = field(default_factory=dict)
    dead: dict[int, int] = field(default_factory=dict)


class Database:
    """One room, and the control log, which stays empty unless a test writes in it."""

    def __init__(self, seed: int = 0, **policy: Any) -> None:
        self.random = random.Random(seed)
        self.delay = 0.0  #: the longest that an answer takes, half of it on the way back
        self.down = False
        self.shorten = 0.0  #: how likely a read of the log leaves out its end
        self.reads = 0
        self.epoch = "e1"
        self.first = 1
        self.ordering = "ordered"
        self.ack_wait = 30.0
        self.max_deliver = 5
        self.__dict__.update(policy)
        self.log: list[Entry] = []
        self.logs = {self.epoch: self.log}  #: by epoch
        self.control: list[Entry] = []
        self.members: dict[int, Row] = {}
        self.gate = asyncio.Event()  #: closed, it holds up what `held` names
        self.held: Any = None
        self.watch: Callable[[Any], None] = lambda function: None
        self.control_first = 1
        self.banned: dict[int, str] = {}
        self.lost: dict[int, EventError] = {}  #: people whose rights are gone
        self.answers: dict[Any, Callable[..., Any]] = {
            log.read: self._read,
            log.read_some: self._read_some,
            log.state: self._state,
            log.heads: self._heads,
            log.client_id_at: lambda _, seq: (
                self.log[seq - 1].data["client_id"] if self.log[seq - 1 :] else None
            ),
            rooms.find_seats: lambda keys: [self._seat(user) for _, _, user in keys],
            rooms.take_seat: lambda *key: self._refused(key[2]),
            cursors.flush: self._flush,
            people.recheck: lambda held: [self.lost.get(rights.user, rights) for rights in held],
            retention.due: list,
            leases.sweep: list,
            presence.at: lambda _: set(),
            presence.change: lambda *_: True,
        }

    @property
    def head(self) -> int:
        return len(self.log)

    async def call(self, function: Callable[..., Any], *args: Any) -> Any:
        await asyncio.sleep(self.random.uniform(0, self.delay / 2))
        self.watch(function)
        if self.down:
            raise OperationalError("the database is down")
        answer = self.answers.get(function, lambda *_: None)(*args)
        await asyncio.sleep(self.random.uniform(0, self.delay / 2))
        if function is self.held:
            await self.gate.wait()
        return answer

    def append(self, *sizes: int, kind: str = "message", **data: Any) -> Appended:
        entries = []
        for size in sizes:
            seq = self.head + 1
            body = {"body": "x" * size} if kind == "message" else {}
            shown = {"client_id": f"{self.epoch}c{seq}", **body, **data}
            entries.append(Entry(ROOM, seq, AT, kind, Person(1, "alice"), shown))
            self.log.append(entries[-1])
        return Appended(1, "chat", ROOM, self.epoch, entries)

    def restore(self, head: int) -> None:
        """From a backup, after which `manage.py restored` was run."""
        self.epoch = f"e{int(self.epoch[1:]) + 1}"
        self.log = self.log[:head]
        self.logs[self.epoch] = self.log
        for row in self.members.values():
            row.received, row.acked = min(row.received, head), ""

    def order(self, act: str, **data: Any) -> Appended:
        """An entry of the control log."""
        seq = len(self.control) + 1
        entry = Entry("control", seq, AT, "control", Person(0, "system"), {"act": act, **data})
        self.control.append(entry)
        return Appended(2, *door.CONTROL, "e1", [entry])

    def _entries(self, room: int) -> list[Entry]:
        return self.log if room == 1 else self.control

    def _read(self, room: int, after: int, upto: int, limit: int = log.PAGE) -> list[Entry]:
        self.reads += 1
        start = max(after, (self.first if room == 1 else self.control_first) - 1)
        found = self._entries(room)[start : max(start, upto)][:limit]
        if found and self.random.random() < self.shorten:
            return found[: self.random.randrange(len(found))]
        return found

    def _read_some(self, room: int, seqs: Sequence[int]) -> list[Entry]:
        return [self._entries(room)[seq - 1] for seq in sorted(seqs) if seq >= self.first]

    def _state(self, namespace: str, slug: str) -> log.RoomState | None:
        if (namespace, slug) == door.CONTROL:
            return log.RoomState(
                2, *door.CONTROL, len(self.control), self.control_first, "e1", "ordered", 30.0, 5
            )
        return log.RoomState(
            1, "chat", ROOM, self.head, self.first, self.epoch, self.ordering, self.ack_wait, self.max_deliver
        )

    def _heads(self, ids: Sequence[int]) -> dict[int, log.Heads]:
        lowest = min((row.received for row in self.members.values()), default=0)
        read = min((row.read for row in self.members.values()), default=0)
        here = log.Heads(self.head, self.first, self.epoch, lowest, read)
        return {1: here, 2: log.Heads(len(self.control), self.control_first, "e1", 0, 0)}

    def _seat(self, user: int) -> rooms.Seat | EventError | None:
        if user in self.banned:
            return EventError("banned", "you are banned")
        row = self.members.get(user)
        if row is None:
            return None
        return rooms.Seat(
            room_id=1, namespace="chat", slug=ROOM, ordering=self.ordering, head=self.head, first=self.first,
            epoch=self.epoch, ack_wait=self.ack_wait, max_deliver=self.max_deliver, history_from_join=False,
            member_id=100 + user, user_id=user, joined_at_seq=0, received=row.received, acked=row.acked,
            deliveries=dict(row.deliveries), read=row.read,
        )  # fmt: skip

    def _refused(self, user: int) -> rooms.Seat:
        raise EventError("not_found", f"nobody seats {user} here")

    def _flush(self, progress: Iterable[cursors.Progress]) -> cursors.Flushed:
        for each in progress:
            row = self.members.get(each.member - 100)
            if row is None or each.epoch != self.epoch:
                continue
            acked = Ranges.parse(row.acked)
            acked.update(each.acked)
            for seq, tries in each.dead.items():
                if seq > row.received and seq not in acked:
                    row.dead[seq] = tries
                acked.add(seq)
            row.received = acked.absorb(max(row.received, each.received))
            row.acked = str(acked)
            row.deliveries = {str(seq): n for seq, n in each.deliveries.items() if seq not in acked}
            row.read = max(row.read, each.read)
        return cursors.Flushed({}, [])


class Tab:
    """A client and its connection: keeps what arrives, and may stop reading."""

    def __init__(self, world: World, user: int) -> None:
        self.world = world
        self.user = user
        self.packets: list[dict[str, Any]] = []
        self.seqs: list[int] = []  #: entries in the order in which they came
        self.code: int | None = None  #: of the close frame
        self.cut = False  #: ended without one
        self.reading = asyncio.Event()
        self.reading.set()
        self.transport = SimpleNamespace(abort=self._abort)  # as on uvicorn
        outbox = Outbox(self._send, lines)
        self.socket: Any = Socket(SimpleNamespace(path="chat"), outbox)  # type: ignore[arg-type]
        world.hub.register(self.socket)
        self.socket.rights = Rights(user, f"person{user}", False)

    async def join(self, **options: Any) -> dict[str, Any]:
        answer, start = await self.world.hub.join(self.socket, ROOM, **options)
        self.socket.outbox.put(lines.ack(1, answer))
        start()
        return answer

    def leave(self) -> bool:
        return self.world.hub.leave(self.socket, ROOM)

    def received(self, what: int | list[int]) -> None:
        self.world.hub.received(self.socket, ROOM, what)

    def drop(self) -> None:
        """The connection is gone."""
        self.world.hub.unregister(self.socket)
        self.socket.gone()
        self.reading.set()

    @property
    def closed(self) -> bool:
        return self.socket.closed is not None

    def events(self, name: str) -> list[Any]:
        return [packet["data"] for packet in self.packets if packet.get("event") == name]

    def last(self, seq: int) -> dict[str, Any]:
        """The last copy of an entry that came."""
        entry: dict[str, Any] = next(each for each in reversed(self.packets) if each.get("seq") == seq)
        return entry

    def take(self, packet: dict[str, Any]) -> None:
        self.packets.append(packet)
        if "seq" in packet:
            self.seqs.append(packet["seq"])

    async def _send(self, message: dict[str, Any]) -> None:
        await self.reading.wait()
        if message["type"] == "websocket.close":
            self.code = message["code"]
            return
        for line in message["text"].split("\n"):
            self.take(json.loads(line))

    def _abort(self) -> None:
        self.cut = True


class World:
    def __init__(self, database: Database) -> None:
        self.db = database
        self.hub = Hub()

    @property
    def room(self) -> Any:
        return self.hub.rooms[1]

    def person(self, user: int, **row: Any) -> None:
        self.db.members[user] = Row(user, **row)

    def tab(self, user: int = 1, *, admitted: bool = True) -> Tab:
        if user not in self.db.members:
            self.person(user)
        tab = Tab(self, user)
        if admitted:
            self.hub.admit(tab.socket)
        return tab

    def say(self, *sizes: int, **data: Any) -> None:
        """Entries of this process, which its journal hands over."""
        self.told(self.db.append(*(sizes or (10,)), **data))

    def told(self, appended: Appended) -> None:
        asyncio.get_running_loop().call_soon(self.hub._appended, [appended])

    def hint(self, appended: Appended, late: float = 0.0) -> None:
        """Word from another process."""
        hint = {"room": appended.room_id, "epoch": appended.epoch}
        hint |= {"first": appended.first, "last": appended.last}
        asyncio.get_running_loop().call_later(late, self.hub._heard, hint)


@asynccontextmanager
async def a_world(**options: Any) -> AsyncIterator[World]:
    """The hub is started, with its polls and sweeps; see `Database` for the options."""
    database = Database(**options)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("read", "write", "poll"):
            patch.setattr(pools, name, database.call)
        patch.setattr(journal, "listener", None)
        patch.setattr(journal, "_thread", None)
        patch.setattr(door, "on_write", None)
        world = World(database)
        await world.hub.start()
        try:
            yield world
        finally:
            tasks = list(world.hub._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def in_a_world(**options: Any) -> Callable[[Callable[[World], Awaitable[None]]], Callable[[], None]]:
    """Makes a test of a function that takes a world."""

    def wrap(test: Callable[[World], Awaitable[None]]) -> Callable[[], None]:
        async def play() -> None:
            async with a_world(**options) as world:
                await test(world)

        def sync() -> None:
            run(play())

        sync.__name__, sync.__doc__, sync.__module__ = test.__name__, test.__doc__, test.__module__
        return sync

    return wrap

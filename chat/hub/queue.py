"""One queue of this process: who works in it, what they have in hand, and what its watchers hear.

What became of an order is the database's to say (`chat.delivery.leases`). What is kept here only
tells to whom work may be offered, and when it is worth asking for some.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..delivery import leases, log
from ..delivery.entries import Entry
from ..delivery.leases import Leased
from ..errors import Close, EventError
from . import hints
from .addresses import Address, deliver
from .room import Room

if TYPE_CHECKING:
    from .hub import Hub

#: An event for those who watch, and the order as it stands after it.
News = tuple[str, dict[str, Any]]

#: News in one hint. An order has up to 32 KiB.
NEWS = 50
#: Seconds after which a lease counts as lapsed here although nobody said so.
GRACE = 1.0
#: Sweeps, about a second each, for which an unused queue is kept.
UNUSED = 3


@dataclass(slots=True)
class Held:
    """An order that a worker has in hand."""

    token: str
    attempts: int
    lease_until: str
    lapses_at: float  # by the loop's clock


class Worker:
    """A socket's place in a queue. `most` is 0 for one that rests."""

    __slots__ = ("held", "holder", "most", "queue", "socket")

    def __init__(self, queue: Queue, socket: Any) -> None:
        self.queue = queue
        self.socket = socket
        self.holder = holder_of(queue.hub, socket)
        self.most = 0
        self.held: dict[int, Held] = {}  # by the order's seq

    def free_without(self, ending: Collection[int] = ()) -> int:
        """How many more orders it takes once these, which it has, are settled."""
        return 0 if self.socket.closed is not None else max(0, self.most - len(self.held) + len(ending))

    def hold(self, leased: Leased) -> None:
        lapses_at = self.queue.hub.now() + self.queue.lease_seconds
        self.held[leased.order.seq] = Held(leased.token, leased.order.attempts, leased.lease_until, lapses_at)

    def emit(self, leased: Leased) -> None:
        order = leased.order
        self.socket.outbox.put(
            self.socket.outbox.wire.event(
                "order",
                {
                    "queue": order.queue,
                    "seq": order.seq,
                    "token": leased.token,
                    "attempts": order.attempts,
                    "item": order.item,
                    "lease_until": leased.lease_until,
                },
            )
        )


class Queue(Room):
    """Follows its log as a room does. Its watchers are the sockets in the plain room of its name."""

    def __init__(self, hub: Hub, state: log.RoomState) -> None:
        super().__init__(hub, state)
        #: In the order in which it is their turn.
        self.workers: dict[Any, Worker] = {}
        self.lease_seconds = 30.0  # as of the last one who came to work
        self._holders: dict[int, Worker] = {}  # who has which order
        self._alarm: asyncio.TimerHandle | None = None
        self._unused = 0
        self._waiting: list[News] = []  # for entries that this process has yet to read
        self._unsaid: list[News] = []

    @property
    def watchers(self) -> list[Any]:
        return self.hub.addresses.reached(Address(self.namespace, (self.slug,)))

    @property
    def in_use(self) -> bool:
        return bool(self.workers or self.watchers)

    # -- Its log

    def want(self, head: int) -> None:
        """Without watchers nobody needs to know what the orders are. A read that is under way
        ends where it began to."""
        if self.watchers or self._repairing is not None:
            super().want(head)
        elif head > self.head:
            self.head = head
            self._caught_up()

    def _advance(self, entries: Sequence[Entry], committed: float) -> None:
        self.head = entries[-1].seq
        watchers = self.watchers
        for entry in entries if watchers else ():
            if entry.kind == "item":
                deliver(watchers, "order:created", leases.created(self.id, entry).as_dict())
        self._caught_up()

    def _caught_up(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._hear(waiting)
        self.wake()

    def heard(self, hint: dict[str, Any]) -> None:
        """From another process."""
        if "first" in hint:
            super().heard(hint)
        news = [(event, order) for event, order in hint.get("news", ())]
        self._hear(news)
        self._stir(news)

    def lose(self, why: str) -> None:
        super().lose(why)
        error = EventError("unavailable", f"{self.slug!r} was reset; come back")
        for socket in {*self.workers, *self.watchers}:
            socket.close(Close.GOING_AWAY, error)

    def end(self) -> None:
        super().end()
        if self._alarm is not None:
            self._alarm.cancel()

    # -- Workers

    def dismiss(self, worker: Worker) -> None:
        """It gets nothing more. What it has in hand stays its own."""
        worker.most = 0
        self.workers.pop(worker.socket, None)
        for seq in worker.held:
            self._holders.pop(seq, None)

    @property
    def idle(self) -> bool:
        return any(worker.free_without() for worker in self.workers.values())

    def give(self, worker: Worker, leased: Leased) -> None:
        """An order that was leased for this worker; the others' turn comes before its next one."""
        self.hold(worker, leased)
        worker.emit(leased)
        if worker.socket in self.workers:
            self.workers[worker.socket] = self.workers.pop(worker.socket)

    def hold(self, worker: Worker, leased: Leased) -> None:
        """The worker has this order now, whoever had it before."""
        self.release(leased.order.seq)
        worker.hold(leased)
        self._holders[leased.order.seq] = worker

    def release(self, seq: int) -> None:
        worker = self._holders.pop(seq, None)
        if worker is not None:
            worker.held.pop(seq, None)

    def holder(self, seq: int, token: str) -> Worker | None:
        """Who has this lease of this order."""
        worker = self._holders.get(seq)
        return worker if worker is not None and worker.held[seq].token == token else None

    def end_lease(self, seq: int, token: str) -> None:
        """A lease that counts no more is in nobody's way."""
        if self.holder(seq, token) is not None:
            self.release(seq)
            self.wake()

    def wake(self, after: float = 0.0) -> None:
        """There may be work, now or in so many seconds."""
        if after > 0:
            self._set_alarm(after)
            return
        self.hub.queues.turns.begin(self)

    def _set_alarm(self, after: float) -> None:
        """An alarm that is set already and rings earlier sets the next one by what is due then."""
        at = self.hub.now() + after
        if self._alarm is not None:
            if self._alarm.when() <= at:
                return
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_at(at, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self.wake()

    def sweep(self, now: float) -> None:
        """About once a second: what lapsed without a word from the process that saw it."""
        lapsed = [seq for seq, worker in self._holders.items() if worker.held[seq].lapses_at + GRACE < now]
        for seq in lapsed:
            self.release(seq)
        if lapsed:
            self.wake()
        self._unused = 0 if self.in_use else self._unused + 1
        if self._unused > UNUSED:
            self.hub.drop(self)

    # -- News

    def announce(self, news: Iterable[News], after: float = 0.0) -> None:
        """What this process has changed: heard here now, elsewhere with the end of the loop's turn.
        `after`: seconds until what was queued again may be taken."""
        told = list(news)
        if told and not self._unsaid:
            asyncio.get_running_loop().call_soon(self._say)
        self._unsaid += told
        self._hear(told)
        self._stir(told, after)

    def _say(self) -> None:
        unsaid, self._unsaid = self._unsaid, []
        publish_news(self.hub, self.id, unsaid)

    def _hear(self, news: Sequence[News]) -> None:
        """Watchers hear of an order only after it was created."""
        ahead = max((order["seq"] for _, order in news), default=0)
        if ahead > self.head:
            self.want(ahead)
        watchers = self.watchers if news else ()
        for event, order in news:
            if order["seq"] > self.head:
                self._waiting.append((event, order))
                continue
            self._heed(order)
            deliver(watchers, event, order)

    def _heed(self, order: dict[str, Any]) -> None:
        """Who had the order may not have it any more."""
        worker = self._holders.get(order["seq"])
        if worker is not None:
            mine = worker.held[order["seq"]].attempts
            if mine < order["attempts"] or (mine == order["attempts"] and order["state"] != "leased"):
                self.release(order["seq"])

    def _stir(self, news: Sequence[News], after: float = 0.0) -> None:
        """What was queued again, or ended in an ordered queue, makes work; else someone may be free."""
        states = {order["state"] for _, order in news} - {"leased"}
        if "queued" in states:
            self.wake(after)
        elif states and self.ordered:
            self.wake()
        if states:
            self.hub.queues.turns.begin()


def holder_of(hub: Hub, socket: Any) -> str:
    """As what a socket holds its leases."""
    return f"{hub.process}/{socket.id}"


def publish_news(hub: Hub, queue_id: int, news: Sequence[News]) -> None:
    """To the other processes that have the queue open."""
    for start in range(0, len(news), NEWS):
        hub.hints.publish(hints.group(queue_id), {"room": queue_id, "news": news[start : start + NEWS]})

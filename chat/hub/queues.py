"""The queues that sockets of this process work in: work goes out, answers come in.

A worker costs no query of its own. What all of them want is taken in one transaction, and so is
what they have done settled; both run in the writer's thread, between two batches of the journal.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import transaction

from ..delivery import leases, pools
from ..delivery.leases import Act, Done, Extend, Fail, Leased, Order, Settled, Want
from ..errors import Close, EventError
from ..models import Room as RoomRow
from ..services import presence, queues
from .queue import News, Queue, Worker, publish_news

if TYPE_CHECKING:
    from .hub import Hub

logger = logging.getLogger("chat.hub")

POLL = 1.0  #: seconds between two sweeps for lapsed leases and looks at what is due
MOST = 500  #: orders given out in one transaction
QUEUES_A_SOCKET = 1000

#: What watchers are told of an order that has come to this state.
EVENTS = {
    "queued": "order:failed",
    "leased": "order:leased",
    "done": "order:done",
    "dead": "order:dead",
    "buried": "order:buried",
}


@dataclass(slots=True, frozen=True)
class Heir:
    """Who takes over a person's leases that no living socket holds. `living`: the holders that
    this process knows to be."""

    queue_id: int
    user: int
    holder: str
    process: str
    living: frozenset[str]

    def is_alive(self, processes: set[str]) -> Callable[[str], bool]:
        def is_alive(holder: str) -> bool:
            process, _, socket = holder.partition("/")
            if process == self.process:
                return holder in self.living
            return process in processes or not socket  # a command holds leases of its own

        return is_alive


class Queues:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._places: dict[Any, dict[str, Worker]] = {}
        #: Where it is worth asking for work.
        self._ready: dict[Queue, None] = {}
        self._giving: asyncio.Task[None] | None = None
        self._taking: asyncio.Task[None] | None = None
        self._look: pools.Together[tuple[str, str, int], RoomRow] = pools.Together(_look_all)
        self._settle: pools.Together[Act, Settled] = pools.Together(leases.settle, run=pools.write)
        self._adopt: pools.Together[Heir, list[Leased]] = pools.Together(_adopt_all, run=pools.write)
        self._give_back: pools.Together[str, list[Order]] = pools.Together(_put_back_all, run=pools.write)
        hub.every(self._sweep)

    # -- Workers

    async def work(self, socket: Any, slug: str, most: int) -> tuple[Worker, list[Leased]]:
        """Let a socket work in a queue, `most` orders at a time; again to change that. Returns its
        place, and the person's leases that it has taken over.

        Nothing is given out before `worker.queue.wake()`: the caller calls that once its answer is
        in the outbox. Raises `not_found`, `banned`, `unavailable`, `rate_limited`.
        """
        worker = self._place(socket, await self._open(socket, slug))
        try:
            # Once more, since it is known here now: a ban in between finds it.
            row = await self.look(socket, slug)
        except EventError:
            self._leave(worker)
            raise
        worker.queue.lease_seconds = row.lease_seconds
        adopted = await self._adopt(self._heir(worker))
        for leased in adopted:
            worker.queue.hold(worker, leased)
        worker.most = most
        return worker, adopted

    async def rest(self, socket: Any, slug: str) -> None:
        """Give this socket no more. What was on its way has reached it when this returns."""
        worker = self._places.get(socket, {}).get(slug)
        if worker is None:
            raise EventError("not_found", f"this socket does not work in {slug!r}", field="queue")
        worker.most = 0
        if self._taking is not None:
            await asyncio.wait({self._taking})

    async def watch(self, socket: Any, slug: str) -> RoomRow:
        """Let a socket hear what becomes of the orders."""
        queue = await self._open(socket, slug)
        self._hub.addresses.join(socket, slug)
        try:
            return await self.look(socket, slug)
        except EventError:
            self._hub.addresses.leave(socket, queue.slug)
            raise

    async def look(self, socket: Any, slug: str) -> RoomRow:
        """The queue's row. Raises `not_found`, `banned`."""
        return await self._look((socket.namespace_path, slug, socket.user.id))

    def unregister(self, socket: Any) -> None:
        """The connection is gone; its handlers may still run."""
        for worker in self._places.get(socket, {}).values():
            worker.queue.dismiss(worker)

    def farewell(self, socket: Any) -> None:
        """Its handlers have finished, too: what it had in hand goes back at once. But not where the
        server sent it away to come back, so that a deploy costs no attempt."""
        places = self._places.pop(socket, {})
        if places and socket.closed != Close.GOING_AWAY:
            holder = next(iter(places.values())).holder
            self._hub.insist(partial(self._put_back, holder))

    async def _put_back(self, holder: str) -> None:
        self.tell(await self._give_back(holder))

    async def _open(self, socket: Any, slug: str) -> Queue:
        """The queue, if this person may see it."""
        worker = self._places.get(socket, {}).get(slug)
        if worker is not None:
            return worker.queue
        await self.look(socket, slug)
        return await self._hub.open_queue((socket.namespace_path, slug))

    def _place(self, socket: Any, queue: Queue) -> Worker:
        """The socket's place in the queue; it gets nothing before its `most` is set."""
        if socket not in self._hub.sockets:
            raise EventError("unavailable", "this connection has ended")
        places = self._places.setdefault(socket, {})
        if queue.slug not in places:
            if len(places) >= QUEUES_A_SOCKET:
                message = f"a socket can work in {QUEUES_A_SOCKET} queues"
                raise EventError("rate_limited", message, retry_after=60)
            places[queue.slug] = queue.workers[socket] = Worker(queue, socket)
        return places[queue.slug]

    def _leave(self, worker: Worker) -> None:
        worker.queue.dismiss(worker)
        self._places.get(worker.socket, {}).pop(worker.queue.slug, None)

    def _heir(self, worker: Worker) -> Heir:
        sockets = self._hub.sockets_of([worker.socket.user.id])
        process = self._hub.process
        living = frozenset(f"{process}/{socket.id}" for socket in sockets)
        return Heir(worker.queue.id, worker.socket.user.id, worker.holder, process, living)

    async def reseat(self, queue: Queue) -> None:
        """Whoever may not see the queue any more gets nothing more of it."""
        sockets = {*queue.workers, *queue.watchers}
        users = {socket.user.id for socket in sockets}
        keys = [(queue.namespace, queue.slug, user) for user in users]
        found = await pools.read(_look_all, keys)
        refused = {key[2]: row for key, row in zip(keys, found, strict=True) if isinstance(row, EventError)}
        for socket in sockets:
            if (refusal := refused.get(socket.user.id)) is not None:
                self._expel(socket, queue, refusal)

    def _expel(self, socket: Any, queue: Queue, refusal: EventError) -> None:
        self._hub.addresses.leave(socket, queue.slug)
        worker = queue.workers.get(socket)
        held = dict(worker.held) if worker is not None else {}
        if worker is not None:
            self._leave(worker)
        socket.refuse(EventError(refusal.code, refusal.message, queue=queue.slug, **refusal.more))
        for seq, each in held.items():
            self._hub.insist(
                partial(self._return, Fail(queue.id, seq, each.token, socket.user.id, refusal.message))
            )

    # -- What they have done

    async def done(self, socket: Any, slug: str, seq: int, token: str, result: Any) -> Settled:
        queue_id = await self._id(socket, slug)
        return await self._settled(socket, slug, Done(queue_id, seq, token, socket.user.id, result))

    async def fail(self, socket: Any, slug: str, seq: int, token: str, reason: str, delay: float) -> Settled:
        queue_id = await self._id(socket, slug)
        return await self._settled(socket, slug, Fail(queue_id, seq, token, socket.user.id, reason, delay))

    async def extend(self, socket: Any, slug: str, seq: int, token: str) -> Settled:
        """The lease runs on, and this socket has it from now on."""
        worker = self._place(socket, await self._open(socket, slug))
        act = Extend(worker.queue.id, seq, token, socket.user.id, worker.holder)
        settled = await self._settled(socket, slug, act)
        if settled.lease_until is not None:
            worker.queue.hold(worker, Leased(settled.order, token, settled.lease_until, worker.holder))
        return settled

    async def _id(self, socket: Any, slug: str) -> int:
        worker = self._places.get(socket, {}).get(slug)
        return worker.queue.id if worker is not None else (await self.look(socket, slug)).pk

    async def _settled(self, socket: Any, slug: str, act: Act) -> Settled:
        try:
            settled = await self._settle(act)
        except EventError as refusal:
            if refusal.code == "stale_lease":
                self._forget(socket, slug, act)
            raise
        if not settled.duplicate and not isinstance(act, Extend):
            delay = act.delay if isinstance(act, Fail) else 0.0
            self.tell([settled.order], delay)
        return settled

    def _forget(self, socket: Any, slug: str, act: Act) -> None:
        """A lease that counts no more is in nobody's way."""
        worker = self._places.get(socket, {}).get(slug)
        if worker is not None and act.seq in worker.held and worker.held[act.seq].token == act.token:
            worker.queue.release(act.seq)
            worker.queue.wake()

    # -- Giving out

    def give_out(self, queue: Queue | None = None) -> None:
        """Give out what there is, in `queue` or wherever there was more than workers took."""
        if queue is not None and queue.live:
            self._ready[queue] = None
        if self._giving is None and self._ready and not self._hub.stopping:
            self._giving = self._hub.spawn(self._give_out())

    async def _give_out(self) -> None:
        try:
            while not self._hub.stopping and (wanted := self._wanted()):
                self._taking = self._hub.spawn(self._take(wanted))
                await asyncio.wait({self._taking})
                if self._taking.exception() is not None:  # logged by the hub
                    await asyncio.sleep(POLL)
                    self._ready.update(dict.fromkeys(worker.queue for worker, _ in wanted))
        finally:
            self._giving = self._taking = None

    def _wanted(self) -> list[tuple[Worker, Want]]:
        """What one transaction takes. A queue with nobody free stays ready; the others are so again
        when there was all that was asked for, or at the next news."""
        wanted: list[tuple[Worker, Want]] = []
        left = MOST
        for queue in list(self._ready):
            for worker in queue.workers.values():
                if most := min(worker.free, left):
                    wanted.append((worker, Want(queue.id, worker.socket.user.id, worker.holder, most)))
                    left -= most
                    self._ready.pop(queue, None)
            if not queue.live:
                self._ready.pop(queue, None)
        return wanted

    async def _take(self, wanted: list[tuple[Worker, Want]]) -> None:
        taken: list[Leased] = await pools.write(leases.take, [want for _, want in wanted])
        workers = {(want.queue_id, want.holder): worker for worker, want in wanted}
        asked: Counter[Queue] = Counter()
        for worker, want in wanted:
            asked[worker.queue] += want.most
        for leased in taken:
            worker = workers[leased.order.queue_id, leased.holder]
            asked[worker.queue] -= 1
            self._give(worker, leased)
        self.tell(leased.order for leased in taken)
        self._ready.update(dict.fromkeys(queue for queue, missing in asked.items() if not missing))

    def _give(self, worker: Worker, leased: Leased) -> None:
        if worker.queue.workers.get(worker.socket) is worker:
            worker.queue.give(worker, leased)
        elif worker.socket.closed != Close.GOING_AWAY:
            # The worker went while the order was taken for it, and never saw the token.
            order = leased.order
            act = Fail(order.queue_id, order.seq, leased.token, worker.socket.user.id, leases.LOST)
            self._hub.insist(partial(self._return, act))

    async def _return(self, act: Act) -> None:
        try:
            self.tell([(await self._settle(act)).order])
        except EventError as refusal:
            if refusal.temporary:
                raise

    async def _sweep(self) -> float:
        """Put back what lapsed, and look for what other processes have queued or what is due."""
        self.tell(await pools.write(leases.sweep))
        idle = {each.id: each for each in self._queues() if each.idle and each not in self._ready}
        if idle:
            for queue_id, seconds in (await pools.poll(leases.due, list(idle))).items():
                if seconds is not None:
                    idle[queue_id].wake(seconds)
        return POLL

    def _queues(self) -> list[Queue]:
        return [room for room in self._hub.rooms.values() if isinstance(room, Queue)]

    # -- News

    def tell(self, orders: Iterable[Order], after: float = 0.0, event: str = "") -> None:
        """What this process has made of orders; `after`: seconds until they may be taken again."""
        by_queue: dict[int, list[News]] = defaultdict(list)
        for order in orders:
            if order.state == "dead":
                self._hub.activity.note(
                    "an order died", user=order.worker, room=order.queue, seq=order.seq, reason=order.reason
                )
            by_queue[order.queue_id].append((event or EVENTS[order.state], order.as_dict()))
        for queue_id, news in by_queue.items():
            queue = self._hub.rooms.get(queue_id)
            if isinstance(queue, Queue):
                queue.announce(news, after)
            else:
                publish_news(self._hub, queue_id, news)


# -- In threads: what many ask for, in one go


def _look_all(keys: list[tuple[str, str, int]]) -> list[RoomRow | Exception]:
    return [_look(*key) for key in keys]


def _look(namespace: str, slug: str, user: int) -> RoomRow | EventError:
    try:
        return queues.look(namespace, slug, user)
    except EventError as refusal:
        return refusal


def _adopt_all(heirs: list[Heir]) -> list[list[Leased]]:
    with transaction.atomic():
        processes = presence.alive()
        return [
            leases.adopt(each.queue_id, each.user, each.holder, each.is_alive(processes)) for each in heirs
        ]


def _put_back_all(holders: list[str]) -> list[list[Order]]:
    """All of them to the first who asked: whoever tells of them, they are told once."""
    return [leases.put_back(holders), *([] for _ in holders[1:])]

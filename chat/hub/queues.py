"""The queues that sockets of this process work in: who may, who has what, what lapsed.

A worker costs no query of its own: what many ask for is asked in one go, and what they do and
want is the affair of `turns`.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import transaction

from ..delivery import leases, pools
from ..delivery.leases import Done, Extend, Fail, Leased, Order, Settled
from ..errors import Close, EventError
from ..models import Room as RoomRow
from ..services import presence, queues
from .addresses import Address, user_room
from .queue import News, Queue, Worker, holder_of, publish_news
from .turns import Turns

if TYPE_CHECKING:
    from .hub import Hub

logger = logging.getLogger("chat.hub")

POLL = 1.0  #: seconds between two sweeps for lapsed leases and looks at what is due
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
        self.turns = Turns(hub, self.tell)
        self._look: pools.Together[tuple[str, str, int], RoomRow] = pools.Together(_look_all)
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
        except EventError as refusal:
            if not refusal.temporary:
                self._leave(worker, refusal.message)
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
        await self.turns.under_way()

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
        places = self._places.pop(socket, None)
        if places is not None and socket.closed != Close.GOING_AWAY:
            self._hub.insist(partial(self._put_back, holder_of(self._hub, socket)))

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

    def _leave(self, worker: Worker, reason: str) -> None:
        """What it has in hand goes back."""
        worker.queue.dismiss(worker)
        self._places.get(worker.socket, {}).pop(worker.queue.slug, None)
        for seq, held in worker.held.items():
            self.turns.give_back(worker, seq, held.token, reason)

    def _heir(self, worker: Worker) -> Heir:
        user_id, process = worker.socket.user.id, self._hub.process
        sockets = self._hub.addresses.reached(Address(worker.queue.namespace, (user_room(user_id),)))
        living = frozenset(f"{process}/{socket.id}" for socket in sockets)
        return Heir(worker.queue.id, user_id, worker.holder, process, living)

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
        if (worker := queue.workers.get(socket)) is not None:
            self._leave(worker, refusal.message)
        socket.refuse(EventError(refusal.code, refusal.message, queue=queue.slug, **refusal.more))

    # -- What they have done

    async def done(self, socket: Any, slug: str, seq: int, token: str, result: Any) -> Settled:
        queue_id = await self._id(socket, slug)
        return await self.turns.settle(Done(queue_id, seq, token, socket.user.id, result))

    async def fail(self, socket: Any, slug: str, seq: int, token: str, reason: str, delay: float) -> Settled:
        queue_id = await self._id(socket, slug)
        return await self.turns.settle(Fail(queue_id, seq, token, socket.user.id, reason, delay))

    async def extend(self, socket: Any, slug: str, seq: int, token: str) -> Settled:
        """The lease runs on, and this socket has it from now on."""
        worker = self._place(socket, await self._open(socket, slug))
        act = Extend(worker.queue.id, seq, token, socket.user.id, worker.holder)
        settled = await self.turns.settle(act)
        if settled.lease_until is not None:
            worker.queue.hold(worker, Leased(settled.order, token, settled.lease_until, worker.holder))
        return settled

    async def _id(self, socket: Any, slug: str) -> int:
        worker = self._places.get(socket, {}).get(slug)
        return worker.queue.id if worker is not None else (await self.look(socket, slug)).pk

    # -- What nobody here has done

    async def _sweep(self) -> float:
        """Put back what lapsed, and look for what other processes have queued or what is due."""
        self.turns.begin()  # who is free by now may not have been when a queue was ready
        self.tell(await pools.write(leases.sweep))
        idle = {each.id: each for each in self._queues() if each.idle and not self.turns.is_ready(each)}
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
        # In the order in which everyone locks leases.
        by_queue = sorted(range(len(heirs)), key=lambda place: heirs[place].queue_id)
        adopted = {place: _adopt(heirs[place], processes) for place in by_queue}
    return [adopted[place] for place in range(len(heirs))]


def _adopt(heir: Heir, processes: set[str]) -> list[Leased]:
    return leases.adopt(heir.queue_id, heir.user, heir.holder, heir.is_alive(processes))


def _put_back_all(holders: list[str]) -> list[list[Order]]:
    """All of them to the first who asked: whoever tells of them, they are told once."""
    return [leases.put_back(holders), *([] for _ in holders[1:])]

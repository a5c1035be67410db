"""Turns of work: what workers have done is settled and what they want next is taken, for all of
them in one transaction, in the writer's thread between two batches of the journal."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ..delivery import leases, pools
from ..delivery.leases import Act, Done, Extend, Fail, Leased, Order, Settled, Want
from ..errors import Close, EventError
from .queue import Queue, Worker

if TYPE_CHECKING:
    from .hub import Hub

logger = logging.getLogger("chat.hub")

MOST = 500  #: acts settled, and orders given out, in one turn
AGAIN = 1.0  #: seconds after a turn that failed

#: Tells what became of orders; the seconds are those until they may be taken again.
Tell = Callable[[Sequence[Order], float], None]
Asked = tuple[Act, "asyncio.Future[Settled]"]


class Turns:
    def __init__(self, hub: Hub, tell: Tell) -> None:
        self._hub = hub
        self._tell = tell
        self._acts: list[Asked] = []
        #: Where it is worth asking for work.
        self._ready: dict[Queue, None] = {}
        self._running: asyncio.Task[None] | None = None
        self._turn: asyncio.Future[None] | None = None

    async def settle(self, act: Act) -> Settled:
        """Returns after the commit. Raises `stale_lease`, `not_found`, `unavailable`."""
        future: asyncio.Future[Settled] = asyncio.get_running_loop().create_future()
        self._acts.append((act, future))
        self.begin()
        return await future

    def is_ready(self, queue: Queue) -> bool:
        return queue in self._ready

    def begin(self, queue: Queue | None = None) -> None:
        """Give out what there is, in `queue` or wherever there was more than workers took."""
        if queue is not None and queue.live:
            self._ready[queue] = None
        if self._running is None and (self._acts or self._ready):
            self._running = self._hub.spawn(self._run())

    async def under_way(self) -> None:
        """Return once the turn that has begun is over."""
        if self._turn is not None:
            await asyncio.shield(self._turn)

    async def _run(self) -> None:
        try:
            while True:
                acts, self._acts = self._acts[:MOST], self._acts[MOST:]
                wanted = [] if self._hub.stopping else self._wanted([act for act, _ in acts])
                if not acts and not wanted:
                    return
                self._turn = asyncio.get_running_loop().create_future()
                try:
                    await self._take_turn(acts, wanted)
                except Exception as failure:
                    await self._failed(acts, wanted, failure)
                finally:
                    self._turn.set_result(None)
        finally:
            self._running = self._turn = None

    async def _take_turn(self, acts: list[Asked], wanted: list[tuple[Worker, Want]]) -> None:
        settled, taken = await pools.write(
            leases.settle_and_take, [act for act, _ in acts], [want for _, want in wanted]
        )
        for (act, future), outcome in zip(acts, settled, strict=True):
            self._answer(act, future, outcome)
        await asyncio.sleep(0)  # the answers go out first
        self._give_all(wanted, taken)

    async def _failed(self, acts: list[Asked], wanted: list[tuple[Worker, Want]], failure: Exception) -> None:
        logger.warning("work can't be given out now, it is tried again: %s", failure)
        for _, future in acts:
            if not future.done():
                future.set_exception(failure)
        await asyncio.sleep(AGAIN)
        self._ready.update(dict.fromkeys(worker.queue for worker, _ in wanted if worker.queue.live))

    # -- What was done

    def _answer(self, act: Act, future: asyncio.Future[Settled], outcome: Settled | EventError) -> None:
        if isinstance(outcome, EventError):
            if outcome.code == "stale_lease":
                self._end_lease(act)
            if not future.done():
                future.set_exception(outcome)
            return
        if outcome.duplicate:  # its first answer may never have come here
            self._end_lease(act)
        elif not isinstance(act, Extend):
            self._tell([outcome.order], act.delay if isinstance(act, Fail) else 0.0)
        if not future.done():
            future.set_result(outcome)

    def _end_lease(self, act: Act) -> None:
        if (queue := self._queue(act)) is not None:
            queue.end_lease(act.seq, act.token)

    def _queue(self, act: Act) -> Queue | None:
        queue = self._hub.rooms.get(act.queue_id)
        return queue if isinstance(queue, Queue) else None

    # -- What is wanted

    def _wanted(self, acts: list[Act]) -> list[tuple[Worker, Want]]:
        """What one turn takes. A queue with nobody free stays ready; the others are so again when
        there was all that was asked for, or at the next news."""
        ending = self._ending(acts)
        wanted: list[tuple[Worker, Want]] = []
        left = MOST
        for queue in list(self._ready):
            for worker in queue.workers.values():
                if most := min(worker.free_without(ending[worker]), left):
                    wanted.append((worker, Want(queue.id, worker.socket.user.id, worker.holder, most)))
                    left -= most
                    self._ready.pop(queue, None)
            if not queue.live:
                self._ready.pop(queue, None)
        return wanted

    def _ending(self, acts: list[Act]) -> dict[Worker, set[int]]:
        """What workers have in hand until these acts are settled."""
        ending: dict[Worker, set[int]] = defaultdict(set)
        for act in acts:
            queue = None if isinstance(act, Extend) else self._queue(act)
            if queue is None or (worker := queue.holder(act.seq, act.token)) is None:
                continue
            ending[worker].add(act.seq)
            if queue.ordered and isinstance(act, Done):
                self._ready[queue] = None  # the next one may go
        return ending

    def _give_all(self, wanted: list[tuple[Worker, Want]], taken: list[Leased]) -> None:
        workers = {(want.queue_id, want.holder): worker for worker, want in wanted}
        missing: Counter[Queue] = Counter()
        for worker, want in wanted:
            missing[worker.queue] += want.most
        for leased in taken:
            worker = workers[leased.order.queue_id, leased.holder]
            missing[worker.queue] -= 1
            self._give(worker, leased)
        self._tell([leased.order for leased in taken], 0.0)
        self._ready.update(dict.fromkeys(queue for queue, some in missing.items() if not some))

    def _give(self, worker: Worker, leased: Leased) -> None:
        if worker.queue.workers.get(worker.socket) is worker:
            worker.queue.give(worker, leased)
        elif worker.socket.closed != Close.GOING_AWAY:
            # The worker went while the order was taken for it, and never saw the token.
            self.give_back(worker, leased.order.seq, leased.token, leases.LOST)

    def give_back(self, worker: Worker, seq: int, token: str, reason: str) -> None:
        """Fail an order for its worker, as soon as that can be done."""
        act = Fail(worker.queue.id, seq, token, worker.socket.user.id, reason)
        self._hub.insist(partial(self._give_back, act))

    async def _give_back(self, act: Act) -> None:
        try:
            await self.settle(act)
        except EventError as refusal:
            if refusal.temporary:
                raise

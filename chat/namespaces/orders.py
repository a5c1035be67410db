"""Work queues: each order goes to one worker, until one has done it."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

from msgspec import Meta

from chat.delivery import leases, pools
from chat.delivery.entries import Draft
from chat.delivery.leases import Leased
from chat.errors import EventError
from chat.hub.queue import Worker
from chat.middleware import authenticated, member_of, rate_limit
from chat.namespace import Check, ClientId, Limit, Namespace, Seq, Slug, Socket, after_answer, on, register
from chat.services import queues
from chat.services.paging import fitting

from .chat import Ordering, check_may_create
from .shapes import Data, me

State = Literal["queued", "leased", "done", "dead", "buried"]
InFlight = Annotated[int, Meta(ge=1, le=100, description="an integer from 1 to 100")]
Token = Annotated[str, Meta(max_length=64, description="the token that came with the order")]
Delay = Annotated[float, Meta(description="seconds"), Check(queues.check_delay)]
#: For what many orders of a socket may be settled by at a time, in one transaction.
Unlined = Annotated[Slug, "no line"]


@register
class Orders(Namespace):
    path = "orders"
    middleware = (
        authenticated,
        rate_limit(),
        member_of("queue", roles=("owner", "moderator"), events=("order:revive", "order:bury")),
    )

    # Queues

    @on("queues")
    async def list_queues(
        self, socket: Socket, after: Slug | None = None, limit: Limit | None = None
    ) -> Data:
        return await pools.read(queues.list_queues, self.path, me(socket), after or "", limit)

    @on("queue:create")
    async def create_queue(
        self,
        socket: Socket,
        queue: Slug,
        name: str = "",
        ordering: Ordering = "ordered",
        lease_seconds: float = 30.0,
        max_attempts: int = 5,
    ) -> Data:
        """A new queue of one's own, as `queues` lists it. `conflict` where the name is taken."""
        check_may_create(socket, "queues")
        make = partial(
            queues.create,
            name=name,
            ordering=ordering,
            lease_seconds=lease_seconds,
            max_attempts=max_attempts,
        )
        made = await pools.write(make, self.path, me(socket), queue)
        return await pools.read(queues.describe, made)

    # Orders

    @on("order:create")
    async def create(self, socket: Socket, queue: Slug, client_id: ClientId, item: Any) -> Data:
        draft = Draft(self.path, queue, me(socket), client_id, "item", body=queues.as_json("item", item))
        receipt = await self.send(socket, draft)
        return {"queue": queue, "seq": receipt.seq, "duplicate": receipt.duplicate}

    @on("order:list")
    async def list_orders(
        self,
        socket: Socket,
        queue: Slug | None = None,
        state: State | None = None,
        before: Seq | None = None,
        limit: Limit | None = None,
    ) -> Data:
        """The newest first."""
        if before is not None and queue is None:
            raise EventError("bad_data", "`before` is a place in one queue: name the `queue`", field="before")
        return await pools.read(queues.list_orders, self.path, me(socket), queue, state, before, limit)

    # Watching

    @on("order:watch")
    @on("join")
    async def watch(self, socket: Socket, queue: Slug) -> Data:
        """From now on this socket hears what becomes of the orders."""
        found = await self.hub.queues.watch(socket, queue)
        return {"queue": queue, "counts": await pools.read(queues.counts, found)}

    @on("leave")
    async def unwatch(self, socket: Socket, queue: Slug) -> Data:
        if queue not in socket.rooms:
            raise EventError("not_found", f"this socket does not watch {queue!r}", field="queue")
        socket.leave(queue)
        return {"queue": queue}

    # Working. A worker is a socket; what it has in hand belongs to the person.

    @on("order:work")
    async def work(self, socket: Socket, queue: Slug, max_in_flight: InFlight = 1) -> Data:
        """Orders follow as `order` events, at most `max_in_flight` at a time."""
        worker, adopted = await self.hub.queues.work(socket, queue, max_in_flight)
        after_answer(worker.queue.wake)
        return {"leased": in_hand(worker, adopted)}

    @on("order:rest")
    async def rest(self, socket: Socket, queue: Slug) -> None:
        """Finish what is leased, take no more: after the answer nothing more comes."""
        await self.hub.queues.rest(socket, queue)

    @on("order:done")
    async def done(self, socket: Socket, queue: Unlined, seq: Seq, token: Token, result: Any = None) -> Data:
        queues.as_json("result", result, queues.RESULT)
        settled = await self.hub.queues.done(socket, queue, seq, token, result)
        return {"duplicate": settled.duplicate}

    @on("order:fail")
    async def fail(
        self, socket: Socket, queue: Unlined, seq: Seq, token: Token, reason: str, delay: Delay = 0.0
    ) -> Data:
        settled = await self.hub.queues.fail(socket, queue, seq, token, reason, delay)
        return {"state": settled.order.state, "attempts": settled.order.attempts}

    @on("order:extend")
    async def extend(self, socket: Socket, queue: Unlined, seq: Seq, token: Token) -> Data:
        settled = await self.hub.queues.extend(socket, queue, seq, token)
        return {"lease_until": settled.lease_until}

    async def disconnect(self, socket: Socket) -> None:
        self.hub.queues.farewell(socket)

    # The dead

    @on("order:revive")
    async def revive(self, socket: Socket, queue: Slug, seq: Seq) -> Data:
        """Queue it once more, as if it had never been leased."""
        order = await pools.write(leases.revive, self.path, queue, seq, me(socket))
        self.hub.queues.tell([order], event="order:revived")
        return order.as_dict()

    @on("order:bury")
    async def bury(self, socket: Socket, queue: Slug, seq: Seq) -> Data:
        """Give it up for good."""
        order = await pools.write(leases.bury, self.path, queue, seq, me(socket))
        self.hub.queues.tell([order])
        return order.as_dict()


def in_hand(worker: Worker, adopted: list[Leased]) -> list[Data]:
    """What a worker has, with the items of what it has just got from a socket that is gone: of
    as many as the answer holds, for the others there is `order:list`."""
    every = [
        {"seq": seq, "token": held.token, "attempts": held.attempts, "lease_until": held.lease_until}
        for seq, held in sorted(worker.held.items())
    ]
    items = {each.order.seq: each.order.item for each in adopted}
    full = fitting({**each, "item": items[each["seq"]]} for each in every if each["seq"] in items)
    return full + [each for each in every if each["seq"] not in {other["seq"] for other in full}]

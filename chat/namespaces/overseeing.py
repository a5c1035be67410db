"""What the staff look at: the sockets, the event log and the figures as they change, who is behind,
what died, what was reported, and what the staff did.
"""

from __future__ import annotations

import asyncio
from functools import partial

from chat.delivery import pools
from chat.namespace import Broadcast, Limit, RemoteSocket, Seq, Slug, Socket, on, on_server
from chat.services import deadletters, overview, reports
from chat.services.paging import clamp, fitting

from .settling import Settling, State
from .shapes import Data, me

ROOMS = 100  #: of a socket that are named


class Overseeing(Settling):
    # Sockets and figures

    @on("sockets:list")
    async def list_sockets(self, socket: Socket, after: str = "", limit: Limit | None = None) -> Data:
        """Those of every process that answers within a second, by their ids."""
        found = await self.hub.events.page_sockets(after, clamp(limit) + 1)
        fit = fitting(_as_listed(each) for each in found[: clamp(limit)])
        reply: Data = {"sockets": fit, "more": len(fit) < len(found)}
        if reply["more"]:
            reply["next"] = fit[-1]["sid"]
        return reply

    @on("stats")
    async def show_stats(self, socket: Socket) -> Data:
        counts, rest = await asyncio.gather(self.hub.events.count_sockets(), pools.read(overview.stats))
        return {"sockets": counts, **rest}

    @on("log:watch")
    async def watch(self, socket: Socket) -> None:
        """From now on each line of the event log, as a `log` event."""
        self.hub.activity.watch(socket)

    @on("log:unwatch")
    async def unwatch(self, socket: Socket) -> None:
        self.hub.activity.unwatch(socket)

    @on("metrics:watch")
    async def watch_metrics(self, socket: Socket) -> None:
        """From now on what all processes do, once a second, as a `metrics` event."""
        self.hub.metrics.watch(socket)

    @on("metrics:unwatch")
    async def unwatch_metrics(self, socket: Socket) -> None:
        self.hub.metrics.unwatch(socket)

    @on("lag")
    async def show_lag(
        self, socket: Socket, room: Slug | None = None, namespace: Slug = "chat", limit: Limit | None = None
    ) -> Data:
        """How far members are behind, those furthest first: by room, or in one room."""
        if room is None:
            return await pools.read(overview.lag, namespace, limit)
        return await pools.read(overview.lag_in, namespace, room, limit)

    # What died

    @on("deadletter:list")
    async def list_letters(
        self, socket: Socket, place: str | None = None, before: Seq | None = None, limit: Limit | None = None
    ) -> Data:
        return await pools.read(deadletters.page, place, before, limit)

    @on("deadletter:revive")
    async def revive(self, socket: Socket, letter: Seq) -> Data:
        """An order is queued once more, as if it had never been leased."""
        order = await pools.write(deadletters.revive, me(socket), letter)
        self.hub.queues.tell([order], event="order:revived")
        return {"letter": letter, "order": order.as_dict()}

    @on("deadletter:bury")
    async def bury(self, socket: Socket, letter: Seq) -> Data:
        """Give it up for good: an order, or what a member never got."""
        order = await pools.write(deadletters.bury, me(socket), letter)
        if order is not None:
            self.hub.queues.tell([order])
        return {"letter": letter, "order": order and order.as_dict()}

    # What was reported. The plain room `reports` hears of it.

    @on("report:list")
    async def list_reports(
        self,
        socket: Socket,
        room: Slug | None = None,
        namespace: Slug = "chat",
        state: State = "open",
        before: Seq | None = None,
        limit: Limit | None = None,
    ) -> Data:
        find = partial(
            reports.list_reports, room=room, namespace=namespace, state=state, before=before, limit=limit
        )
        return await pools.read(find, me(socket))

    # What the staff did

    @on("audit:list")
    async def list_acts(self, socket: Socket, before: Seq | None = None, limit: Limit | None = None) -> Data:
        return await pools.read(overview.list_acts, before, limit)

    # What other processes say

    @on_server("log")
    async def lines(self, lines: list[Data]) -> None:
        self.hub.activity.heard(lines)

    @on_server("log:watched")
    async def watched(self, _: None) -> None:
        self.hub.activity.watched_elsewhere()

    async def _find(self, sid: str) -> list[RemoteSocket]:
        """The socket of this id, in whichever namespace."""
        places = [Broadcast(path).to(sid) for path in self.hub.events.servers]
        found = await asyncio.gather(*(place.fetch_sockets() for place in places))
        # A room may have been named where an id belongs.
        return [socket for some in found for socket in some if socket.id == sid]


def _as_listed(socket: Data) -> Data:
    user = socket["user"]
    return {
        "sid": socket["id"],
        "user": user and {"id": user["id"], "name": user["name"]},
        "namespace": socket["namespace"],
        "rooms": socket["rooms"][:ROOMS],
        "lag": dict(list(socket["lag"].items())[:ROOMS]),
        "process": socket["process"],
        "connected_at": socket["connected_at"],
    }

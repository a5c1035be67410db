"""What this process has done, in counters that only grow, and what all processes do just now for
those of the staff who watch.

Counted a batch at a time, never a member at a time. What has to be looked up, such as lag, is
looked up once a second, and only while somebody watches.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from heapq import nlargest
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from ..delivery.entries import now, rfc3339
from ..delivery.histograms import SECONDS, Histogram
from ..delivery.journal import journal
from .addresses import Address, deliver

if TYPE_CHECKING:
    from .hub import Hub

TICK = 1.0  #: seconds between two `metrics` events
SLOWEST = 10  #: places that are named, those furthest behind
#: The plain room of the sockets that watch; no client can join it by name.
WATCHERS = "metrics:watch"

Counters = dict[str, Any]


class Metrics:
    """The counters of this process, written on its event loop alone."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.stored = 0  #: entries this process has committed
        self.delivered = 0  #: entries times the sockets that were in their rooms
        self.pushing = Histogram()  #: from an entry's commit until the last socket here was given it
        self.acking = Histogram()  #: from an entry's commit until one socket of a batch has acknowledged it
        self._before: dict[str, Counters] = {}  # by process, while somebody watches
        hub.every(self._tell)

    def pushed(self, entries: int, sockets: int, committed: float) -> None:
        """A batch has gone out to so many sockets."""
        self.delivered += entries * sockets
        self.pushing.add(time.monotonic() - committed, sockets)

    def acknowledged(self, committed: float) -> None:
        self.acking.add(time.monotonic() - committed)

    def counters(self) -> Counters:
        """As they stand, with the time by this process's clock."""
        places = self._places()
        return {
            "process": self._hub.process,
            "clock": time.monotonic(),
            "stored": self.stored,
            "delivered": self.delivered,
            "redelivered": self._hub.redelivered,
            "push": self.pushing.as_dict(),
            "ack": self.acking.as_dict(),
            "commit": journal.commit_seconds.as_dict(),
            "batch": journal.commit_entries.as_dict(),
            "sockets": self._hub.addresses.counts(),
            "slowest": nlargest(SLOWEST, places, key=itemgetter("lag")),
            "outbox": sum(socket.outbox.size for socket in self._hub.sockets),
        }

    def _places(self) -> Iterable[dict[str, Any]]:
        """Where a socket is behind in a room."""
        for room in list(self._hub.rooms.values()):
            for position in room.positions.values():
                if lag := position.lag:
                    user = position.member
                    yield {
                        "namespace": room.namespace,
                        "room": room.slug,
                        "user": {"id": user.user, "name": user.name},
                        "sid": position.socket.id,
                        "lag": lag,
                    }

    # -- To those who watch

    def watch(self, socket: Any) -> None:
        self._hub.addresses.join(socket, WATCHERS)

    def unwatch(self, socket: Any) -> None:
        self._hub.addresses.leave(socket, WATCHERS)

    async def _tell(self) -> float:
        began = self._hub.now()
        watchers = Address("admin", (WATCHERS,))
        if not self._hub.addresses.reached(watchers):
            self._before = {}
            return TICK
        found = {each["process"]: each for each in await self._hub.events.read_counters()}
        before, self._before = self._before, found
        if before:
            alive = await self._hub.processes.alive()
            event = {**summarize(before, found), "processes": len(found), "of": len(alive | found.keys())}
            deliver(self._hub.addresses.reached(watchers), "metrics", event, volatile=True)
        return max(0.1, began + TICK - self._hub.now())


def summarize(before: dict[str, Counters], after: dict[str, Counters]) -> dict[str, Any]:
    """What happened in between, a second; and how things stand now."""
    known = [(before[process], each) for process, each in after.items() if process in before]
    sockets: Counter[str] = Counter()
    for each in after.values():
        sockets.update(each["sockets"])
    slowest = [place for each in after.values() for place in each["slowest"]]
    slowest = nlargest(SLOWEST, slowest, key=itemgetter("lag"))
    return {
        "at": rfc3339(now()),
        **{key: _rate(key, known) for key in ("stored", "delivered", "redelivered")},
        **{key: _quantiles(_grown(key, known)) for key in ("push", "ack")},
        "sockets": dict(sockets),
        "lag": slowest[0]["lag"] if slowest else 0,
        "slowest": slowest,
        "outbox": sum(each["outbox"] for each in after.values()),
    }


def _rate(key: str, known: list[tuple[Counters, Counters]]) -> float:
    """Of all processes, each by its own clock."""
    rates = [(after[key] - before[key]) / (after["clock"] - before["clock"]) for before, after in known]
    return round(sum(rates), 1)


def _grown(key: str, known: list[tuple[Counters, Counters]]) -> list[int]:
    """The counts of durations that came in between, of all processes."""
    each = ([new - old for old, new in zip(*(c[key]["counts"] for c in pair), strict=True)] for pair in known)
    return [sum(column) for column in zip(*each, strict=True)]


def _quantiles(counts: Sequence[int]) -> dict[str, float] | None:
    """In milliseconds; None where nothing happened."""
    if not sum(counts):
        return None
    return {f"p{percent}": round(1000 * quantile(counts, percent / 100), 2) for percent in (50, 99)}


def quantile(counts: Sequence[int], share: float) -> float:
    """Seconds below which this share of the durations lies, by a straight line through its class."""
    wanted = share * sum(counts)
    ends = [0.0, *SECONDS, SECONDS[-1]]  # what took longer than the last bound counts as that
    for (low, high), upto, count in zip(pairwise(ends), accumulate(counts), counts, strict=True):
        if count and upto >= wanted:
            return low + (high - low) * (1 - (upto - wanted) / count)
    return 0.0


def committed_by(at: str) -> float:
    """When an entry was committed by the clock of this process, going by the time it bears: for
    those of other processes."""
    return time.monotonic() - max(0.0, time.time() - datetime.fromisoformat(at).timestamp())

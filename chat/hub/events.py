"""Events without history: to sockets of this process and of the others, at most once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

from ..models import Message
from ..wire.lines import lines
from ..wire.socketio import RESERVED
from . import hints
from .addresses import Address, deliver
from .peers import Peers, Question

if TYPE_CHECKING:
    from .hub import Hub

LARGEST_ID = 2**53
SOME = 100  #: sockets that are described at a time


def check_event(event: str) -> None:
    """Raises ValueError for a kind of entry (those come from a room's log alone) and for names
    that mean something else to every client."""
    if not isinstance(event, str):
        raise TypeError(f"an event's name is a str, got {event!r}")
    if event in Message.Kind.values:
        raise ValueError(f"{event!r} is a kind of entry; it comes from a room's log")
    if event in RESERVED:
        raise ValueError(f"{event!r} is a name that clients keep for themselves; take another")


def as_json(event: str, data: Any) -> Any:
    """The data in JSON's own types. Raises ValueError for such an event and for data that fits
    no frame, TypeError for data that is no JSON: here, and not where it can't be sent."""
    check_event(event)
    lines.event(event, data, LARGEST_ID)
    return msgspec.to_builtins(data, str_keys=True, builtin_types=(bytes,))


class Events:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._questions: dict[str, Question] = {
            "sockets": self._describe,
            "page": self._describe_page,
            "counts": self._count,
            "counters": self._read_counters,
            "emit": self._emit_and_answer,
        }
        self._peers = Peers(hub, self._questions)
        #: Where a namespace hears what it says to itself in other processes.
        self.servers: dict[str, Callable[[str, Any], None]] = {}

    def heard(self, hint: dict[str, Any]) -> None:
        """From another process."""
        if "emit" in hint:
            self.emit_here(hint["emit"])
        elif "question" in hint:
            self._peers.questioned(hint)
        elif "answer" in hint:
            self._peers.answered(hint)
        elif (listen := self.servers.get(hint.get("server", ""))) is not None:
            listen(hint["event"], hint["data"])

    def emit(
        self, address: Address, event: str, data: Any, *, volatile: bool = False, local: bool = False
    ) -> None:
        """To the sockets of every process, or with `local` of this one."""
        message = {"address": address.as_dict(), "event": event, "data": data, "volatile": volatile}
        self.emit_here(message)
        if not local:
            self._hub.hints.publish(hints.SITE, {"emit": message})

    def emit_here(self, message: dict[str, Any]) -> None:
        """To this process's sockets."""
        sockets = self._hub.addresses.reached(Address(**message["address"]))
        deliver(sockets, message["event"], message["data"], volatile=message.get("volatile", False))

    async def emit_and_wait(
        self,
        address: Address,
        event: str,
        data: Any,
        timeout: float,  # noqa: ASYNC109
        *,
        local: bool = False,
    ) -> dict[str, Any]:
        """Ask each socket for an ack: `{"answers": {sid: data}, "missing": [sid]}`."""
        message = {"address": address.as_dict(), "event": event, "data": data, "timeout": timeout}
        everyone: dict[str, Any] = {"answers": {}, "missing": []}
        for some in await self._gather("emit", message, timeout, local):
            everyone["answers"].update(some["answers"])
            everyone["missing"] += some["missing"]
        return everyone

    async def find_sockets(self, address: Address, *, local: bool = False) -> list[dict[str, Any]]:
        """What `Socket.describe` says of each socket."""
        found = await self._gather("sockets", {"address": address.as_dict()}, 0.0, local)
        return [socket for some in found for socket in some]

    async def page_sockets(self, after: str, limit: int) -> list[dict[str, Any]]:
        """The first sockets of all namespaces whose id comes after this one."""
        pages = await self._gather("page", {"after": after, "limit": limit}, 0.0, False)
        return sorted((socket for page in pages for socket in page), key=itemgetter("id"))[:limit]

    async def count_sockets(self) -> dict[str, int]:
        """How many sockets each namespace has in all processes."""
        counts: Counter[str] = Counter()
        for some in await self._gather("counts", {}, 0.0, False):
            counts.update(some)
        return dict(counts)

    async def read_counters(self) -> list[dict[str, Any]]:
        """`Metrics.counters` of every process that answers."""
        return await self._gather("counters", {}, 0.0, False)

    def server_emit(self, namespace: str, event: str, data: Any) -> None:
        """To the namespace itself in the other processes."""
        self._hub.hints.publish(hints.SITE, {"server": namespace, "event": event, "data": data})

    # -- Questions, to this process and the others

    async def _gather(
        self,
        question: str,
        message: dict[str, Any],
        timeout: float,  # noqa: ASYNC109
        local: bool,
    ) -> list[Any]:
        here = self._questions[question](message)
        if local:
            return [await here]
        answer, others = await asyncio.gather(here, self._peers.ask(question, timeout, message))
        return [answer, *others]

    async def _emit_and_answer(self, message: dict[str, Any]) -> dict[str, Any]:
        sockets = self._hub.addresses.reached(Address(**message["address"]))
        waiting = {socket.id: socket.ask(message["event"], message["data"]) for socket in sockets}
        if waiting:
            await asyncio.wait(waiting.values(), timeout=message["timeout"])
        answers, missing = {}, []
        for sid, answer in waiting.items():
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                answers[sid] = answer.result()
            else:
                answer.cancel()
                missing.append(sid)
        return {"answers": answers, "missing": missing}

    async def _describe(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        """Thousands take a while: between some of them and the next everything else has its turn."""
        sockets = self._hub.addresses.reached(Address(**message["address"]))
        described = []
        for start in range(0, len(sockets), SOME):
            described += [socket.describe() for socket in sockets[start : start + SOME]]
            await asyncio.sleep(0)
        return described

    async def _describe_page(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        page = self._hub.addresses.page(message["after"], message["limit"])
        return [{**socket.describe(), "lag": self._hub.lags(socket)} for socket in page]

    async def _read_counters(self, _: dict[str, Any]) -> dict[str, Any]:
        return self._hub.metrics.counters()

    async def _count(self, _: dict[str, Any]) -> dict[str, int]:
        return self._hub.addresses.counts()

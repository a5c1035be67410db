"""A worker as a process of its own, to be killed: `python -m tests.faults.worker '{…}'`.

What it was given and how it was answered goes into a file, a line at a time, each before
what follows from it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import sys
import time
from dataclasses import dataclass
from typing import Any

from tests.support import Client, Refused
from tests.support.client import Packet

from .conversation import BROKEN, backoff


@dataclass
class Settings:
    name: str
    ws: str
    token: str
    queue: str
    history: str
    max_in_flight: int
    lease_seconds: float
    late: float  # seconds after its lease with which a `slow` order is done
    seed: int


class Worker:
    """Does what the order's item says. An answer that is lost is asked for again with the same
    token, over the next connection."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.chance = random.Random(settings.seed)
        self._history = os.open(settings.history, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._tasks: dict[str, asyncio.Task[None]] = {}  # by token
        self._client: Client | None = None
        self._connected = asyncio.Event()

    async def run(self) -> None:
        while True:
            with contextlib.suppress(*BROKEN):
                await self._serve(await Client.open(self.settings.ws, "orders", token=self.settings.token))
            await backoff(self.chance)

    async def _serve(self, client: Client) -> None:
        answer = await client.call(
            "order:work", {"queue": self.settings.queue, "max_in_flight": self.settings.max_in_flight}
        )
        for leased in answer["leased"]:
            self._begin(leased)
        self._client = client
        self._connected.set()
        try:
            while True:
                self._begin((await client.expect("order"))["data"])
        finally:
            self._connected.clear()
            self._note("lost")
            await client.drop()

    def _begin(self, order: Packet) -> None:
        token = order["token"]
        if token in self._tasks or "item" not in order:
            return
        self._note("given", order, attempts=order["attempts"], until=order["lease_until"])
        self._tasks[token] = task = asyncio.create_task(self._work(order))
        task.add_done_callback(lambda _: self._tasks.pop(token))

    async def _work(self, order: Packet) -> None:
        """`fine`, `hopeless` (fails always), `flaky` (fails once), `slow` (longer than the lease) or
        `long` (extends it)."""
        kind, first = order["item"]["kind"], order["attempts"] == 1
        await asyncio.sleep(self.chance.uniform(0, 0.01))
        if kind == "slow" and first:
            await asyncio.sleep(self.settings.lease_seconds + self.settings.late)
        if kind == "long" and not await self._extend(order):
            return
        if kind == "hopeless" or (kind == "flaky" and first):
            self._note("failing", order)
            answer = await self._settle("order:fail", order, reason="as it was told", delay=0.05)
            if answer is not None:
                self._note("failed", order, **answer)
        else:
            self._note("doing", order)
            answer = await self._settle("order:done", order, result=order["item"]["n"])
            if answer is not None:
                self._note("done", order, **answer)

    async def _extend(self, order: Packet) -> bool:
        for _ in range(4):
            await asyncio.sleep(0.4 * self.settings.lease_seconds)
            answer = await self._settle("order:extend", order)
            if answer is None:
                return False
            self._note("extended", order, until=answer["lease_until"])
        return True

    async def _settle(self, event: str, order: Packet, **more: Any) -> Packet | None:
        """The answer; None where the lease counts no more."""
        data = {"queue": order["queue"], "seq": order["seq"], "token": order["token"], **more}
        while True:
            await self._connected.wait()
            assert self._client is not None
            try:
                answer: Packet = await self._client.call(event, data)
                return answer
            except Refused as refused:
                if not refused.temporary:
                    self._note("stale" if refused.code == "stale_lease" else refused.code, order)
                    return None
            except BROKEN:
                pass
            await backoff(self.chance)

    def _note(self, what: str, order: Packet | None = None, **more: Any) -> None:
        line = {"what": what, "worker": self.settings.name, "at": time.time(), **more}
        if order is not None:
            line |= {"seq": order["seq"], "token": order["token"]}
        os.write(self._history, json.dumps(line).encode() + b"\n")


if __name__ == "__main__":
    asyncio.run(Worker(Settings(**json.loads(sys.argv[1]))).run())

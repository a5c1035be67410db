"""What is measured: a busy room, a pair, a steady stream, and what an idle connection costs."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

import psutil  # type: ignore[import-untyped]

from tests.support import Server

from .client import Member, Run, Sender, connect

IDLE_BEFORE, IDLE = 50, 1_000


@dataclass
class Result:
    """Rates a second, times in milliseconds, CPU as a share of one core."""

    deliveries: float = 0
    stored: float = 0
    ack_p50: float = 0
    ack_p99: float = 0
    delivery_p50: float = 0
    delivery_p99: float = 0
    server_cpu: float = 0
    client_cpu: float = 0
    bytes_a_connection: int = 0

    def as_dict(self) -> dict[str, float]:
        return {name: round(value, 3) for name, value in asdict(self).items() if value}


class Room:
    """A room full of sockets on a server."""

    def __init__(self, server: Server, *, members: int, senders: int, in_flight: int = 0) -> None:
        people = server.people(members)
        self.run = Run(server.room(members=people))
        self.senders = [Sender(self.run, in_flight) for _ in range(senders)]
        listeners = [Member(self.run, auditor=n == 0) for n in range(members - senders)]
        self.members: list[Member] = [*self.senders, *listeners]
        self._server = server
        self._people = people

    async def __aenter__(self) -> Room:
        await connect(self._server.ws, self._people, self.members)
        self._sweep = asyncio.create_task(self._acknowledge())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._sweep.cancel()
        for member in self.members:
            member.leave()

    async def _acknowledge(self) -> None:
        """What isn't acknowledged by number is acknowledged once a second."""
        while True:
            await asyncio.sleep(1)
            for member in self.members:
                member.acknowledge()

    async def measure(self, seconds: float, warm_up: float, talk: Callable[[], Awaitable[None]]) -> Result:
        """The rates over `seconds`, once `talk` has gone on for `warm_up`."""
        server = psutil.Process(self._server.pid)
        self.run.talking = True
        talking = asyncio.ensure_future(talk())
        await asyncio.sleep(warm_up)
        self.run.ack_times.clear()
        self.run.delivery_times.clear()
        before = self._snapshot(server)
        await asyncio.sleep(seconds)
        after = self._snapshot(server)
        acks, deliveries = sorted(self.run.ack_times), sorted(self.run.delivery_times)
        self.run.talking = False
        await talking
        await self._settle()
        taken, *rates = (b - a for a, b in zip(before, after, strict=True))
        stored, delivered, server_cpu, client_cpu = (each / taken for each in rates)
        return Result(
            delivered, stored, quantile(acks, 0.5), quantile(acks, 0.99),
            quantile(deliveries, 0.5), quantile(deliveries, 0.99), server_cpu, client_cpu,
        )  # fmt: skip

    def _snapshot(self, server: psutil.Process) -> tuple[float, ...]:
        cpu = server.cpu_times()
        return (
            time.monotonic(),
            self.run.acks,
            sum(member.count for member in self.members),
            cpu.user + cpu.system,
            time.process_time(),
        )

    async def _settle(self) -> None:
        """Every member has every message, none twice: else the rates are worth nothing."""
        deadline = time.monotonic() + 30
        while not (self._all_there() or self.run.failures or time.monotonic() > deadline):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        counts = {member.count for member in self.members}
        if self.run.failures or counts != {self.run.acks}:
            raise RuntimeError(f"{self.run.acks} stored, {counts} received; {self.run.failures[:3]}")

    def _all_there(self) -> bool:
        silent = not any(sender.waiting for sender in self.senders)
        return silent and all(member.seq == self.run.head for member in self.members)


async def flood(server: Server, seconds: float, *, members: int, senders: int, in_flight: int) -> Result:
    """Each sender keeps so many in flight."""
    async with Room(server, members=members, senders=senders, in_flight=in_flight) as room:

        async def talk() -> None:
            for sender in room.senders:
                sender.start()

        return await room.measure(seconds, 1, talk)


async def stream(server: Server, seconds: float, *, members: int, senders: int, rate: float) -> Result:
    """So many messages a second, evenly, the senders taking turns."""
    async with Room(server, members=members, senders=senders) as room:

        async def talk() -> None:
            start, sent = time.monotonic(), 0
            while room.run.talking:
                room.senders[sent % senders].speak()
                sent += 1
                await asyncio.sleep(start + sent / rate - time.monotonic())

        return await room.measure(seconds, 1, talk)


async def memory(server: Server, connections: int = IDLE) -> Result:
    """What an idle, joined connection adds to the server's resident memory."""
    async with Room(server, members=IDLE_BEFORE, senders=0):
        before = server.memory()
        async with Room(server, members=connections, senders=0):
            return Result(bytes_a_connection=(server.memory() - before) // connections)


def quantile(ascending: list[int], share: float) -> float:
    return ascending[int(share * (len(ascending) - 1))] / 1e6 if ascending else 0.0


def without_collector() -> None:
    """The client's garbage is freed by counting; a collection would show up as latency."""
    gc.freeze()
    gc.disable()

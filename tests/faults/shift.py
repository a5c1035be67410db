"""Four workers and their orders, while workers and servers are killed."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
import uuid
from pathlib import Path

from chat.models import Lease
from tests.support import Client, Person, Server
from tests.support.server import ROOT, fresh, with_parent

from .conversation import back_later, backoff
from .orders import Line, OrderHistory
from .worker import Settings

#: What orders are like, in shares of a hundred.
KINDS = {"fine": 93, "hopeless": 2, "flaky": 2, "slow": 2, "long": 1}
BATCH = 200  #: orders under way to the server
LOOK = 0.05  #: seconds between two looks at how far the work is


class Shift:
    """`await Shift(server, seed, …).run()` returns the history."""

    def __init__(
        self,
        server: Server,
        seed: int,
        directory: Path,
        *,
        orders: int,
        kills: int,
        server_kills: int = 0,
        ordered: bool = False,
        workers: int = 4,
        max_in_flight: int = 10,
        lease_seconds: float = 2.0,
        late: float = 1.5,
        max_attempts: int = 5,
        patience: float = 60.0,
    ) -> None:
        self.server = server
        self.chance = random.Random(seed)
        self.history = OrderHistory(max_attempts, ordered)
        self.orders = orders
        self.patience = patience
        self.seconds = 0.0
        self._file = directory / "history.jsonl"
        self._max_in_flight, self._lease_seconds, self._late = max_in_flight, lease_seconds, late
        people = server.people(workers, "worker")
        ordering = "ordered" if ordered else "unordered"
        policy = {"lease_seconds": lease_seconds, "max_attempts": max_attempts, "ordering": ordering}
        self.queue = server.room("shift", [people[0]], namespace="orders", kind="queue", **policy)
        self._workers: list[tuple[Person, str, subprocess.Popen[bytes]]] = [
            (person, *self._hire(person)) for person in people
        ]
        deaths = ["worker"] * kills + ["server"] * server_kills
        self.chance.shuffle(deaths)
        self._deaths = deaths
        self._server_kills = server_kills

    async def run(self) -> OrderHistory:
        alice = self.server.person("alice")
        watcher = await Client.open(self.server.ws, "orders", token=alice.token)
        await watcher.call("order:watch", {"queue": self.queue})
        began = time.monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._create(alice))
                await self._break_things()
                await self._until(self.orders, time.monotonic() + self.patience)
            self.seconds = time.monotonic() - began
            await self._all_answered(time.monotonic() + self.patience)
            self.history.final = await asyncio.to_thread(self.server.django, final, self.queue)
            if not self._server_kills:
                self.history.heard = await self._heard(watcher)
        finally:
            for _, _, process in self._workers:
                process.kill()
                process.wait()
            await watcher.drop()
        self.history.lines = sorted(self._lines(), key=lambda line: float(line["at"]))
        return self.history

    def _lines(self) -> list[Line]:
        return [json.loads(line) for line in self._file.read_text().splitlines()]

    # Orders

    async def _create(self, person: Person) -> None:
        kinds = self.chance.choices(list(KINDS), list(KINDS.values()), k=self.orders)
        left = [(str(uuid.UUID(int=self.chance.getrandbits(128))), n) for n in range(self.orders)]
        while left:
            with back_later():
                client = await Client.open(self.server.ws, "orders", token=person.token)
                try:
                    while left:
                        await self._send(client, left[:BATCH], kinds)
                        del left[:BATCH]
                finally:
                    await client.drop()
            await backoff(self.chance)

    async def _send(self, client: Client, batch: list[tuple[str, int]], kinds: list[str]) -> None:
        answers = [
            await client.submit(
                "order:create",
                {"queue": self.queue, "client_id": client_id, "item": {"n": n, "kind": kinds[n]}},
            )
            for client_id, n in batch
        ]
        for (_, n), answer in zip(batch, answers, strict=True):
            async with asyncio.timeout(30):
                self.history.created[(await answer)["seq"]] = kinds[n]

    # Deaths

    async def _break_things(self) -> None:
        for number, death in enumerate(self._deaths, 1):
            await self._until(
                self.orders * number // (len(self._deaths) + 1), time.monotonic() + self.patience
            )
            await asyncio.sleep(self.chance.uniform(0, 0.2))
            if death == "worker":
                await asyncio.to_thread(self._replace, self.chance.randrange(len(self._workers)))
            else:
                await asyncio.to_thread(self.server.kill)
                self.server.launch()
                await asyncio.to_thread(self.server.wait)

    def _hire(self, person: Person) -> tuple[str, subprocess.Popen[bytes]]:
        settings = Settings(
            fresh(person.name), self.server.ws, person.token, self.queue, str(self._file),
            self._max_in_flight, self._lease_seconds, self._late, self.chance.getrandbits(32),
        )  # fmt: skip
        command = [*with_parent(), sys.executable, "-m", "tests.faults.worker", json.dumps(vars(settings))]
        return settings.name, subprocess.Popen(command, cwd=ROOT, env=self.server.environment)

    def _replace(self, place: int) -> None:
        """SIGKILL, and the same person comes back with another process."""
        person, name, process = self._workers[place]
        self.history.kills.append((name, time.time()))
        process.kill()
        process.wait()
        self._workers[place] = (person, *self._hire(person))

    async def _until(self, finished: int, deadline: float) -> None:
        """Wait until so many orders are finished; what never is, is for the checker to say."""
        while await asyncio.to_thread(self.server.django, count_finished, self.queue) < finished:
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(LOOK)

    async def _all_answered(self, deadline: float) -> None:
        """Wait for those who are late: what they are answered matters, too."""
        while time.monotonic() < deadline:
            living = {name for _, name, _ in self._workers}
            lines = [line for line in self._lines() if line["worker"] in living and "token" in line]
            answered = {line["token"] for line in lines if line["what"] in ("done", "failed", "stale")}
            if all(line["token"] in answered for line in lines):
                return
            await asyncio.sleep(LOOK)

    async def _heard(self, watcher: Client) -> list[tuple[str, int]]:
        """All that the watcher hears, up to the end of what is on its way."""
        await watcher.call("order:list", {"queue": self.queue, "limit": 1})
        return [
            (packet["event"], packet["data"]["seq"])
            for packet in watcher.packets
            if packet.get("event", "").startswith("order:")
        ]


def count_finished(queue: str) -> int:
    return Lease.objects.filter(room__slug=queue, state__in=("done", "dead")).count()


def final(queue: str) -> dict[int, tuple[str, int]]:
    rows = Lease.objects.filter(room__slug=queue).values_list("seq", "state", "attempts")
    return {seq: (state, attempts) for seq, state, attempts in rows}

"""People who talk in a room while things break around them, by the client's rules."""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import WebSocketException

from tests.support import Client, History, Person, Proxy, Refused, Server
from tests.support.client import Closed, Packet

#: What a client comes back from.
BROKEN = (Closed, OSError, EOFError, TimeoutError, WebSocketException)
IN_FLIGHT = 8
RECEIVED_EVERY = 64


@dataclass
class Sender:
    """Keeps an outbox: a message has its `client_id` before the first try, leaves the outbox at
    its ack, and after a reconnect everything goes again from the first unanswered one, in order.
    """

    person: Person
    room: str
    proxy: Proxy
    history: History
    outbox: deque[tuple[str, str]]
    chance: random.Random
    #: How many of its messages get their answer dropped and the connection reset.
    lost_acks: float = 0.0
    #: Called when a message goes out, and when one is acknowledged.
    on_send: Callable[[], None] = lambda: None
    on_ack: Callable[[], None] = lambda: None
    connections: int = 0

    async def run(self) -> None:
        while self.outbox:
            with back_later():
                client = await Client.open(self.proxy.ws, token=self.person.token)
                self.connections += 1
                try:
                    while self.outbox:
                        await self._send(client)
                finally:
                    await client.drop()
            await backoff(self.chance)

    async def _send(self, client: Client) -> None:
        """Sends from the first unanswered one on, until one is refused for now."""
        flying: deque[tuple[tuple[str, str], asyncio.Future[Any]]] = deque()
        fresh: Iterator[tuple[str, str]] = iter(list(self.outbox))
        refused = False
        while True:
            while not refused and len(flying) < IN_FLIGHT and (message := next(fresh, None)):
                flying.append((message, await self._submit(client, message)))
            if not flying:
                return
            message, answer = flying.popleft()
            try:
                async with asyncio.timeout(30):
                    ack = await answer
            except Refused as error:
                if not error.temporary:
                    raise
                # Those behind it are refused too; all answers come before it goes again.
                refused = True
                continue
            self.history.ack(self.person.name, message[0], ack["seq"])
            self.outbox.remove(message)
            self.on_ack()

    async def _submit(self, client: Client, message: tuple[str, str]) -> asyncio.Future[Any]:
        client_id, body = message
        self.history.attempt(self.person.name, client_id, body)
        if self.chance.random() < self.lost_acks:
            self.proxy.lose_answer()
        answer = await client.submit("message", {"room": self.room, "client_id": client_id, "body": body})
        self.on_send()
        return answer


@dataclass
class Member:
    """Acknowledges what it gets and comes back for what it missed."""

    person: Person
    room: str
    proxy: Proxy
    history: History
    chance: random.Random
    on_entry: Callable[[], None] = lambda: None
    last: int = 0
    _last_id: str | None = None
    _epoch: str | None = None
    _open: list[int] = field(default_factory=list)
    _due: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        while True:
            with back_later():
                client = await Client.open(self.proxy.ws, token=self.person.token)
                client.on_entry = self._take
                try:
                    await self._listen(client)
                finally:
                    await client.drop()
            await backoff(self.chance)

    async def _listen(self, client: Client) -> None:
        known = {"epoch": self._epoch, "after_client_id": self._last_id} if self.last else {}
        joined = await client.join(self.room, after=self.last, **known)
        if joined.get("reset"):
            self.history.resets.append(f"{self.person.name} came back at {self.last}: {joined}")
        self._epoch = joined["epoch"]
        while client.close_code is None:
            with contextlib.suppress(TimeoutError):
                # Not wait_for: in Python 3.11 that can swallow a cancellation.
                async with asyncio.timeout(0.2):
                    await self._due.wait()
            self._due.clear()
            received, self._open = self._open, []
            if received:
                await client.received(self.room, max(received) if self.history.ordered else received)

    def _take(self, entry: Packet) -> None:
        data = entry["data"]
        self.history.delivery(
            self.person.name,
            entry["seq"],
            entry["from"]["name"],
            data.get("client_id", ""),
            data.get("body", ""),
        )
        if entry["seq"] > self.last:
            self.last, self._last_id = entry["seq"], data.get("client_id")
        self._open.append(entry["seq"])
        if len(self._open) >= RECEIVED_EVERY:
            self._due.set()
        self.on_entry()


class Conversation:
    """`await Conversation(server, seed, …).run()` returns the history.

    The server is killed (or ended otherwise, by `end`) `kills` times, evenly over the messages:
    every other time within milliseconds of a message, otherwise at any moment.
    """

    def __init__(
        self,
        server: Server,
        seed: int,
        *,
        messages: int,
        kills: int,
        senders: int = 5,
        members: int = 10,
        lost_acks: float = 0.01,
        patience: float = 30,
        end: Callable[[Server], object] = Server.kill,
        ordered: bool = True,
    ) -> None:
        self.server = server
        self.chance = random.Random(seed)
        self.history = History(ordered=ordered)
        self.messages = messages
        self.kills = kills
        self.lost_acks = lost_acks
        self.patience = patience
        self.end = end
        self.connections = 0
        self.lost_answers = 0
        self._acknowledged = 0
        self._news = asyncio.Event()
        self._sent = asyncio.Event()
        people = server.people(senders + members)
        self.room = server.room(members=people, ordering="ordered" if ordered else "unordered")
        self._senders, self._members = people[:senders], people[senders:]

    async def run(self) -> History:
        async with contextlib.AsyncExitStack() as stack:
            members = [await self._member(stack, person) for person in self._members]
            senders = [await self._sender(stack, person, n) for n, person in enumerate(self._senders)]
            async with asyncio.TaskGroup() as group:
                listening = [group.create_task(member.run()) for member in members]
                talking = [group.create_task(sender.run()) for sender in senders]
                await self._break_things(members)
                await asyncio.gather(*talking)
                await self._all_received(members)
                for task in listening:
                    task.cancel()
            self.connections = sum(sender.connections for sender in senders)
            self.lost_answers = sum(sender.proxy.lost_answers for sender in senders)
        return self.history

    async def _member(self, stack: contextlib.AsyncExitStack, person: Person) -> Member:
        self.history.member(person.name)
        proxy = await stack.enter_async_context(Proxy(self.server.port))
        return Member(person, self.room, proxy, self.history, self._dice(), self._news.set)

    async def _sender(self, stack: contextlib.AsyncExitStack, person: Person, number: int) -> Sender:
        count = len(range(number, self.messages, len(self._senders)))
        outbox = deque((self._uuid(), f"{person.name} says {n}") for n in range(count))
        proxy = await stack.enter_async_context(Proxy(self.server.port))
        return Sender(
            person, self.room, proxy, self.history, outbox, self._dice(), self.lost_acks,
            on_send=self._sent.set, on_ack=self._count,
        )  # fmt: skip

    def _dice(self) -> random.Random:
        return random.Random(self.chance.random())

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))

    def _count(self) -> None:
        self._acknowledged += 1
        self._news.set()

    async def _break_things(self, members: list[Member]) -> None:
        for number in range(1, self.kills + 1):
            share = self.messages * number // (self.kills + 1)
            await self._until(lambda share=share: self._acknowledged >= share)  # type: ignore[misc]
            self.chance.choice(members).proxy.cut()
            if number % 2:
                self._sent.clear()
                await self._sent.wait()
                await asyncio.sleep(self.chance.uniform(0, 0.005))
            else:
                await asyncio.sleep(self.chance.uniform(0, 0.2))
            # In a thread: a server that stops in order waits for its clients, who live here.
            await asyncio.to_thread(self.end, self.server)
            self.server.launch()
            await asyncio.to_thread(self.server.wait)

    async def _all_received(self, members: list[Member]) -> None:
        """Waits; what doesn't come is for the checker to say."""
        head = max(seq for _, _, seq in self.history.acks)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.patience):
                await self._until(lambda: all(member.last >= head for member in members))

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._news.clear()
            await self._news.wait()


@contextlib.contextmanager
def back_later() -> Iterator[None]:
    try:
        yield
    except BROKEN:
        pass
    except Refused as error:
        if not error.temporary:
            raise


async def backoff(chance: random.Random) -> None:
    await asyncio.sleep(chance.uniform(0.01, 0.1))

"""The same room over Socket.IO's WebSockets, against Socket.IO's own server on Node: there an application
that numbers messages and sends them to a room, without storing or asking anything.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from picows import WSFrame, WSMsgType, WSTransport, ws_connect

from tests.support import Person, Server, npm
from tests.support.engine import SOCKET, query
from tests.support.server import HOST, with_parent

from .client import BODY, SEQ, Member, Run, Sender, number
from .works import Result, Room

ENTRY, ANSWER, COME, OPEN, PING, PONG = (
    b'42/chat,["message"', b"43/chat,", b"40/chat,", b"0{", b"2", "3",
)  # fmt: skip


class Listener(Member):
    """Each frame holds one packet."""

    person: Person

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is not WSMsgType.TEXT:
            return
        packet = frame.get_payload_as_bytes()
        if packet.startswith(ENTRY):
            at = packet.find(SEQ)
            self.take(packet, at, packet, at)
        elif packet.startswith(ANSWER):
            self.answered(packet)
        elif packet == PING:
            self.send(PONG)
        elif packet.startswith(OPEN):
            self.send(f'40/chat,{{"token":"{self.person.token}"}}')
        elif packet.startswith(COME):
            self.send(f'42/chat,0["join",{{"room":"{self.run.room}"}}]')

    def acknowledge(self) -> None:
        """Stock clients don't."""


class Speaker(Listener, Sender):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        Listener.on_ws_frame(self, transport, frame)

    def speak(self) -> None:
        self._id += 1
        now = self._sent[self._id] = time.monotonic_ns()
        self.send(
            f'42/chat,{self._id}["message",{{"room":"{self.run.room}",'
            f'"client_id":"{self._prefix}{now:020d}","body":"{BODY}"}}]'
        )

    def answered(self, line: bytes) -> None:
        started = self._sent.pop(number(line, len(ANSWER)), None)
        if started is None:
            Listener.answered(self, line)
        elif b'"error"' in line[:64]:
            self.run.fail(line.decode())
        else:
            self.run.acks += 1
            self.run.ack_times.append(time.monotonic_ns() - started)
            self.run.head = max(self.run.head, number(line, line.index(SEQ) + len(SEQ)))
            if self.run.talking and self.in_flight:
                self.speak()


class SocketIORoom(Room):
    def __init__(self, server: Any, *, members: int, senders: int, in_flight: int) -> None:
        people = server.people(members)
        self.run = Run(server.room(members=people))
        self.senders = [Speaker(self.run, in_flight) for _ in range(senders)]
        self.members = [*self.senders, *(Listener(self.run) for _ in range(members - senders))]
        self._server = server
        for person, member in zip(people, self.members, strict=True):
            member.person = person  # type: ignore[attr-defined]

    async def __aenter__(self) -> SocketIORoom:
        await come(f"{self._server.ws}{SOCKET}?{query('websocket')}", self.members)
        self._sweep = asyncio.create_task(self._acknowledge())
        return self


async def come(url: str, members: Iterable[Member]) -> None:
    """Connects and joins them, 50 at a time."""
    arriving = asyncio.Semaphore(50)

    async def one(member: Member) -> None:
        async with arriving:
            await ws_connect(lambda: member, url, websocket_handshake_timeout=30, read_buffer_init_size=65536)
            await asyncio.wait_for(member.joined, 30)

    async with asyncio.TaskGroup() as group:
        for member in members:
            group.create_task(one(member))


async def socketio(server: Any, seconds: float, *, members: int, senders: int, in_flight: int) -> Result:
    """Each sender keeps so many in flight."""
    async with SocketIORoom(server, members=members, senders=senders, in_flight=in_flight) as room:

        async def talk() -> None:
            for sender in room.senders:
                sender.start()

        return await room.measure(seconds, 1, talk)


class NodeServer:
    """`bench/socketio.cjs`; as much of `Server` as a bench needs."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "node.log"

    def __enter__(self) -> NodeServer:
        command = [*with_parent(), *npm.node(), str(Path(__file__).with_name("socketio.cjs"))]
        self._process = subprocess.Popen(
            command, env=npm.environment(), stdout=subprocess.PIPE, stderr=self._log.open("wb")
        )
        assert self._process.stdout
        self.ws = f"ws://{HOST}:{int(self._process.stdout.readline())}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def people(self, count: int) -> list[Person]:
        return [Person(number, f"member-{number:08x}", "") for number in range(count)]

    def room(self, members: object) -> str:
        return "room-0123abcd"

    def log(self) -> str:
        return self._log.read_text()


AnyServer = Server | NodeServer

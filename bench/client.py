"""A client that is fast enough not to be what is measured: Cython's picows, no JSON.

An entry is known by its bytes. Members of one room get contiguous entries, so the first and
the last `seq` of a frame say how many it holds; `auditor` members count them one by one.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from tests.support import Person

SEQ, CLIENT_ID, ACK, MESSAGE = b'"seq":', b'"client_id":"', b'{"ack":', b'{"event":"message"'
#: More than an entry of ours takes.
EDGE = 512
RECEIVED_EVERY = 64
BODY = "a line of chat as people write it"
#: Characters of a client_id before the time at which its message was sent.
PREFIX = 16


@dataclass
class Run:
    """What all sockets of a run have in common. Times in nanoseconds."""

    room: str
    ack_times: list[int] = field(default_factory=list)
    delivery_times: list[int] = field(default_factory=list)
    acks: int = 0
    head: int = 0
    talking: bool = False
    #: What a run must not see: a refusal, a gap, a close.
    failures: list[str] = field(default_factory=list)

    def fail(self, why: str) -> None:
        self.failures.append(why)
        self.talking = False


class Member(WSListener):
    def __init__(self, run: Run, *, auditor: bool = False) -> None:
        self.run = run
        self.auditor = auditor
        self.seq = 0
        self.count = 0
        self.joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: WSTransport
        self._acknowledged = 0
        self._leaving = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.send(f'{{"event":"join","id":0,"data":{{"room":"{self.run.room}"}}}}')

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if not self._leaving:
            self.run.fail(f"disconnected: {transport.close_handshake}")

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is not WSMsgType.TEXT:
            return
        view = frame.get_payload_as_memoryview()
        head = bytes(view[:EDGE])
        if self.auditor or not head.startswith(MESSAGE):
            self.read_lines(bytes(view))
        else:
            tail = head if len(view) <= EDGE else bytes(view[-EDGE:])
            if (last := tail.rfind(SEQ)) < 0:
                self.read_lines(bytes(view))
            else:
                self.take(head, head.find(SEQ), tail, last)

    def read_lines(self, payload: bytes) -> None:
        lines = payload.split(b"\n")
        entries = [line for line in lines if line.startswith(MESSAGE)]
        if len(entries) != len(lines):
            for line in lines:
                if line.startswith(ACK):
                    self.answered(line)
                elif line.startswith(b'{"error"'):
                    self.run.fail(line.decode())
        if entries:
            first, last = entries[0], entries[-1]
            number = self.take(first, first.find(SEQ), last, last.find(SEQ))
            if number != len(entries):
                self.run.fail(f"a frame of {number} entries holds {len(entries)}")

    def take(self, first: bytes, first_at: int, last: bytes, last_at: int) -> int:
        """Entries from the one in `first` to the one in `last`; returns how many."""
        before, seq = number(first, first_at + len(SEQ)) - 1, number(last, last_at + len(SEQ))
        if self.seq and before != self.seq:
            self.run.fail(f"{before + 1} came after {self.seq}")
        now = time.monotonic_ns()
        self.run.delivery_times.append(now - sent_at(first, first_at))
        if seq > before + 1:
            self.run.delivery_times.append(now - sent_at(last, last_at))
        self.count += seq - before
        self.seq = seq
        if seq - self._acknowledged >= RECEIVED_EVERY:
            self.acknowledge()
        return seq - before

    def acknowledge(self) -> None:
        if self.seq > self._acknowledged:
            self._acknowledged = self.seq
            self.send(f'{{"event":"received","data":{{"{self.run.room}":{self.seq}}}}}')

    def answered(self, line: bytes) -> None:
        """The answer to the join."""
        if b'"error"' in line[:64]:
            self.run.fail(line.decode())
        if not self.joined.done():
            self.joined.set_result(None)

    def send(self, packet: str) -> None:
        self.transport.send(WSMsgType.TEXT, packet.encode())

    def leave(self) -> None:
        self._leaving = True
        self.transport.disconnect()


class Sender(Member):
    """A member who also speaks: on and on with so many in flight, or when told."""

    def __init__(self, run: Run, in_flight: int = 0) -> None:
        super().__init__(run)
        self.in_flight = in_flight
        self._sent: dict[int, int] = {}
        self._prefix = secrets.token_hex(PREFIX // 2)
        self._id = 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.TEXT:
            self.read_lines(frame.get_payload_as_bytes())

    def start(self) -> None:
        for _ in range(self.in_flight):
            self.speak()

    def speak(self) -> None:
        self._id += 1
        now = self._sent[self._id] = time.monotonic_ns()
        self.send(
            f'{{"event":"message","id":{self._id},"data":{{"room":"{self.run.room}",'
            f'"client_id":"{self._prefix}{now:020d}","body":"{BODY}"}}}}'
        )

    def answered(self, line: bytes) -> None:
        started = self._sent.pop(number(line, len(ACK)), None)
        if started is None:
            super().answered(line)
            return
        if b'"error"' in line[:64]:
            self.run.fail(line.decode())
            return
        self.run.acks += 1
        self.run.ack_times.append(time.monotonic_ns() - started)
        self.run.head = max(self.run.head, number(line, line.index(SEQ) + len(SEQ)))
        if self.run.talking and self.in_flight:
            self.speak()

    @property
    def waiting(self) -> int:
        return len(self._sent)


def sent_at(entry: bytes, start: int) -> int:
    return number(entry, entry.index(CLIENT_ID, start) + len(CLIENT_ID) + PREFIX)


def number(text: bytes, start: int) -> int:
    end = start
    while 48 <= text[end] <= 57:
        end += 1
    return int(text[start:end])


async def connect(url: str, people: Iterable[Person], members: Iterable[Member]) -> None:
    """Connects and joins them, 50 at a time."""
    arriving = asyncio.Semaphore(50)

    async def one(person: Person, member: Member) -> None:
        async with arriving:
            await ws_connect(
                lambda: member,
                f"{url}/ws/chat/",
                extra_headers={"Authorization": f"Bearer {person.token}"},
                websocket_handshake_timeout=30,
                read_buffer_init_size=65536,
            )
            await asyncio.wait_for(member.joined, 30)

    async with asyncio.TaskGroup() as group:
        for person, member in zip(people, members, strict=True):
            group.create_task(one(person, member))

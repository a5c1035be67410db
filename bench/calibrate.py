"""A server that does nothing but send: what the client can take is more than what is measured."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import socket
import time

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

from tests.support import Person
from tests.support.server import HOST

from .client import BODY, Member, Run, connect

BATCH = 160


class Fountain(WSListener):
    """Sends the same frames to everyone who joined, as fast as the slowest takes them."""

    everyone: set[WSTransport] = set()
    slow: set[Fountain] = set()
    flowing = asyncio.Event()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.get_payload_as_bytes().startswith(b'{"event":"join"'):
            transport.send(WSMsgType.TEXT, b'{"ack":0,"data":{}}')
            self.everyone.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.everyone.discard(transport)

    def pause_writing(self) -> None:
        self.slow.add(self)
        self.flowing.clear()

    def resume_writing(self) -> None:
        self.slow.discard(self)
        if not self.slow:
            self.flowing.set()


async def pour(listening: socket.socket, members: int) -> None:
    logging.disable(logging.WARNING)
    await ws_create_server(lambda _: Fountain(), sock=listening)
    Fountain.flowing.set()
    seq = 0
    while True:
        if len(Fountain.everyone) == members:
            frame = "\n".join(entry(seq + n) for n in range(1, BATCH + 1)).encode()
            seq += BATCH
            for transport in Fountain.everyone:
                transport.send(WSMsgType.TEXT, frame)
        await Fountain.flowing.wait()
        await asyncio.sleep(0)


def entry(seq: int) -> str:
    return (
        f'{{"event":"message","room":"room-0123abcd","seq":{seq},"at":"2026-01-01T00:00:00.000Z",'
        f'"from":{{"id":1,"name":"member-0123abcd"}},"data":{{"client_id":'
        f'"0123456789abcdef{time.monotonic_ns():020d}","body":"{BODY}"}}}}'
    )


def deliveries_a_second(members: int, seconds: float) -> float:
    """What one client process takes from it."""
    with socket.create_server((HOST, 0), backlog=members) as listening:
        fountain = multiprocessing.get_context("fork").Process(
            target=lambda: uvloop.run(pour(listening, members)), daemon=True
        )
        fountain.start()
        try:
            return uvloop.run(drink(listening.getsockname()[1], members, seconds))
        finally:
            fountain.kill()
            fountain.join()


async def drink(port: int, members: int, seconds: float) -> float:
    run = Run("room-0123abcd")
    sockets = [Member(run) for _ in range(members)]
    await connect(f"ws://{HOST}:{port}", [Person(0, "", "")] * members, sockets)
    await asyncio.sleep(0.5)
    before, start = sum(each.count for each in sockets), time.monotonic()
    await asyncio.sleep(seconds)
    rate = (sum(each.count for each in sockets) - before) / (time.monotonic() - start)
    for each in sockets:
        each.leave()
    return rate

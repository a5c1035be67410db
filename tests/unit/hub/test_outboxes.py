"""What waits for a socket: in order, one send in flight, bounded in bytes and in time."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from chat.errors import EventError
from chat.hub import outbox
from chat.hub.outbox import Outbox
from chat.wire.lines import lines

from .world import run


class Server:
    """An ASGI server's side of a connection; while `open` is cleared its `send` blocks."""

    def __init__(self) -> None:
        self.sent: list[str | int] = []
        self.sending = 0
        self.together = 0  #: the most sends that were under way at once
        self.open = asyncio.Event()
        self.open.set()
        self.broken = False
        self.cut = False
        self.transport = self

    async def send(self, message: dict[str, Any]) -> None:
        self.sending += 1
        self.together = max(self.together, self.sending)
        try:
            await self.open.wait()
            if self.broken:
                raise ConnectionResetError("the peer is gone")
            self.sent.append(message.get("text", message.get("code", 0)))
        finally:
            self.sending -= 1

    def abort(self) -> None:
        self.cut = True


Test = Callable[[Server, Outbox], Coroutine[Any, Any, None]]


def with_an_outbox(test: Test) -> Callable[[], None]:
    async def play() -> None:
        server = Server()
        box = Outbox(server.send, lines)

        def close(code: int, error: EventError) -> None:
            box.put(error.code)
            box.close(code)

        box.on_slow = close
        await test(server, box)

    def sync() -> None:
        run(play())

    sync.__name__, sync.__module__ = test.__name__, test.__module__
    return sync


@with_an_outbox
async def test_what_the_server_takes_at_once_is_sent_before_put_returns(server: Server, box: Outbox) -> None:
    box.put("one")
    box.put("two")
    assert server.sent == ["one", "two"]
    assert not box.busy


@with_an_outbox
async def test_one_send_is_in_flight_and_the_rest_follows_in_order(server: Server, box: Outbox) -> None:
    server.open.clear()
    for number in range(100):
        box.put(str(number))
        if number % 10 == 0:
            await asyncio.sleep(0)
    assert box.size == sum(len(str(number)) for number in range(1, 100))
    server.open.set()
    await box.idle()
    assert server.sent == [str(number) for number in range(100)]
    assert server.together == 1
    assert box.size == 0


@with_an_outbox
async def test_a_put_during_the_last_send_is_not_left_behind(server: Server, box: Outbox) -> None:
    server.open.clear()
    box.put("one")
    server.open.set()
    for _ in range(20):
        box.put("more")
        await asyncio.sleep(0)
    await box.idle()
    assert server.sent == ["one", *["more"] * 20]
    assert server.together == 1


@with_an_outbox
async def test_past_four_mebibytes_the_socket_is_closed_as_too_slow(server: Server, box: Outbox) -> None:
    server.open.clear()
    frame = "x" * 2**20
    for _ in range(5):
        box.put(frame)
    assert box.size == 4 * 2**20
    box.put("the one too many")
    box.put("and what follows it")
    server.open.set()
    await box.idle()
    assert server.sent == [frame, "too_slow", 4002], "nothing follows the gap"


@with_an_outbox
async def test_a_client_that_takes_nothing_for_thirty_seconds_is_closed(server: Server, box: Outbox) -> None:
    server.open.clear()
    box.put("one")
    box.put("two")
    await asyncio.sleep(29.9)
    assert not server.cut
    assert box.size == 3
    await asyncio.sleep(0.2)
    server.open.set()
    await box.idle()
    assert server.sent == ["one", "too_slow", 4002]


@with_an_outbox
async def test_a_client_that_does_not_even_take_the_close_is_cut(server: Server, box: Outbox) -> None:
    server.open.clear()
    box.put("one")
    await asyncio.sleep(outbox.STALL + outbox.GRACE + 0.1)
    assert server.cut
    await box.idle()
    assert server.sent == []


@with_an_outbox
async def test_a_client_that_takes_something_now_and_then_stays(server: Server, box: Outbox) -> None:
    server.open.clear()
    box.put("0")
    for number in range(1, 20):
        box.put(str(number))
        await asyncio.sleep(25)
        server.open.set()
        await asyncio.sleep(0)
        server.open.clear()
    await asyncio.sleep(1)
    assert "too_slow" not in server.sent
    assert len(server.sent) > 10


@with_an_outbox
async def test_after_a_close_nothing_is_sent(server: Server, box: Outbox) -> None:
    box.put("one")
    box.close(4001)
    box.put("two")
    assert server.sent == ["one", 4001]


@pytest.mark.parametrize("stalled", [False, True])
def test_a_peer_that_is_gone_hurts_nobody(stalled: bool) -> None:
    @with_an_outbox
    async def test(server: Server, box: Outbox) -> None:
        if stalled:
            server.open.clear()
        server.broken = True
        box.put("one")
        box.put("two")
        server.open.set()
        await box.idle()
        box.put("three")
        assert server.sent == []
        assert box.size == 0

    test()


@with_an_outbox
async def test_a_send_runs_in_the_sockets_own_context(server: Server, box: Outbox) -> None:
    whose = contextvars.ContextVar("whose", default="nobody")
    seen = []

    async def send(message: dict[str, Any]) -> None:
        seen.append(whose.get())

    whose.set("alice")
    alices = Outbox(send, lines)
    whose.set("bob")
    alices.put("from a fan-out that bob began")
    assert seen == ["alice"]

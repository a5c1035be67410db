"""Engine.IO 4 over real servers: every case that the protocol's own suite has, and what it leaves out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.support import Server
from tests.support.client import Closed
from tests.support.engine import ENGINE, SOCKET, Polling, Request, Response, WebSocket, fetch, query

from .conformance import IMPATIENT

pytestmark = pytest.mark.each_server

#: Seconds within which a close counts as one made at once; the pings' own time is 45.
AT_ONCE = 10.0


@pytest.fixture
def server(server_kind: str, conformance_servers: Callable[..., Server]) -> Server:
    return conformance_servers(server_kind)


@pytest.fixture(params=[ENGINE, SOCKET], ids=["engine", "socket"])
def path(request: pytest.FixtureRequest) -> str:
    """The echo of messages, and the namespaces: below them is the same."""
    chosen: str = request.param
    return chosen


@pytest.fixture
async def polling(server: Server, path: str) -> Polling:
    return await Polling.open(server.origin, path)


@pytest.fixture
async def websocket(server: Server, path: str) -> WebSocket:
    return await WebSocket.open(server.origin, path)


def refused(answer: Response) -> tuple[int, int]:
    """The status and the code of an error that has the shape of one."""
    assert set(answer.error) == {"code", "message"}, answer
    return answer.status, answer.error["code"]


async def refused_websocket(origin: str, target: str) -> None:
    """No session begins: the handshake fails, or the connection closes without a word."""
    try:
        socket = await WebSocket.dial(origin, target)
    except Exception as refusal:
        assert "HTTP 40" in str(refusal), refusal
        return
    with pytest.raises(Closed):
        frame = await socket.receive()
        assert not str(frame).startswith("0"), frame
        await socket.receive()


class TestHandshake:
    def check(self, handshake: dict[str, Any], upgrades: list[str]) -> None:
        assert handshake["sid"]
        assert {key: value for key, value in handshake.items() if key != "sid"} == {
            "upgrades": upgrades,
            "pingInterval": 25_000,
            "pingTimeout": 20_000,
            "maxPayload": 1_000_000,
        }

    async def test_polling_opens_a_session(self, polling: Polling) -> None:
        self.check(polling.handshake, ["websocket"])

    async def test_a_websocket_opens_a_session_that_needs_no_upgrade(self, websocket: WebSocket) -> None:
        self.check(websocket.handshake, [])

    async def test_no_two_sessions_have_the_same_sid(self, server: Server, path: str) -> None:
        sessions = [await Polling.open(server.origin, path) for _ in range(10)]
        assert len({session.sid for session in sessions}) == 10
        assert all(len(session.sid) >= 20 for session in sessions), "it is a secret"

    @pytest.mark.parametrize("eio", [None, "", "abc", "3", "5"])
    async def test_another_version_of_the_protocol_is_refused(
        self, server: Server, path: str, eio: str | None
    ) -> None:
        answer = await fetch(server.origin, f"{path}?{query('polling', eio=eio)}")
        assert refused(answer) == (400, 5)
        await refused_websocket(server.origin, f"{path}?{query('websocket', eio=eio)}")

    @pytest.mark.parametrize("transport", [None, "", "abc", "webtransport"])
    async def test_another_transport_is_refused(
        self, server: Server, path: str, transport: str | None
    ) -> None:
        answer = await fetch(server.origin, f"{path}?{query(transport)}")
        assert refused(answer) == (400, 0)
        await refused_websocket(server.origin, f"{path}?{query(transport)}")

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
    async def test_a_session_begins_with_a_get(self, server: Server, path: str, method: str) -> None:
        answer = await fetch(server.origin, f"{path}?{query('polling')}", method, body="")
        assert refused(answer) == (400, 2)

    async def test_a_websocket_begins_with_a_websockets_handshake(self, server: Server, path: str) -> None:
        answer = await fetch(server.origin, f"{path}?{query('websocket')}")
        assert refused(answer) == (400, 3)

    @pytest.mark.parametrize("sid", ["unknown", "%00", "x" * 2000, "🙂"])
    async def test_an_unknown_session_is_refused(self, server: Server, path: str, sid: str) -> None:
        for method, body in (("GET", None), ("POST", "4hello")):
            answer = await fetch(server.origin, f"{path}?{query('polling', sid)}", method, body=body)
            assert refused(answer) == (400, 1)
        await refused_websocket(server.origin, f"{path}?{query('websocket', sid)}")

    async def test_answers_are_not_kept_by_caches(self, server: Server, path: str) -> None:
        answer = await fetch(server.origin, f"{path}?{query('polling')}")
        assert answer.headers["content-type"].lower().replace(" ", "") == "text/plain;charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"


class TestPolling:
    """Messages over HTTP; the echo answers each."""

    @pytest.fixture
    def path(self) -> str:
        return ENGINE

    @pytest.mark.parametrize(
        "payload", ["4hello", "4test1\x1e4test2\x1e4test3", "4hello\x1ebAQIDBA==", "4", "b", "4€\x1e4\x00"]
    )
    async def test_messages_come_back_in_one_payload(self, polling: Polling, payload: str) -> None:
        answer = await polling.post(payload)
        assert (answer.status, answer.text) == (200, "ok")
        assert (await polling.get()).text == payload

    async def test_a_get_waits_for_the_next_message(self, polling: Polling) -> None:
        waiting = await polling.begin()
        await polling.send("4hello")
        assert (await waiting.response()).packets == ["4hello"]

    @pytest.mark.parametrize("payload", ["abc", "", "4one\x1e9", "b!!!!", "4one\x1e", b"4\xff"])
    async def test_a_payload_that_is_none_ends_the_session(
        self, polling: Polling, payload: str | bytes
    ) -> None:
        assert await ended_by_post(polling, payload)
        assert await polling.gone()

    async def test_it_also_ends_the_get_that_waits(self, polling: Polling) -> None:
        waiting = await polling.begin()
        await settled(polling)
        await ended_by_post(polling, "abc")
        with pytest.raises((AssertionError, Closed)):
            assert (await waiting.response()).packets == ["anything"]
        assert await polling.gone()

    async def test_octets_are_refused(self, polling: Polling) -> None:
        answer = await polling.post("4hello", **{"Content-Type": "application/octet-stream"})
        assert answer.status == 400

    async def test_the_first_of_two_gets_is_told_that_the_session_is_over(self, polling: Polling) -> None:
        first = await polling.begin()
        await settled(polling)
        second = await polling.get()
        assert second.status == 400
        assert (await first.response()).packets == ["1"]
        assert await polling.gone()

    async def test_a_get_that_is_given_up_ends_the_session(self, polling: Polling) -> None:
        waiting = await polling.begin()
        await settled(polling)
        waiting.abort()
        await until_gone(polling)

    async def test_a_post_while_another_comes_in_ends_the_session(
        self, polling: Polling, server_kind: str
    ) -> None:
        slow = await Request.send(
            polling.origin, polling.target, "POST", body="4he", headers={"Content-Length": "6"}
        )
        await settled(polling)
        # Daphne hands on only what has come whole, so that there the first comes second.
        assert (await polling.post("4hello")).status == (200 if server_kind == "daphne" else 400)
        assert await polling.gone() is (server_kind == "uvicorn")
        slow.abort()

    async def test_a_payload_of_the_announced_size_is_taken_and_a_larger_one_is_not(
        self, polling: Polling
    ) -> None:
        limit = polling.handshake["maxPayload"]
        assert (await polling.post("4" + "x" * (limit - 1))).text == "ok"
        assert len((await polling.get()).body) == limit
        answer = await polling.post("4" + "x" * limit)
        assert answer.status == 413

    async def test_other_sessions_go_on(self, server: Server, polling: Polling) -> None:
        other = await Polling.open(server.origin, ENGINE)
        await ended_by_post(polling, "abc")
        await other.send("4hello")
        assert (await other.get()).packets == ["4hello"]


class TestWebSocket:
    @pytest.fixture
    def path(self) -> str:
        return ENGINE

    @pytest.mark.parametrize("frame", ["4hello", b"\1\2\3\4", "4€", "4" + "x" * 100_000, b"x" * 100_000])
    async def test_a_message_comes_back(self, websocket: WebSocket, frame: str | bytes) -> None:
        await websocket.send(frame)
        assert await websocket.receive() == frame

    @pytest.mark.parametrize("frame", ["abc", "", "7", " 4", "b", "0"])
    async def test_a_frame_that_is_no_packet_for_it_ends_the_session(
        self, websocket: WebSocket, frame: str
    ) -> None:
        await websocket.send(frame)
        assert await websocket.closed() < AT_ONCE

    async def test_a_frame_that_is_too_large_closes_with_1009_where_the_server_can_say_that(
        self, websocket: WebSocket, server_kind: str
    ) -> None:
        await websocket.send("4" + "x" * websocket.handshake["maxPayload"])
        assert await websocket.closed() < AT_ONCE
        assert websocket.connection.close_code == (1009 if server_kind == "uvicorn" else 1006)


class TestClosing:
    async def test_a_client_ends_its_polling_session(self, polling: Polling) -> None:
        waiting = await polling.begin()
        await settled(polling)
        await polling.send("1")
        assert (await waiting.response()).packets == ["6"]
        assert await polling.gone()

    async def test_a_client_ends_its_websocket_session(self, websocket: WebSocket) -> None:
        await websocket.send("1")
        assert await websocket.closed() < AT_ONCE


class TestUpgrading:
    async def test_a_session_moves_to_a_websocket(self, polling: Polling) -> None:
        waiting = await polling.begin()
        await settled(polling)
        socket = await WebSocket.beside(polling)
        await socket.send("2probe")
        assert await socket.receive() == "3probe"
        assert (await waiting.response()).packets == ["6"]
        await socket.send("5")
        await greets(socket)

    async def test_until_it_is_told_to_move_polling_goes_on(self, server: Server) -> None:
        polling = await Polling.open(server.origin, ENGINE)
        socket = await WebSocket.beside(polling)
        await socket.send("2probe")
        assert await socket.receive() == "3probe"
        await polling.send("4before")
        assert "4before" in (await packets_of(polling))
        await socket.send("5")
        await greets(socket)

    async def test_what_waited_goes_over_the_websocket(self, server: Server) -> None:
        polling = await Polling.open(server.origin, ENGINE)
        await polling.send("4one\x1e4two")
        socket = await WebSocket.beside(polling)
        await socket.upgrade()
        assert [await socket.receive(), await socket.receive()] == ["4one", "4two"]

    async def test_polling_is_over_then(self, polling: Polling) -> None:
        socket = await WebSocket.beside(polling)
        await socket.upgrade()
        await greets(socket)
        assert (await polling.get()).status == 400
        assert (await polling.post("4late")).status == 400
        await greets(socket)

    async def test_a_second_websocket_is_closed_and_the_first_goes_on(self, polling: Polling) -> None:
        socket = await WebSocket.beside(polling)
        await socket.upgrade()
        await greets(socket)
        second = await WebSocket.beside(polling)
        await closes(second)
        await greets(socket)

    async def test_a_websocket_session_takes_no_second_one_either(self, websocket: WebSocket) -> None:
        target = f"{websocket.path}?{query('websocket', websocket.sid)}"
        await closes(await WebSocket.dial(websocket.origin, target))
        await greets(websocket)

    @pytest.mark.parametrize("frames", [["5"], ["4hello"], ["2"], ["2probe", "4hello"], ["abc"], [b"\1"]])
    async def test_another_way_to_ask_costs_only_the_new_connection(
        self, polling: Polling, frames: list[str | bytes]
    ) -> None:
        socket = await WebSocket.beside(polling)
        await socket.send(*frames)
        await closes(socket)
        await still_polls(polling)

    async def test_a_probe_that_goes_away_leaves_the_session_where_it_was(self, polling: Polling) -> None:
        socket = await WebSocket.beside(polling)
        await socket.send("2probe")
        assert await socket.receive() == "3probe"
        await socket.drop()
        await still_polls(polling)
        second = await WebSocket.beside(polling)
        await second.upgrade()
        await greets(second)


class TestHeartbeat:
    """A ping each 0.3 seconds, and 2 to answer it."""

    @pytest.fixture
    def server(self, server_kind: str, conformance_servers: Callable[..., Server]) -> Server:
        return conformance_servers(server_kind, **IMPATIENT)

    async def test_who_polls_is_pinged_and_lives_by_answering(self, polling: Polling) -> None:
        for _ in range(3):
            assert (await polling.get()).packets == ["2"]
            await polling.send("3")

    async def test_a_websocket_is_pinged_and_lives_by_answering(self, websocket: WebSocket) -> None:
        for _ in range(3):
            assert await websocket.receive() == "2"
            await websocket.send("3")

    async def test_a_session_without_an_answer_is_over(self, server: Server) -> None:
        async with asyncio.TaskGroup() as together:
            for path in (ENGINE, SOCKET):
                together.create_task(falls_silent(await WebSocket.open(server.origin, path)))
                together.create_task(stops_answering(await Polling.open(server.origin, path)))
                together.create_task(stops_polling(await Polling.open(server.origin, path)))


# What the tests say


async def falls_silent(websocket: WebSocket) -> None:
    assert await websocket.receive() == "2"
    await websocket.closed()


async def stops_answering(polling: Polling) -> None:
    assert (await polling.get()).packets == ["2"]
    answer = await polling.get()
    assert (answer.status, answer.text) in ((200, "1"), (400, answer.text))
    assert await polling.gone()


async def stops_polling(polling: Polling) -> None:
    """Asking would keep it: nobody asks until its time is over."""
    times = polling.handshake
    await asyncio.sleep((times["pingInterval"] + times["pingTimeout"]) / 1000)
    await until_gone(polling)


async def settled(polling: Polling) -> None:
    """What was sent before, over another connection, has arrived at the server.

    Requests of two connections have no order of their own; a whole session made in between, on a
    server with one loop, gives them one.
    """
    for _ in range(3):
        await Polling.open(polling.origin, polling.path)


async def ended_by_post(polling: Polling, payload: str | bytes) -> bool:
    """Whether the server refused it, in words or by ending the connection."""
    try:
        return (await polling.post(payload)).status == 400
    except Closed:
        return True


async def until_gone(polling: Polling) -> None:
    async with asyncio.timeout(20):
        while (answer := await polling.post("6")).status == 200:  # noqa: ASYNC110 (only asking tells)
            await asyncio.sleep(0.02)
    assert refused(answer) == (400, 1)


async def packets_of(polling: Polling) -> list[str]:
    """What comes up to something that is no noop: while a probe is on its way, a GET may get one."""
    while (packets := (await polling.get()).packets) == ["6"]:
        pass
    return packets


async def still_polls(polling: Polling) -> None:
    """It is alive, and takes and gives messages over HTTP."""
    if polling.path == ENGINE:
        await polling.send("4hello")
        assert "4hello" in await packets_of(polling)
    else:
        await polling.send("40")
        assert (await packets_of(polling))[0].startswith("40{")


async def greets(socket: WebSocket) -> None:
    """It is alive, and takes and gives messages over the WebSocket."""
    if socket.path == ENGINE:
        await socket.send("4hello")
        assert await socket.message() == "4hello"
    else:
        await socket.send("40/custom")
        answer = await socket.message()
        assert str(answer).startswith("40/custom,"), answer
        assert str(await socket.message()).startswith("42/custom,")
        await socket.send("41/custom")


async def closes(socket: WebSocket) -> None:
    try:
        assert await socket.closed() < AT_ONCE or not socket.last_sent
    except ConnectionClosed:
        pass

"""Input that nobody foresaw at Socket.IO's door: an answer or a close, never an unnamed error, and
nothing of it for others to feel.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support import Server
from tests.support.client import Closed
from tests.support.engine import ENGINE, SOCKET, Polling, WebSocket, fetch, query

pytestmark = pytest.mark.each_server

VALID = [
    "2", "3", "2probe", "5", "6", "40", "40/custom,", "41", "41/custom,", '40{"token":"x"}', "43[]", "431[]",
    '42["message",1]', '427["message-with-ack",{"a":[1]}]', '42/custom,["x"]', '44{"message":"x"}',
    '451-["message",{"_placeholder":true,"num":0}]', '452-3["message",{"_placeholder":true,"num":1}]',
]  # fmt: skip
ALPHABET = '0123456789-/,[]{}":\\\x1e\x00é😀b messag_placeholdertrue'

frames = st.sampled_from(VALID) | st.text(ALPHABET, max_size=12) | st.binary(max_size=6)


@st.composite
def spoilt(draw: st.DrawFn) -> str:
    """A packet with something cut out of it, and something put in."""
    text = draw(st.sampled_from(VALID))
    start, end = draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))
    return text[:start] + draw(st.text(ALPHABET, max_size=3)) + text[max(start, end) :]


packets = st.lists(frames | spoilt(), min_size=1, max_size=6)
payloads = st.lists(frames.filter(lambda each: isinstance(each, str)) | spoilt(), max_size=4).map("\x1e".join)
steps = st.sampled_from(["get", "post", "websocket", "frame", "drop"])
few = settings(
    max_examples=40,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def server(server_kind: str, conformance_servers: Callable[..., Server]) -> Server:
    return conformance_servers(server_kind)


def fuzz(server: Server, attack: Callable[[Server, Any], Any], inputs: st.SearchStrategy[Any]) -> None:
    """Runs the attack over and over, beside a session that must go on, and looks into the log."""
    with asyncio.Runner() as runner:
        witness = runner.run(WebSocket.open(server.origin))
        runner.run(witness.connect())

        @few
        @given(inputs)
        def attacked(given: Any) -> None:
            runner.run(attack(server, given))

        attacked()
        runner.run(still_echoes(witness))
        runner.run(witness.drop())
    log = server.log(100_000)
    assert "Traceback" not in log and "Exception" not in log, log[-5000:]


async def still_echoes(witness: WebSocket) -> None:
    word = random.random()
    await witness.emit("message", word)
    assert await witness.expect("message-back") == [word]


async def hears_out(socket: WebSocket) -> None:
    """Until the server has answered an echo or closed."""
    try:
        await socket.send('42["message","the end"]')
        while "the end" not in str(await socket.message()):
            pass
        await socket.drop()
    except Closed:
        pass


def test_no_frames_harm_more_than_their_own_connection(server: Server) -> None:
    async def attack(server: Server, sent: list[str | bytes]) -> None:
        socket = await WebSocket.open(server.origin)
        try:
            await socket.send("40", *sent)
        except Closed:
            return
        await hears_out(socket)

    fuzz(server, attack, packets)


def test_no_payload_harms_more_than_its_own_session(server: Server) -> None:
    async def attack(server: Server, payload: str) -> None:
        session = await Polling.open(server.origin, random.choice([ENGINE, SOCKET]))
        answer = await session.post(payload)
        assert answer.status in (200, 400), answer

    fuzz(server, attack, payloads)


def test_no_way_to_upgrade_harms_more_than_its_own_session(server: Server) -> None:
    async def attack(server: Server, doing: list[tuple[str, str]]) -> None:
        session = await Polling.open(server.origin, random.choice([ENGINE, SOCKET]))
        sockets: list[WebSocket] = []
        for step, frame in doing:
            try:
                match step:
                    case "get":
                        request = await session.begin()
                        request.abort() if frame < "4" else None
                    case "post":
                        await session.post(frame)
                    case "websocket":
                        sockets.append(await WebSocket.beside(session))
                    case "frame" if sockets:
                        await sockets[-1].send(frame)
                    case "drop" if sockets:
                        await sockets.pop().drop()
            except Closed:
                pass
            except Exception as refusal:  # of a handshake, whose exceptions are the library's
                assert "HTTP 40" in str(refusal), refusal
        for socket in sockets:
            await socket.drop()

    fuzz(
        server,
        attack,
        st.lists(st.tuples(steps, st.sampled_from(["2probe", "5", "4x", "1", "3", "x"])), max_size=7),
    )


def test_no_query_is_answered_by_anything_but_an_error(server: Server) -> None:
    words = st.none() | st.sampled_from(["4", "polling", "websocket", "3", ""]) | st.text(max_size=6)

    async def attack(server: Server, given: tuple[Any, Any, Any, str]) -> None:
        eio, transport, sid, method = given
        answer = await fetch(server.origin, f"{SOCKET}?{query(transport, sid, eio)}", method)
        good = (eio, transport, sid or None, method) == ("4", "polling", None, "GET")
        assert answer.status == (200 if good else 204 if method == "OPTIONS" else 400), given

    methods = st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS"])
    fuzz(server, attack, st.tuples(words, words, words, methods))

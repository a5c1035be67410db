"""Sessions of Engine.IO, from the inside: clients that fetch nothing, send far too much, or are gone."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

import pytest

from chat.consumers.engine import Engine, Session
from chat.consumers.polling import Polls
from chat.consumers.socketio import Channel, Connection, Recovery
from chat.errors import Close, EventError
from chat.hub.hub import get_hub
from chat.hub.outbox import LIMIT, Outbox
from chat.namespace import Namespace, Socket
from chat.origin import Handshake
from chat.wire.engineio import MESSAGE, PACKETS, SEPARATOR, Packet
from chat.wire.socketio import wire

FRAME = "4" + 100_000 * "x"
SCOPE: dict[str, Any] = {"type": "http", "headers": []}


@pytest.fixture
async def engine() -> Engine:
    return Engine(partial(Connection, {}))


@pytest.fixture
async def polls() -> Polls:
    return Polls()


@pytest.fixture
async def session(engine: Engine, polls: Polls) -> Session:
    return engine.open(Handshake(SCOPE), polls)


async def overflow(session: Session) -> None:
    for _ in range(LIMIT // len(FRAME) + 2):
        session.send(FRAME)
    await asyncio.sleep(0)  # what a session leaves behind goes a turn later


class TestTooSlow:
    async def test_who_is_in_no_namespace_is_told_to_close(
        self, engine: Engine, session: Session, polls: Polls
    ) -> None:
        await overflow(session)
        assert (session.ended, engine.sessions) == (True, {})
        assert polls.take(LIMIT) == ["1"]

    async def test_who_is_in_one_is_told_why_and_nothing_behind_the_gap(
        self, engine: Engine, session: Session, polls: Polls
    ) -> None:
        connection: Any = session._connection
        channel: Any = Channel(connection, wire("/x"))
        socket = connection._sockets["/x"] = Socket(Namespace(), channel)
        channel.greet("40/x,{}")
        await overflow(session)
        assert (session.ended, socket.closed) == (True, Close.TOO_SLOW)
        (said,) = polls.take(LIMIT)
        assert isinstance(said, str)
        event, error = json.loads(said.removeprefix("42/x,"))
        assert (event, error["code"]) == ("error", "too_slow")
        assert connection._sockets == {}


async def test_who_is_refused_for_now_is_not_refused_for_good(
    polls: Polls, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Engine(partial(Connection, {"x": Namespace()}))
    session = engine.open(Handshake(SCOPE), polls)
    monkeypatch.setattr(get_hub(), "stopping", True)
    await session.take(Packet(MESSAGE, "0/x,"), None)
    assert session.ended
    assert polls.take(LIMIT) == [], "no CONNECT_ERROR, after which stock clients stay away"
    assert not caplog.records


@pytest.mark.parametrize(("code", "resumed"), [("unavailable", None), ("not_found", False)])
async def test_rooms_that_cant_be_resumed_just_now_are_not_given_up(
    monkeypatch: pytest.MonkeyPatch, code: str, resumed: bool | None
) -> None:
    async def join(*_: Any, **__: Any) -> None:
        raise EventError(code)

    monkeypatch.setattr(get_hub(), "join", join)
    socket: Any = Socket(Namespace(), Channel(None, wire("/x")))  # type: ignore[arg-type]
    socket.auth = {"pid": "mine", "offset": "room:epoch:7"}
    recovery = Recovery(socket, "/x")
    if resumed is None:
        with pytest.raises(EventError, match=code):
            await recovery.resume()
    else:
        await recovery.resume()
        assert (recovery.pid == "mine") is resumed


async def test_a_session_ends_with_the_task_that_listens(engine: Engine) -> None:
    async def send(_: dict[str, Any]) -> None:
        pass

    session = engine.open(Handshake(SCOPE), Outbox(send, None))
    session.begin([])
    listening = asyncio.ensure_future(session.listen(asyncio.Future))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    listening.cancel()
    await asyncio.wait({listening})
    assert (session.ended, engine.sessions) == (True, {})


async def test_a_post_of_many_packets_lets_others_have_their_turn(engine: Engine, session: Session) -> None:
    async def body() -> dict[str, Any]:
        return {"type": "http.request", "body": SEPARATOR.join(PACKETS * ["3"]).encode()}

    posted = asyncio.ensure_future(engine.http._post(session, SCOPE, Handshake(SCOPE), body))
    turns = 0
    while not posted.done():
        turns += 1
        await asyncio.sleep(0)
    assert posted.result() == "ok"
    assert turns >= PACKETS // 100
    session.end()

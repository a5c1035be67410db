"""Socket.IO 5 over real servers: every case that the protocol's own suite has, and what it leaves out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.support import Server
from tests.support.client import Closed
from tests.support.engine import (
    ACK,
    BINARY_ACK,
    BINARY_EVENT,
    CONNECT,
    CONNECT_ERROR,
    Polling,
    Session,
    WebSocket,
)

from .conformance import IMPATIENT

pytestmark = pytest.mark.each_server

#: Seconds within which a close counts as one made at once; the pings' own time is 45.
AT_ONCE = 10.0

PLACE_0, PLACE_1 = '{"_placeholder":true,"num":0}', '{"_placeholder":true,"num":1}'


@pytest.fixture
def server(server_kind: str, conformance_servers: Callable[..., Server]) -> Server:
    return conformance_servers(server_kind)


@pytest.fixture(params=[WebSocket, Polling])
async def session(server: Server, request: pytest.FixtureRequest) -> Session:
    """A connection over which nothing has been said."""
    opened: Session = await request.param.open(server.origin)
    return opened


@pytest.fixture
async def socket(server: Server) -> WebSocket:
    """One that is in the main namespace."""
    opened = await WebSocket.open(server.origin)
    await opened.connect()
    assert await opened.expect("auth") == [{}]
    return opened


class TestConnecting:
    async def test_to_the_main_namespace(self, session: Session) -> None:
        answer = await session.connect()
        assert (answer.type, list(answer.data)) == (CONNECT, ["sid"])
        assert answer.data["sid"] != session.sid, "the session's own is a secret"
        assert await session.message() == '42["auth",{}]'

    async def test_to_the_main_namespace_with_auth(self, session: Session) -> None:
        await session.send('40{"token":"123"}')
        assert str(await session.message()).startswith('40{"sid":"')
        assert await session.message() == '42["auth",{"token":"123"}]'

    @pytest.mark.parametrize("packet", ["40/custom,", "40/custom", "40/custom?a=1,"])
    async def test_to_another_namespace(self, session: Session, packet: str) -> None:
        await session.send(packet)
        assert str(await session.message()).startswith('40/custom,{"sid":"')
        assert await session.message() == '42/custom,["auth",{}]'

    async def test_to_another_namespace_with_auth(self, session: Session) -> None:
        await session.send('40/custom,{"token":"abc"}')
        assert str(await session.message()).startswith('40/custom,{"sid":"')
        assert await session.message() == '42/custom,["auth",{"token":"abc"}]'

    async def test_to_several_over_one_connection_each_with_a_sid(self, session: Session) -> None:
        main, custom = await session.connect(), await session.connect("/custom")
        assert len({main.data["sid"], custom.data["sid"], session.sid}) == 3

    async def test_an_unknown_namespace_is_refused_and_the_connection_goes_on(self, session: Session) -> None:
        await session.send("40/random")
        assert await session.message() == '44/random,{"message":"Invalid namespace"}'
        assert (await session.connect()).type == CONNECT

    async def test_who_is_in_no_namespace_in_time_is_sent_away(
        self, server_kind: str, conformance_servers: Callable[..., Server]
    ) -> None:
        server = conformance_servers(server_kind, **IMPATIENT)
        quiet, refused, inside = [await WebSocket.open(server.origin) for _ in range(3)]
        assert (await refused.connect("/random")).type == CONNECT_ERROR
        await inside.connect()
        waiting = asyncio.ensure_future(answers_pings(inside))
        await gone(quiet)
        await gone(refused)
        waiting.cancel()
        await asyncio.wait({waiting})
        await inside.emit("message", 1)
        assert await inside.expect("message-back") == [1]


class TestDisconnecting:
    async def test_from_the_main_namespace_needs_no_answer_and_leaves_the_connection(
        self, socket: WebSocket
    ) -> None:
        await socket.send("41", "40")
        assert str(await socket.message()).startswith("40{")

    async def test_from_another_namespace_leaves_the_main_one(self, socket: WebSocket) -> None:
        await socket.connect("/custom")
        await socket.send("41/custom", '42["message","to the main namespace"]')
        assert await socket.expect("message-back") == ["to the main namespace"]

    async def test_after_it_an_event_there_ends_the_connection(self, socket: WebSocket) -> None:
        await socket.connect("/custom")
        await socket.send("41/custom", '42/custom,["message",1]')
        assert await socket.closed() < AT_ONCE

    @pytest.mark.parametrize("frame", ["41/random", "41/custom"])
    async def test_from_where_one_is_not_is_no_harm_or_the_end(self, socket: WebSocket, frame: str) -> None:
        await socket.send(frame, '42["message",1]')
        try:
            assert await socket.expect("message-back") == [1]
        except Closed:
            pass


class TestEvents:
    async def test_come_back_with_their_arguments(self, socket: WebSocket) -> None:
        await socket.send('42["message",1,"2",{"3":[true]}]')
        assert await socket.message() == '42["message-back",1,"2",{"3":[true]}]'

    async def test_without_arguments_too(self, socket: WebSocket) -> None:
        await socket.send('42["message"]')
        assert await socket.message() == '42["message-back"]'

    async def test_are_acknowledged_with_their_arguments(self, socket: WebSocket) -> None:
        await socket.send('42456["message-with-ack",1,"2",{"3":[false]}]')
        assert await socket.message() == '43456[1,"2",{"3":[false]}]'

    async def test_are_acknowledged_once_also_under_0(self, socket: WebSocket) -> None:
        await socket.send('420["message-with-ack"]', '42["message",1]')
        answers = {await socket.message(), await socket.message()}
        assert answers == {"430[]", '42["message-back",1]'}

    async def test_an_ack_that_nobody_asked_for_is_dropped(self, socket: WebSocket) -> None:
        await socket.send("43999[1]", '42["message",1]')
        assert await socket.expect("message-back") == [1]

    async def test_over_polling_they_come_in_batches(self, server: Server) -> None:
        session = await Polling.open(server.origin)
        await session.connect()
        assert await session.expect("auth") == [{}]
        await session.send(*(f'42["message",{number}]' for number in range(10)))
        assert [await session.expect("message-back") for _ in range(10)] == [[n] for n in range(10)]


class TestBinaryData:
    @pytest.fixture(params=[WebSocket, Polling])
    async def socket(self, server: Server, request: pytest.FixtureRequest) -> Session:
        opened: Session = await request.param.open(server.origin)
        await opened.connect()
        assert await opened.expect("auth") == [{}]
        return opened

    async def test_comes_back_in_frames_of_its_own(self, socket: Session) -> None:
        await socket.send(f'452-["message",{PLACE_0},{PLACE_1}]', b"\1\2\3", b"\4\5\6")
        packet = await socket.packet()
        assert (packet.type, packet.data[0]) == (BINARY_EVENT, "message-back")
        assert [place["num"] for place in packet.arguments] == [0, 1]
        assert packet.attachments == [b"\1\2\3", b"\4\5\6"]

    async def test_is_acknowledged_in_frames_of_its_own(self, socket: Session) -> None:
        await socket.send(f'452-789["message-with-ack",{PLACE_0},{PLACE_1}]', b"\1\2\3", b"\4\5\6")
        packet = await socket.packet()
        assert (packet.type, packet.id) == (BINARY_ACK, 789)
        assert [place["num"] for place in packet.data] == [0, 1]
        assert packet.attachments == [b"\1\2\3", b"\4\5\6"]

    async def test_a_binary_packet_may_be_answered_with_a_plain_one(self, socket: Session) -> None:
        await socket.send(f'451-7["message-with-ack",1,{{"a":{PLACE_0}}}]', b"\1")
        packet = await socket.take(ACK, BINARY_ACK, id=7)
        assert packet.data[0] == 1

    async def test_a_ping_between_its_frames_is_no_part_of_it(self, socket: Session) -> None:
        await socket.send(f'452-["message",{PLACE_0},{PLACE_1}]', b"\1", "3", b"\2")
        assert (await socket.packet()).attachments == [b"\1", b"\2"]


class TestPacketsThatEndTheConnection:
    @pytest.mark.parametrize(
        "frames",
        [
            ["4abc"], ["4"], ["49"], ['42["message",1]'], ["41"], ["43[]"], ['42/custom,["message",1]'],
            ["40[]"], ['40"token"'], ["40{"], ['44{"message":"no"}'], [b"\1"],
            [f'451-["message",{PLACE_0}]', b"\1"],
        ],
        ids=repr,
    )  # fmt: skip
    async def test_before_the_connect(self, server: Server, frames: list[str | bytes]) -> None:
        socket = await WebSocket.open(server.origin)
        await socket.send(*frames)
        assert await socket.closed() < AT_ONCE

    @pytest.mark.parametrize(
        "frames",
        [
            ["4abc"], ["4"], ["47"], ["40"], ['40{"token":"1"}'], ["42"], ["42{}"], ["42[]"], ["42null"],
            ['42"message"'], ["42[null]"], ["42[{}]"], ['42["message"'], ['42abc["message-with-ack",1]'],
            ['42/custom,["message",1]'], ['42/random,["message",1]'], ["41{}"], ["43"], ["43{}"], ["431{}"],
            ['44{"message":"no"}'], ['42["connect"]'], ['42["connect_error"]'], ['42["disconnect"]'],
            ['42["disconnecting"]'], ['42["newListener"]'], ['42["removeListener"]'], [b"\1"],
            ["45-[]"], ['450-["message"]'], [f'4511-["message",{PLACE_0}]'], [f'45["message",{PLACE_0}]'],
            [f'451-["message",{PLACE_1}]', b"\1"], [f'451-["message",{PLACE_0}]', '42["message",1]'],
            [f'451-["message",{PLACE_0}]', b"\1", b"\2"],
            ['451-["message",{"_placeholder":true,"num":"0"}]', b"\1"],
            ['451-["message",{"_placeholder":true,"num":-1}]', b"\1"],
            ["42" + "[" * 5000],
        ],
        ids=lambda frames: repr(frames)[:60],
    )  # fmt: skip
    async def test_after_it(self, socket: WebSocket, frames: list[str | bytes]) -> None:
        await socket.send(*frames)
        assert await socket.closed() < AT_ONCE

    async def test_over_polling_too(self, server: Server) -> None:
        session = await Polling.open(server.origin)
        await session.connect()
        await session.post("42{}")
        assert (await session.get()).text in ("1", '{"code":1,"message":"Session ID unknown"}')
        assert await session.gone()

    async def test_other_connections_go_on(self, server: Server, socket: WebSocket) -> None:
        other = await WebSocket.open(server.origin)
        await other.connect()
        await other.send("42{}")
        await other.closed()
        await socket.emit("message", 1)
        assert await socket.expect("message-back") == [1]


# What the tests say


async def gone(socket: WebSocket) -> None:
    """It was sent away, though it answered every ping."""
    with pytest.raises(Closed):
        await answers_pings(socket)


async def answers_pings(socket: WebSocket) -> None:
    while await socket.message():
        pass

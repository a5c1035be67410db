"""Who is let in at /socket.io/, from which pages, and how much may come: as at the other door."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Connect
from tests.support import Client, Person, Server
from tests.support.client import Closed
from tests.support.engine import (
    CONNECT,
    CONNECT_ERROR,
    SOCKET,
    Packet,
    Polling,
    Session,
    WebSocket,
    fetch,
    query,
)

pytestmark = pytest.mark.each_server

APP = "https://app.example.com"
HANDSHAKE = f"{SOCKET}?{query('polling')}"


@pytest.fixture
def server(server_kind: str, probes: Callable[[str], Server]) -> Server:
    """It has another allowed origin."""
    return probes(server_kind)


@pytest.fixture(params=[WebSocket, Polling])
def transport(request: pytest.FixtureRequest) -> type[Session]:
    kind: type[Session] = request.param
    return kind


async def come_in(
    transport: Any, server: Server, namespace: str = "/chat", auth: Any = None, **headers: str
) -> Packet:
    session = await transport.open(server.origin, headers=headers)
    answer: Packet = await session.connect(namespace, auth)
    return answer


def code(answer: Packet) -> str:
    assert answer.type == CONNECT_ERROR, answer
    assert answer.data["message"]
    found: str = answer.data["data"]["code"]
    return found


class TestWhoIsLetIn:
    @pytest.mark.parametrize("namespace", ["/", "/chat", "/orders", "/users"])
    async def test_a_token_in_auth_is(self, server: Server, transport: Any, namespace: str) -> None:
        alice = server.person("alice")
        assert (await come_in(transport, server, namespace, {"token": alice.token})).type == CONNECT

    async def test_a_token_in_the_headers_is(self, server: Server, transport: Any) -> None:
        headers = {"Authorization": f"Bearer {server.person('alice').token}"}
        assert (await come_in(transport, server, **headers)).type == CONNECT

    @pytest.mark.parametrize("origin", [None, APP])
    async def test_a_session_from_an_allowed_origin_is(
        self, server: Server, transport: Any, origin: str | None
    ) -> None:
        headers = {"Cookie": server.cookie(server.person("alice")), "Origin": origin or server.origin}
        assert (await come_in(transport, server, **headers)).type == CONNECT

    @pytest.mark.parametrize("origin", ["https://evil.example", "null"])
    async def test_a_session_from_another_is_not(self, server: Server, transport: Any, origin: str) -> None:
        headers = {"Cookie": server.cookie(server.person("alice")), "Origin": origin}
        assert code(await come_in(transport, server, **headers)) == "forbidden"

    @pytest.mark.parametrize(
        "auth", [None, {}, {"token": ""}, {"token": "wrong"}, {"token": 7}, {"other": "x"}]
    )
    async def test_nobody_is_not(self, server: Server, transport: Any, auth: Any) -> None:
        assert code(await come_in(transport, server, auth=auth)) == "unauthenticated"

    async def test_a_wrong_token_is_not_even_with_a_session(self, server: Server, transport: Any) -> None:
        headers = {"Cookie": server.cookie(server.person("alice")), "Origin": server.origin}
        answer = await come_in(transport, server, auth={"token": "wrong"}, **headers)
        assert code(answer) == "unauthenticated"

    async def test_only_staff_are_in_the_admins(self, server: Server, transport: Any) -> None:
        alice, root = server.person("alice"), server.person("root", staff=True)
        assert code(await come_in(transport, server, "/admin", {"token": alice.token})) == "forbidden"
        assert (await come_in(transport, server, "/admin", {"token": root.token})).type == CONNECT

    async def test_a_refusal_leaves_the_connection_for_another_try(
        self, server: Server, transport: Any
    ) -> None:
        session = await transport.open(server.origin)
        assert code(await session.connect("/chat")) == "unauthenticated"
        auth = {"token": server.person("alice").token}
        assert (await session.connect("/chat", auth)).type == CONNECT


class TestCrossOrigin:
    async def test_a_page_of_an_allowed_origin_may_read_the_answers(self, server: Server) -> None:
        answer = await fetch(server.origin, HANDSHAKE, headers={"Origin": APP})
        assert answer.headers["access-control-allow-origin"] == APP
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert "origin" in answer.headers["vary"].lower()
        unknown = await fetch(server.origin, f"{HANDSHAKE}&sid=unknown", headers={"Origin": APP})
        assert unknown.headers["access-control-allow-origin"] == APP

    async def test_no_other_page_may(self, server: Server) -> None:
        for origin in ("https://evil.example", "null"):
            answer = await fetch(server.origin, HANDSHAKE, headers={"Origin": origin})
            assert "access-control-allow-origin" not in answer.headers

    async def test_it_is_told_beforehand_what_it_may_send(self, server: Server) -> None:
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        answer = await fetch(server.origin, HANDSHAKE, "OPTIONS", headers={"Origin": APP, **asked})
        assert answer.status in (200, 204)
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert "content-type" in answer.headers["access-control-allow-headers"]
        refused = await fetch(
            server.origin, HANDSHAKE, "OPTIONS", headers={"Origin": "https://evil.example", **asked}
        )
        assert "access-control-allow-origin" not in refused.headers


class TestEvents:
    @pytest.fixture
    async def alice(self, server: Server) -> WebSocket:
        session = await WebSocket.open(server.origin)
        assert (await session.connect("/chat", {"token": server.person("alice").token})).type == CONNECT
        return session

    async def call(self, session: Session, event: str, *data: Any) -> Any:
        return await session.call(event, *data, namespace="/chat")

    async def test_an_ack_says_what_the_line_wire_says(
        self, server: Server, alice: WebSocket, connect: Connect
    ) -> None:
        room = server.room()
        bob = await connect("bob")
        assert (await self.call(alice, "join", {"room": room}))["data"].keys() == (
            await bob.join(room)
        ).keys()
        refusal = (await self.call(alice, "join", {"room": "Not A Room"}))["error"]
        assert (refusal["code"], refusal["field"], refusal["temporary"]) == ("bad_data", "room", False)

    async def test_without_an_ack_a_refusal_is_an_event(self, alice: WebSocket) -> None:
        await alice.emit("join", {"room": "there-is-none"}, namespace="/chat")
        (error,) = await alice.expect("error", "/chat")
        assert (error["code"], error["event"]) == ("not_found", "join")

    async def test_several_arguments_and_binary_data_are_refused(self, alice: WebSocket) -> None:
        assert (await self.call(alice, "rooms", {}, {}))["error"]["code"] == "bad_data"
        await alice.send('451-/chat,77["rooms",{"_placeholder":true,"num":0}]', b"\1")
        assert (await alice.take(3, namespace="/chat", id=77)).data[0]["error"]["code"] == "bad_data"

    async def test_an_event_of_more_than_64_kib_is_too_large_and_the_connection_goes_on(
        self, alice: WebSocket
    ) -> None:
        assert (await self.call(alice, "rooms", {"x": "y" * 65_536}))["error"]["code"] == "too_large"
        assert "rooms" in (await self.call(alice, "rooms"))["data"]

    async def test_many_namespaces_share_a_connection_and_nothing_else(
        self, server: Server, alice: WebSocket
    ) -> None:
        bob = server.person("bob")
        assert (await alice.connect("/orders", {"token": bob.token})).type == CONNECT
        me = (await alice.call("user:me", namespace="/orders"))["error"]
        assert me["code"] == "unknown_event"
        await alice.send("41/orders,")
        assert "rooms" in (await self.call(alice, "rooms"))["data"]

    async def test_entries_need_no_acknowledgement_unless_the_client_says_so(
        self, server: Server, alice: WebSocket, connect: Connect
    ) -> None:
        room, bob = server.room(), await connect("bob")
        await self.call(alice, "join", {"room": room, "ack": True})
        await bob.join(room)
        seq = (await bob.say(room, "hello"))["seq"]
        (entry,) = await alice.expect("message", "/chat")
        assert (entry["seq"], entry["data"]["body"]) == (seq, "hello")
        await alice.emit("received", {room: seq}, namespace="/chat")
        async with asyncio.timeout(20):
            while not await has_received(bob, room, seq, "alice"):  # noqa: ASYNC110 (only asking tells)
                await asyncio.sleep(0.1)


class TestEnds:
    async def test_a_revoked_token_ends_the_namespace_and_says_why(
        self, server: Server, transport: Any
    ) -> None:
        alice = server.person("alice")
        session = await transport.open(server.origin)
        await session.connect("/chat", {"token": alice.token})
        await session.connect("/orders", {"token": server.person("bob").token})
        await asyncio.to_thread(server.django, revoke, alice)
        (error,) = await session.expect("error", "/chat")
        assert error["code"] == "session_ended"
        await session.take(1, namespace="/chat")
        assert (await session.call("order:list", {}, namespace="/orders"))["data"]["orders"] == []

    async def test_a_flood_ends_the_connection(self, server: Server) -> None:
        session = await WebSocket.open(server.origin)
        await session.connect("/probe", {"token": server.person("alice").token})
        await session.connect("/chat", {"token": server.person("bob").token})
        event = "42/chat," + json.dumps(["typing", {"room": "x"}])
        with pytest.raises(Closed):
            for _ in range(100):
                await session.send(*[event] * 100)
            await session.closed()
            raise Closed


async def has_received(asker: Client, room: str, seq: int, name: str) -> bool:
    who = await asker.call("who", {"room": room, "seq": seq})
    return any(person["name"].startswith(name) for person in who["received"])


def revoke(person: Person) -> None:
    from chat.models import Token
    from chat.services import tokens

    for token in Token.objects.filter(user_id=person.id):
        tokens.revoke(token)

"""Who is let in, who is not and how they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from websockets.exceptions import InvalidStatus

from tests.conftest import Connect, MakeServer
from tests.support import Client, Person, Server

pytestmark = pytest.mark.each_server


@pytest.fixture
def server(server_kind: str, probes: Callable[[str], Server]) -> Server:
    return probes(server_kind)


async def refused(client: Client) -> tuple[str, int | None]:
    """The error's code and the close code of a connection that was never let in."""
    code = await client.closed()
    assert [list(packet) for packet in client.packets] == [["error"]], client.packets
    error = client.packets[0]["error"]
    assert error["message"]
    return error["code"], code


class TestBrowsers:
    async def test_a_session_with_the_sites_own_origin_is_let_in(self, connect: Connect) -> None:
        client = await connect("alice", by="cookie")
        assert client.id == client.person.id

    async def test_so_is_one_from_an_allowed_origin(self, connect: Connect) -> None:
        client = await connect("alice", by="cookie", origin="https://app.example.com")
        assert client.id == client.person.id

    @pytest.mark.parametrize(
        "origin",
        [
            None, "null", "http://127.0.0.1", "http://127.0.0.1:{other}", "https://127.0.0.1:{port}",
            "http://127.0.0.1.evil.example:{port}",
            "http://localhost:{port}", "http://evil.example", "http://127.0.0.1:{port}@evil.example",
            "http://127.0.0.1:{port}/", "http://app.example.com", "https://app.example.com:8443",
            "https://app.example.com.evil.example", "https://evil.example/https://app.example.com",
            "https://notapp.example.com", "ws://127.0.0.1:{port}",
        ],
    )  # fmt: skip
    async def test_a_session_with_a_foreign_origin_is_refused(
        self, connect: Connect, server: Server, origin: str | None
    ) -> None:
        if origin is not None:
            origin = origin.format(port=server.port, other=server.port + 1)
        assert await refused(await connect("alice", by="cookie", origin=origin)) == ("forbidden", 4503)

    @pytest.mark.parametrize("origin", ["", "http://127.0.0.1:{port}.evil.example"])
    async def test_a_malformed_origin_is_refused_by_daphne_itself(
        self, connect: Connect, server: Server, server_kind: str, origin: str
    ) -> None:
        origin = origin.format(port=server.port)
        if server_kind == "daphne":
            with pytest.raises(InvalidStatus, match="400"):
                await connect("alice", by="cookie", origin=origin)
        else:
            assert await refused(await connect("alice", by="cookie", origin=origin)) == ("forbidden", 4503)

    async def test_a_host_that_is_not_ours_makes_its_origin_no_better(
        self, connect: Connect, server: Server
    ) -> None:
        person = server.person("alice")
        with_host = await raw_handshake(
            server, Host="evil.example", Origin="http://evil.example", Cookie=server.cookie(person)
        )
        assert b'"forbidden"' in with_host

    @pytest.mark.parametrize(
        "cookie",
        ["", "sessionid=", "sessionid=0123456789abcdefghijklmnopqrstuv", 'sessionid="\\000"', "other=1"],
    )
    async def test_no_session_or_one_that_is_none_is_unauthenticated(
        self, connect: Connect, server: Server, cookie: str
    ) -> None:
        client = await connect("alice", by=None, cookie=cookie, origin=server.origin)
        assert await refused(client) == ("unauthenticated", 4501)

    async def test_an_inactive_persons_session_is_unauthenticated(
        self, connect: Connect, server: Server
    ) -> None:
        person = server.person("alice")
        cookie = server.cookie(person)
        server.django(deactivate, person)
        client = await connect(person, by=None, cookie=cookie, origin=server.origin)
        assert await refused(client) == ("unauthenticated", 4501)


class TestTokens:
    @pytest.mark.parametrize("origin", [None, "null", "https://evil.example"])
    async def test_with_a_token_the_origin_does_not_matter(
        self, connect: Connect, origin: str | None
    ) -> None:
        client = await connect("alice", origin=origin)
        assert client.id == client.person.id

    async def test_a_token_decides_even_where_there_is_a_session(
        self, connect: Connect, server: Server
    ) -> None:
        alice, bob = server.person("alice"), server.person("bob")
        client = await connect(
            alice, by=None, token=alice.token, cookie=server.cookie(bob), origin=server.origin
        )
        assert client.id == alice.id
        client = await connect(bob, by=None, token="wrong", cookie=server.cookie(bob), origin=server.origin)
        assert await refused(client) == ("unauthenticated", 4501)

    @pytest.mark.parametrize("token", ["", "wrong", "x" * 4000, "ü"])
    async def test_a_wrong_token_is_unauthenticated(self, connect: Connect, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        assert await refused(await connect("alice", by=None, headers=headers)) == ("unauthenticated", 4501)

    async def test_nothing_at_all_is_unauthenticated(self, connect: Connect) -> None:
        assert await refused(await connect("alice", by=None)) == ("unauthenticated", 4501)

    async def test_a_token_in_the_url_is_not_looked_at(self, connect: Connect, server: Server) -> None:
        person = server.person("alice")
        client = await connect(person, by=None, namespace=f"chat/?token={person.token}&x=")
        assert await refused(client) == ("unauthenticated", 4501)

    async def test_a_revoked_token_is_unauthenticated_and_its_sockets_close(
        self, connect: Connect, server: Server
    ) -> None:
        client = await connect("alice")
        await asyncio.to_thread(server.django, revoke, client.person)
        assert (await client.expect_error())["code"] == "session_ended"
        assert await client.closed() == 4509
        assert await refused(await connect(client.person)) == ("unauthenticated", 4501)

    async def test_an_inactive_persons_token_is_unauthenticated(
        self, connect: Connect, server: Server
    ) -> None:
        person = server.person("alice")
        server.django(deactivate, person)
        assert await refused(await connect(person)) == ("unauthenticated", 4501)

    async def test_someone_banned_from_the_site_is_told_why(self, connect: Connect, server: Server) -> None:
        person = server.person("alice")
        server.django(ban, person, "spam")
        client = await connect(person)
        assert await refused(client) == ("banned", 4503)
        assert client.packets[0]["error"]["reason"] == "spam"


class TestNamespaces:
    @pytest.mark.parametrize(
        "path", ["nothing", "chat/chat", "Chat", "../chat", "chat%00", "%ff", "__class__", "socket"]
    )
    async def test_an_unknown_one_is_not_found(self, connect: Connect, path: str) -> None:
        for by in ("token", None):
            assert await refused(await connect("alice", by=by, namespace=path)) == ("not_found", 4503)


class TestStopping:
    async def test_a_server_that_stops_sends_everyone_away_to_come_back(
        self, make_server: MakeServer, server_kind: str
    ) -> None:
        server = make_server(server_kind).start()
        person = server.person("alice")
        clients = [await Client.open(server.ws, token=person.token) for _ in range(3)]
        assert await asyncio.to_thread(server.stop) in (0, -15)
        for client in clients:
            assert await client.closed() == 4001
            assert client.packets[-1]["error"]["temporary"] is True


async def raw_handshake(server: Server, **headers: str) -> bytes:
    """What comes back, up to the end, when a client without manners connects."""
    lines = {
        "Host": f"127.0.0.1:{server.port}", "Upgrade": "websocket", "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13", **headers,
    }  # fmt: skip
    request = "GET /ws/chat/ HTTP/1.1\r\n" + "".join(f"{key}: {value}\r\n" for key, value in lines.items())
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request.encode() + b"\r\n")
    try:
        async with asyncio.timeout(10):
            received = b""
            while b'"temporary"' not in received:
                received += await reader.read(65_536)
            return received
    finally:
        writer.close()


def revoke(person: Person) -> None:
    from chat.models import Token
    from chat.services import tokens

    for token in Token.objects.filter(user_id=person.id):
        tokens.revoke(token)


def deactivate(person: Person) -> None:
    from django.contrib.auth import get_user_model

    get_user_model().objects.filter(pk=person.id).update(is_active=False)


def ban(person: Person, reason: str) -> None:
    from chat.models import Ban

    Ban.objects.create(user_id=person.id, reason=reason)

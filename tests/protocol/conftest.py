"""Servers with more namespaces than the real ones, with smaller constants, or two on one PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from tests.conftest import MakeServer
from tests.support import Client, Person, Server, databases

from .conformance import conformance
from .queues import make_queue
from .shortened import shortened

Pair = tuple[Server, Server]
OpenAt = Callable[..., Awaitable[Client]]


@pytest.fixture(scope="session")
def probes(new_server: MakeServer) -> Iterator[Callable[[str], Server]]:
    made: dict[str, Server] = {}

    def get(kind: str) -> Server:
        options = {"ALLOWED_ORIGINS": "https://app.example.com", "TRUSTED_PROXIES": ""}
        made[kind] = made.get(kind) or new_server(kind, app="tests.protocol.probe:application", env=options)
        server = made[kind]
        return server if server.process else server.start()

    yield get
    for server in made.values():
        server.close()


@pytest.fixture(scope="session")
def extended(new_server: MakeServer) -> Iterator[Callable[[str], Server]]:
    """Servers of a project that has added apps of its own."""
    made: dict[str, Server] = {}

    def get(kind: str) -> Server:
        env = {"DJANGO_SETTINGS_MODULE": "tests.extended"}
        server = made[kind] = made.get(kind) or new_server(kind, env=env)
        return server if server.process else server.start()

    yield get
    for server in made.values():
        server.close()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "shortened(**constants): on a server with smaller constants")


@pytest.fixture(scope="session")
def shortened_servers(new_server: MakeServer) -> Iterator[Callable[..., Server]]:
    made: dict[str, Server] = {}

    def get(kind: str, **constants: float) -> Server:
        key = f"{kind} {sorted(constants.items())}"
        server = made[key] = made.get(key) or new_server(kind, **shortened(**constants))
        return server if server.process else server.start()

    yield get
    for server in made.values():
        server.close()


@pytest.fixture(scope="session")
def conformance_servers(new_server: MakeServer) -> Iterator[Callable[..., Server]]:
    """Servers of what the suites of Engine.IO's and Socket.IO's protocols expect."""
    made: dict[str, Server] = {}

    def get(kind: str, **options: float) -> Server:
        key = f"{kind} {sorted(options.items())}"
        server = made[key] = made.get(key) or new_server(kind, **conformance(**options))
        return server if server.process else server.start()

    yield get
    for server in made.values():
        server.close()


@pytest.fixture
def server(request: pytest.FixtureRequest, server_kind: str) -> Server:
    """A running server, shared with other tests; see the marker `shortened`."""
    marker = request.node.get_closest_marker("shortened")
    servers = request.getfixturevalue("servers" if marker is None else "shortened_servers")
    running: Server = servers(server_kind, **({} if marker is None else marker.kwargs))
    return running


@pytest.fixture
def queue(server: Server, alice: Client) -> str:
    """A new unordered queue of Alice's."""
    return make_queue(server, alice.person)


@pytest.fixture(scope="module")
def pair_options() -> dict[str, Any]:
    """What the two of `pair` are made with, beside their databases: for a module to override."""
    return {}


@pytest.fixture(scope="module", params=["redis", "no redis"])
def pair(
    request: pytest.FixtureRequest,
    new_server: MakeServer,
    postgres_server_url: str,
    pair_options: dict[str, Any],
) -> Iterator[Pair]:
    """Two server processes on one PostgreSQL, with Redis for hints and without."""
    redis = request.getfixturevalue("redis_url") if request.param == "redis" else ""
    options = {**pair_options, "env": {**pair_options.get("env", {}), "REDIS_URL": redis}}
    options["database_url"] = databases.new_database(postgres_server_url)
    with new_server("daphne", **options) as first, new_server("uvicorn", **options) as second:
        yield first, second


@pytest.fixture
async def open_at(pair: Pair) -> AsyncIterator[OpenAt]:
    """`await open_at(0, "alice", "orders")`: a client at one of the two, dropped after the test."""
    clients: list[Client] = []

    async def open_client(process: int, who: str | Person, namespace: str = "chat") -> Client:
        person = pair[0].person(who) if isinstance(who, str) else who
        client = await Client.open(pair[process].ws, namespace, token=person.token)
        client.person = person
        clients.append(client)
        return client

    yield open_client
    for client in clients:
        await client.drop()

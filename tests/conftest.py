"""Fixtures: real servers, and clients that know whom they speak for."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any

import pytest

from tests.support import Client, Person, Server, databases
from tests.support.server import KINDS

Connect = Callable[..., Awaitable[Client]]
MakeServer = Callable[..., Server]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--server",
        choices=[*KINDS, "all"],
        default=os.environ.get("SERVER") or None,
        help="run server tests on this one; without it on Daphne, and on both where a test asks for that",
    )


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        # As a shell starts what runs in its background. Commands that tests end by Ctrl-C would
        # inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "each_server: runs on Daphne and on uvicorn")
    config.addinivalue_line("markers", "namespace(path): where `connect` goes unless told otherwise")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server_kind" not in metafunc.fixturenames:
        return
    chosen = metafunc.config.getoption("--server")
    if chosen is None:
        chosen = "all" if metafunc.definition.get_closest_marker("each_server") else KINDS[0]
    metafunc.parametrize("server_kind", KINDS if chosen == "all" else [chosen])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for server in Server.alive:
            report.sections.append((f"log of {server.kind} at {server.port}", server.log()))
    return report


@pytest.fixture(scope="session")
def new_server(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> MakeServer:
    def make(kind: str = KINDS[0], **options: Any) -> Server:
        return Server(tmp_path_factory.mktemp("server"), kind, unblock=django_db_blocker.unblock, **options)

    return make


@pytest.fixture
def make_server(new_server: MakeServer) -> Iterator[MakeServer]:
    """`make_server("uvicorn", env={…})`: a server of a test's own, not started yet."""
    with contextlib.ExitStack() as made:
        yield lambda kind=KINDS[0], **options: made.enter_context(
            contextlib.closing(new_server(kind, **options))
        )


@pytest.fixture(scope="session")
def servers(new_server: MakeServer) -> Iterator[Callable[[str], Server]]:
    """The servers that tests share, one of a kind, started when first asked for."""
    made: dict[str, Server] = {}

    def get(kind: str) -> Server:
        server = made[kind] = made.get(kind) or new_server(kind)
        return server if server.process else server.start()

    yield get
    for server in made.values():
        server.close()


@pytest.fixture
def server(server_kind: str, servers: Callable[[str], Server]) -> Server:
    """A running server, shared with other tests: take new people and rooms."""
    return servers(server_kind)


@pytest.fixture
async def connect(request: pytest.FixtureRequest, server: Server) -> AsyncIterator[Connect]:
    """`await connect("alice")`, `await connect(person, namespace="chat", origin=…)`: a client,
    closed after the test. `by` is "token", "cookie" (as a browser, with the site's own Origin
    unless another is given) or None; other options as in `Client.open`.
    """
    marker = request.node.get_closest_marker("namespace")
    defaults = {"namespace": marker.args[0]} if marker else {}
    clients: list[Client] = []

    async def open_client(
        who: str | Person | Client = "alice", *, by: str | None = "token", via: Any = None, **options: Any
    ) -> Client:
        person = who.person if isinstance(who, Client) else who
        if isinstance(person, str):
            person = server.person(person)
        if by == "cookie":
            options = {"cookie": server.cookie(person), "origin": server.origin, **options}
        elif by == "token":
            options = {"token": person.token, **options}
        client = await Client.open((via or server).ws, **{**defaults, **options})
        client.person = person
        clients.append(client)
        return client

    yield open_client
    for client in clients:
        await client.drop()


@pytest.fixture
async def alice(connect: Connect) -> Client:
    return await connect("alice")


@pytest.fixture
async def bob(connect: Connect) -> Client:
    return await connect("bob")


@pytest.fixture
async def charlie(connect: Connect) -> Client:
    """The outsider: in no room of the others."""
    return await connect("charlie")


@pytest.fixture
def room(server: Server) -> str:
    """A new public room without members."""
    return server.room()


@pytest.fixture(scope="session")
def postgres_server_url() -> Iterator[str]:
    with databases.postgres() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server_url: str) -> str:
    """An empty database on a real PostgreSQL."""
    return databases.new_database(postgres_server_url)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with databases.redis(tmp_path_factory.mktemp("redis")) as url:
        yield url

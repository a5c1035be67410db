"""Servers with one more namespace, for what no handler of a real one does, or with smaller constants."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.conftest import MakeServer
from tests.support import Server

from .shortened import shortened


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


@pytest.fixture
def server(request: pytest.FixtureRequest, server_kind: str) -> Server:
    """A running server, shared with other tests; see the marker `shortened`."""
    marker = request.node.get_closest_marker("shortened")
    servers = request.getfixturevalue("servers" if marker is None else "shortened_servers")
    running: Server = servers(server_kind, **({} if marker is None else marker.kwargs))
    return running

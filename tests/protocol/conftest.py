"""A server with one more namespace, for what no handler of a real one does."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.conftest import MakeServer
from tests.support import Server


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

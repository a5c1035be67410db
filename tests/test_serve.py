"""`manage.py serve`, and what load balancers and monitors ask a server."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.core.management import CommandError

from chat.errors import Close
from chat.hub import hints
from chat.management.commands.serve import check_workers
from chat.views import health
from tests.conftest import MakeServer
from tests.support import Client, Server
from tests.support.server import ROOT


def fetch(url: str, token: str = "", cookie: str = "") -> tuple[int, str]:
    request = urllib.request.Request(url)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    if cookie:
        request.add_header("Cookie", cookie)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def figure(metrics: str, name: str) -> float:
    """The sum over all processes."""
    lines = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", metrics, re.MULTILINE)
    assert lines, f"no {name} in {metrics}"
    return sum(map(float, lines))


# serve


def test_more_workers_than_one_need_redis() -> None:
    with pytest.raises(CommandError, match="WORKERS is 2 and REDIS_URL is missing"):
        check_workers(2, [])
    check_workers(1, [])
    check_workers(2, ["redis://localhost"])


def test_serve_says_what_is_wrong_in_one_line(tmp_path: object) -> None:
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "chatsite.settings", "SECRET_KEY": "x" * 50}
    env |= {"WORKERS": "3", "REDIS_URL": "", "DEBUG": "0", "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3"}
    command = [sys.executable, "manage.py", "serve"]
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1 and "WORKERS is 3" in ended.stderr


@pytest.mark.timeout(300)
async def test_two_workers_serve_one_site_and_send_everyone_back_when_they_stop(
    make_server: MakeServer, postgres_url: str, redis_url: str
) -> None:
    """From an empty database: `serve` migrates it."""
    env = {"WORKERS": "2", "REDIS_URL": redis_url}
    server = make_server("serve", database_url=postgres_url, env=env)
    await asyncio.to_thread(server.start)
    room = server.room()
    clients = [await Client.open(server.ws, token=server.person("member").token) for _ in range(6)]
    for client in clients:
        await client.join(room)
    for number, client in enumerate(clients):
        await client.say(room, str(number))
    for client in clients:
        await client.gets_upto(room, len(clients))
        assert client.bodies(room) == [str(number) for number in range(len(clients))]
    admin = server.person("admin", staff=True)
    _, shown = await asyncio.to_thread(fetch, f"{server.origin}/metrics", admin.token)
    assert figure(shown, "chat_sockets") == len(clients)
    assert len(re.findall("^chat_stored_total", shown, re.MULTILINE)) == 2  # processes
    assert await asyncio.to_thread(server.stop) == 0
    assert [await client.closed() for client in clients] == [Close.GOING_AWAY] * len(clients)


# What others ask


def test_a_server_says_when_it_is_ready(server: Server) -> None:
    assert fetch(f"{server.origin}/healthz") == (200, "ok\n")
    assert fetch(f"{server.origin}/readyz") == (200, "ready\nlayer: in memory, for one process\n")


async def test_a_layer_that_says_nothing_turns_nobody_away(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        layer = RedisPubSubChannelLayer(hosts=[f"redis://127.0.0.1:{silent.getsockname()[1]}"])
        monkeypatch.setattr(hints, "get_channel_layer", lambda: layer)
        monkeypatch.setattr(hints.Hints, "alone", False)
        monkeypatch.setattr(health, "PATIENCE", 0.1)
        async with asyncio.timeout(30):
            assert "can't be reached" in await health._layer()


async def test_metrics_are_for_the_staff_alone(server: Server) -> None:
    alice, admin = server.person("alice"), server.person("admin", staff=True)
    url = f"{server.origin}/metrics"
    for stranger in ({}, {"token": "no"}, {"token": alice.token}, {"cookie": server.cookie(alice)}):
        status, text = await asyncio.to_thread(fetch, url, **stranger)
        assert status == 403 and "chat_" not in text
    for known in ({"token": admin.token}, {"cookie": server.cookie(admin)}):
        assert (await asyncio.to_thread(fetch, url, **known))[0] == 200


async def test_metrics_count_what_was_stored_and_delivered(server: Server) -> None:
    admin = server.person("admin", staff=True)
    url = f"{server.origin}/metrics"
    _, before = await asyncio.to_thread(fetch, url, admin.token)
    room = server.room()
    alice, bob = [await Client.open(server.ws, token=server.person(name).token) for name in ("alice", "bob")]
    for client in (alice, bob):
        await client.join(room)
    sent = [(await alice.say(room, str(number)))["seq"] for number in range(5)]
    for client in (alice, bob):
        await client.gets_upto(room, sent[-1])
        await client.received(room, sent[-1])
    _, after = await asyncio.to_thread(fetch, url, admin.token)

    def grown(name: str) -> float:
        return figure(after, name) - figure(before, name)

    assert grown("chat_stored_total") >= 5
    assert grown("chat_delivered_total") >= 10
    assert grown("chat_commit_entries_sum") >= 5
    assert 0 < grown("chat_commit_seconds_count") == grown("chat_commit_entries_count")
    assert grown("chat_push_seconds_count") >= 1
    assert figure(after, "chat_sockets") >= 2
    for client in (alice, bob):
        await client.drop()

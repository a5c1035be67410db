"""`manage.py emit`: an event from a process that has no sockets."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Connect
from tests.support import Server

ROOT = Path(__file__).resolve().parents[1]


async def emit(server: Server, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "manage.py", "emit", *arguments]
    ended = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, env=server.environment, capture_output=True, text=True, timeout=60
    )
    assert ended.stdout == ""
    return ended.returncode, ended.stderr


async def test_everyone_in_a_namespace_gets_it_and_nobody_elsewhere(connect: Connect, server: Server) -> None:
    alice, bob = await connect("alice", namespace="users"), await connect("bob", namespace="users")
    elsewhere = await connect("alice")
    assert await emit(server, "/users", "tea", '{"ready": true}') == (0, "")
    for each in (alice, bob):
        assert (await each.expect("tea"))["data"] == {"ready": True}
    assert [packet for packet in elsewhere.packets if packet.get("event") == "tea"] == []


async def test_rooms_and_people_are_named_and_left_out(connect: Connect, server: Server) -> None:
    alice, bob, charlie = [await connect(name, namespace="users") for name in ("alice", "bob", "charlie")]
    for each in (alice, bob):
        await each.call("join", {"room": "kitchen"})
    assert (await emit(server, "users", "tea", "--to", "kitchen", "--except", f"user:{bob.id}"))[0] == 0
    assert (await emit(server, "users", "tea", "2"))[0] == 0
    assert (await alice.expect("tea"))["data"] is None
    assert [(await each.expect("tea"))["data"] for each in (alice, bob, charlie)] == [2, 2, 2]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("/nowhere", "tea"), 2, "there is no namespace /nowhere; there are /admin, /chat, /orders, /users"),
        (("/users", "tea", "{"), 2, "JSON must be one JSON value"),
        (("/chat", "message"), 2, "is a kind of entry"),
        (("/users",), 2, "the following arguments are required: EVENT"),
    ],
)
async def test_what_cannot_be_emitted_is_refused_in_words(
    server: Server, arguments: tuple[str, ...], status: int, said: str
) -> None:
    refused = await emit(server, *arguments)
    assert refused[0] == status
    assert said in refused[1]
    assert "Traceback" not in refused[1]

"""An app of somebody else's, added to INSTALLED_APPS: the example of docs/namespaces.md."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import textwrap
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Connect
from tests.support import Refused, Server

pytestmark = pytest.mark.each_server

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "tests/tickets"


@pytest.fixture
def server(server_kind: str, extended: Callable[[str], Server]) -> Server:
    return extended(server_kind)


async def test_the_desk_hears_of_a_ticket_and_its_opener_is_answered(connect: Connect) -> None:
    alice, bob, charlie = [await connect(name, namespace="tickets") for name in ("alice", "bob", "charlie")]
    await bob.call("join", {"room": "billing"})
    ticket = await alice.call("ticket:open", {"desk": "billing", "title": "Paid twice"})
    assert ticket == {"desk": "billing", "title": "Paid twice", "by": alice.name}
    assert (await bob.expect("ticket:opened"))["data"] == ticket
    await charlie.call("join", {"room": "billing"})  # too late
    assert [packet["event"] for packet in charlie.packets if "event" in packet] == ["connect"]


async def test_data_that_does_not_fit_the_signature_is_refused_in_words(connect: Connect) -> None:
    alice = await connect("alice", namespace="tickets")
    with pytest.raises(Refused) as refused:
        await alice.call("ticket:open", {"desk": "billing"})
    assert (refused.value.code, refused.value.error["field"]) == ("bad_data", "title")
    with pytest.raises(Refused, match="`desk` must be a name of 1 to 64"):
        await alice.call("ticket:open", {"desk": "The Billing Desk", "title": "Paid twice"})


async def test_strangers_are_refused_at_the_door(connect: Connect) -> None:
    stranger = await connect("alice", namespace="tickets", by=None)
    await stranger.expect_error("unauthenticated")
    assert await stranger.closed() == 4501


async def test_a_view_of_the_app_emits(connect: Connect, server: Server) -> None:
    bob = await connect("bob", namespace="tickets")
    await bob.call("join", {"room": "billing"})
    await asyncio.to_thread(post, server, "/tickets/billing/close/", b"title=Paid+twice")
    assert (await bob.expect("ticket:closed"))["data"] == {"desk": "billing", "title": "Paid twice"}


def post(server: Server, path: str, body: bytes) -> None:
    token = "x" * 32
    cookies = f"{server.cookie(server.person('alice'))}; csrftoken={token}"
    headers = {"Cookie": cookies, "X-CSRFToken": token}
    urllib.request.urlopen(urllib.request.Request(server.origin + path, body, headers)).close()


async def test_a_command_of_the_app_emits(connect: Connect, server: Server) -> None:
    bob = await connect("bob", namespace="tickets")
    await bob.call("join", {"room": "billing"})
    await asyncio.to_thread(server.manage, "close_desk", "billing")
    assert (await bob.expect("desk:closed"))["data"] == {"desk": "billing"}


async def test_desks_are_rooms_of_this_namespace_alone(connect: Connect, server: Server) -> None:
    alice = await connect("alice", namespace="tickets")
    bob = await connect("bob", namespace="chat")
    await bob.call("room:create", {"room": "support"})
    await bob.join("support")
    await alice.call("ticket:open", {"desk": "support", "title": "Hello?"})
    await bob.say("support", "hello")
    assert "ticket:opened" not in [packet.get("event") for packet in bob.packets]


@pytest.mark.parametrize(
    "file", ["namespaces.py", "middleware.py", "views.py", "management/commands/close_desk.py"]
)
def test_the_documentation_shows_this_code(file: str) -> None:
    assert f"```python\n{(APP / file).read_text()}```" in (ROOT / "docs/namespaces.md").read_text()


def test_all_that_the_documentation_shows_can_be_parsed() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/namespaces.md").read_text(), re.S)
    assert len(blocks) > 10
    for block in blocks:
        ast.parse(block if "import *" in block else f"async def shown():\n{textwrap.indent(block, '    ')}")


def test_the_first_namespace_is_a_dozen_lines() -> None:
    code = (APP / "namespaces.py").read_text().splitlines()
    assert len([line for line in code if line.strip()]) <= 12


def test_the_documentation_shows_how_to_test_it() -> None:
    shown = inspect.getsource(test_the_desk_hears_of_a_ticket_and_its_opener_is_answered)
    assert f"\n{shown}```" in (ROOT / "docs/namespaces.md").read_text()

"""Two server processes on one PostgreSQL, with Redis for hints and without."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest

from chat.errors import Close
from chat.models import Token
from chat.services import tokens
from tests.conftest import MakeServer
from tests.support import Client

from .conftest import OpenAt, Pair
from .shortened import shortened

SENT = 50


@pytest.fixture
async def here_and_there(pair: Pair, open_at: OpenAt) -> tuple[Client, Client, str]:
    """Alice on one process, Bob on the other, both in one room."""
    room = pair[0].room()
    alice, bob = await open_at(0, "alice"), await open_at(1, "bob")
    await alice.join(room)
    await bob.join(room)
    return alice, bob, room


async def test_members_in_another_process_get_every_message_in_order(
    here_and_there: tuple[Client, Client, str], request: pytest.FixtureRequest
) -> None:
    alice, bob, room = here_and_there
    for number in range(SENT):
        await (alice if number % 2 else bob).say(room, str(number))
    began = time.monotonic()
    await asyncio.gather(*(client.gets_upto(room, SENT) for client in here_and_there[:2]))
    waited = time.monotonic() - began
    assert alice.seqs(room) == bob.seqs(room) == list(range(1, SENT + 1))
    assert alice.bodies(room) == bob.bodies(room) == [str(number) for number in range(SENT)]
    # Without a hint, the look at all heads once a second finds what is new.
    assert waited < 3, request.node.name


async def test_a_token_revoked_by_a_command_closes_sockets_in_every_process(
    here_and_there: tuple[Client, Client, str], pair: Pair
) -> None:
    alice, bob, _ = here_and_there

    def revoke() -> None:
        for token in Token.objects.filter(user__in=[alice.person.id, bob.person.id]):
            tokens.revoke(token)

    pair[0].django(revoke)
    closed = await asyncio.gather(alice.closed(), bob.closed())
    assert closed == [Close.SESSION_ENDED] * 2


async def test_what_a_command_writes_is_hinted_at_through_redis(
    make_server: MakeServer, redis_url: str
) -> None:
    """A process of the site that has no hub, and a server that does not poll."""
    options = shortened(hub__hub__POLL=600)
    options["env"] |= {"REDIS_URL": redis_url}
    server = make_server(**options).start()
    alice = await Client.open(server.ws, "users", token=server.person("alice").token)
    command = [sys.executable, "manage.py", "emit", "/users", "tea"]
    await asyncio.to_thread(subprocess.run, command, env=server.environment, check=True, timeout=60)
    await alice.expect("tea")
    await alice.drop()


@pytest.mark.parametrize("pair", ["redis"], indirect=True)
async def test_typing_is_seen_in_another_process(here_and_there: tuple[Client, Client, str]) -> None:
    alice, bob, room = here_and_there
    await alice.call("typing", {"room": room})
    seen = await bob.expect("typing")
    assert seen["data"]["user"]["id"] == alice.person.id

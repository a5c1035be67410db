"""What is not acknowledged comes again, over a real server."""

from __future__ import annotations

import time

import pytest

from chat.errors import Close
from chat.models import DeadLetter
from tests.conftest import Connect
from tests.support import Client, Server

from .acts import fill


async def copies(client: Client, room: str, count: int) -> list[int]:
    """The entries that came, once there are so many copies."""
    async for _ in client.entries(room):
        if len(client.seqs(room)) >= count:
            break
    return client.seqs(room)


@pytest.mark.each_server
async def test_a_socket_that_acknowledges_nothing_gets_it_all_three_times_more_and_is_closed(
    server: Server, connect: Connect, alice: Client, bob: Client
) -> None:
    room = server.room("again", [alice.person, bob.person], ack_wait=0.1)
    await bob.join(room)
    await alice.say(room, "one")
    await alice.say(room, "two")
    assert await bob.closed() == Close.UNACKNOWLEDGED
    assert (await bob.expect_error())["code"] == "unacknowledged"
    assert bob.seqs(room) == [1, 2] * 4
    back = await connect(bob)
    assert (await back.join(room))["cursor"] == 0
    await back.gets_upto(room, 2)


async def test_the_wait_for_an_acknowledgement_doubles(server: Server, alice: Client, bob: Client) -> None:
    room = server.room("again", [alice.person, bob.person], ack_wait=0.2)
    await bob.join(room)
    came: list[float] = []
    bob.on_entry = lambda entry: came.append(time.monotonic())
    await alice.say(room, "one")
    assert await bob.closed() == Close.UNACKNOWLEDGED
    # 0.2 + 0.4 + 0.8 + 1.6 seconds, and not four times the first; tests/unit/hub has each to the tick.
    assert len(came) == 4
    assert 2.5 < time.monotonic() - came[0] < 60


async def test_what_was_acknowledged_does_not_come_again(server: Server, alice: Client, bob: Client) -> None:
    room = server.room("again", [alice.person, bob.person], ack_wait=0.3)
    await bob.join(room)
    for number in range(3):
        await alice.say(room, str(number))
    await bob.gets(room, seq=3)
    await bob.received(room, 2)
    assert await copies(bob, room, 4) == [1, 2, 3, 3]
    await bob.received(room, 3)
    await alice.say(room, "more")
    assert await copies(bob, room, 5) == [1, 2, 3, 3, 4]


async def test_one_tabs_acknowledgement_does_not_excuse_another_tab(
    server: Server, connect: Connect, alice: Client, bob: Client
) -> None:
    room = server.room("tabs", [alice.person, bob.person], ack_wait=0.1)
    tab = await connect(bob)
    await bob.join(room)
    await tab.join(room)
    await alice.say(room, "one")
    await bob.gets(room, seq=1)
    await bob.received(room, 1)
    assert await tab.closed() == Close.UNACKNOWLEDGED
    assert tab.seqs(room) == [1, 1, 1, 1]
    assert bob.seqs(room) == [1] and bob.close_code is None


async def test_each_tab_gets_what_lies_after_its_own_position(
    server: Server, connect: Connect, alice: Client, bob: Client
) -> None:
    room = server.room("tabs", [alice.person, bob.person])
    server.django(fill, room, alice.id, 5)
    await bob.join(room)
    await bob.gets(room, seq=5)
    await bob.received(room, 5)
    tab = await connect(bob)
    await tab.join(room, after=2)
    await tab.gets(room, seq=5)
    assert tab.seqs(room) == [3, 4, 5]


async def test_a_client_that_never_acknowledges_and_says_so_stays(
    server: Server, alice: Client, bob: Client
) -> None:
    room = server.room("mute", [alice.person, bob.person], ack_wait=0.1)
    await bob.join(room, ack=False)
    other = server.room("clock", [alice.person], ack_wait=0.1)
    await alice.join(other)
    await alice.say(room, "one")
    await alice.say(other, "a clock of four rounds")
    assert await alice.closed() == Close.UNACKNOWLEDGED
    assert bob.seqs(room) == [1] and bob.close_code is None


@pytest.mark.each_server
async def test_an_unordered_entry_comes_again_alone_and_becomes_a_dead_letter(
    server: Server, alice: Client, bob: Client
) -> None:
    room = server.room(
        "unordered", [alice.person, bob.person], ordering="unordered", ack_wait=0.2, max_deliver=3
    )
    await alice.join(room)
    await bob.join(room)
    for number in range(3):
        await alice.say(room, str(number))
    await alice.gets(room, seq=3)
    await alice.received(room, [1, 2, 3])
    await bob.gets(room, seq=3)
    await bob.received(room, [1, 3])
    assert await copies(bob, room, 5) == [1, 2, 3, 2, 2]
    await bob.expect("receipts", room=room, received_by_all=3)  # it holds back nobody's cursor
    letters = server.django(lambda: list(DeadLetter.objects.filter(room__slug=room)))
    assert [(each.user_id, each.first, each.last) for each in letters] == [(bob.id, 2, 2)]
    assert (letters[0].attempts, letters[0].reason) == (3, "max_deliver")
    assert bob.close_code is None


async def test_one_entry_that_is_never_acknowledged_holds_back_no_other(
    server: Server, alice: Client, bob: Client
) -> None:
    room = server.room(
        "unordered", [alice.person, bob.person], ordering="unordered", ack_wait=3600, max_deliver=1000
    )
    server.django(fill, room, alice.id, 3000)
    await bob.join(room)
    async for entry in bob.entries(room):
        if entry["seq"] > 1:
            await bob.received(room, [entry["seq"]])
        if entry["seq"] == 3000:
            break
    assert sorted(bob.seqs(room)) == list(range(1, 3001))
    assert bob.close_code is None

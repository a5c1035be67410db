"""What moderators do at one server process reaches people at another, with Redis and without.

Alice is one of the staff at the first process, Bob the person whom it is about at the second. A
room's owner is at the first, too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User

from chat.errors import Close
from chat.models import Token
from chat.services import moderation
from tests.support import Client, Refused

from .conftest import OpenAt, Pair
from .saying import message, refused_in_the_end

#: Seconds until another process has felt it. It takes one without Redis, the next poll, and a few
#: hundredths of one with it; a busy machine takes longer.
SOON = 15.0


@pytest.fixture
async def alice(pair: Pair, open_at: OpenAt) -> Client:
    return await open_at(0, pair[0].person("alice", staff=True), "admin")


@pytest.fixture
async def bob(open_at: OpenAt) -> Client:
    return await open_at(1, "bob")


async def test_a_ban_reaches_every_process(alice: Client, bob: Client, open_at: OpenAt) -> None:
    here = await open_at(0, bob.person, "users")
    await alice.call("user:ban", {"user": bob.id, "reason": "spam"})
    for client in (bob, here):
        assert (await client.ends(Close.NOT_ALLOWED, "banned", SOON))["reason"] == "spam"


async def test_a_kick_reaches_every_process(alice: Client, bob: Client, open_at: OpenAt) -> None:
    await alice.call("user:kick", {"user": bob.id, "reason": "calm down"})
    assert (await bob.ends(Close.NOT_ALLOWED, "kicked", SOON))["reason"] == "calm down"
    assert (await open_at(1, bob.person)).hello


async def test_a_deletion_reaches_every_process(alice: Client, bob: Client, open_at: OpenAt) -> None:
    here = await open_at(0, bob.person)
    await alice.call("user:delete", {"user": bob.id, "erase": True})
    for client in (bob, here):
        await client.ends(Close.SESSION_ENDED, "session_ended", SOON)


async def test_rooms_feel_it_in_every_process(
    pair: Pair, alice: Client, bob: Client, open_at: OpenAt
) -> None:
    charlie = await open_at(1, "charlie")
    room = pair[0].room("room", [charlie.person, bob.person])
    for client in (bob, charlie):
        await client.join(room)
    seq = (await bob.say(room, "an insult"))["seq"]
    await alice.call("message:delete", {"room": room, "seq": seq, "reason": "insult"})
    assert (await charlie.gets(room, event="delete"))["data"]["target"] == seq
    await alice.call("user:mute", {"room": room, "user": bob.id, "reason": "caps"})
    await bob.gets(room, event="notice")
    with pytest.raises(Refused, match="muted"):
        await bob.say(room, "HELLO")
    await alice.call("room:kick", {"room": room, "user": bob.id, "reason": "enough"})
    assert (await bob.expect("room:removed", room=room))["data"]["reason"] == "enough"
    await alice.call("room:close", {"room": room})
    assert (await charlie.expect("room:updated", room=room))["data"]["closed"]


# By the owner of a room


@pytest.fixture
async def owner(open_at: OpenAt) -> Client:
    return await open_at(0, "owner")


@pytest.fixture
async def room(pair: Pair, owner: Client, bob: Client) -> str:
    slug = pair[0].room("room", [owner.person, bob.person])
    await bob.join(slug)
    return slug


async def test_an_owner_moderates_members_at_every_process(owner: Client, bob: Client, room: str) -> None:
    await owner.call("room:mute", {"room": room, "user": bob.id, "seconds": 600})
    assert (await bob.gets(room, event="notice", act="mute"))["data"]["until"]
    assert (await bob.refusal("message", message(room)))["code"] == "muted"
    await owner.call("room:mute", {"room": room, "user": bob.id, "seconds": 0})
    await owner.call("room:role", {"room": room, "user": bob.id, "role": "moderator"})
    assert (await bob.expect("room:role", room=room))["data"]["role"] == "moderator"
    await owner.call("room:ban", {"room": room, "user": bob.id, "reason": "spam"})
    assert (await bob.expect("room:removed", room=room))["data"] == {
        "room": room, "code": "banned", "reason": "spam",
    }  # fmt: skip
    for event, data in (("join", {"room": room}), ("message", message(room))):
        assert (await bob.refusal(event, data))["code"] == "banned"


async def test_the_rules_of_a_room_hold_at_every_process(owner: Client, bob: Client, room: str) -> None:
    words = {"filtered_words": ["darn"], "filter_action": "refuse"}
    await owner.call("room:rules", {"room": room, **words})
    assert (await refused_in_the_end(bob, room, "darn"))["code"] == "forbidden"
    await owner.call("room:rules", {"room": room, "slow_mode": 600})
    assert (await bob.expect("room:updated", room=room))["data"]["slow_mode"] == 600
    assert (await refused_in_the_end(bob, room, "hello"))["code"] == "rate_limited"
    await owner.call("room:close", {"room": room})
    assert (await bob.expect("room:updated", room=room))["data"]["closed"]


async def test_a_report_at_one_process_is_told_at_the_others(
    pair: Pair, owner: Client, bob: Client, room: str, open_at: OpenAt
) -> None:
    staff = await open_at(1, pair[0].person("staff", staff=True), "admin")
    await staff.call("join", {"room": "reports"})
    other = await open_at(1, owner.person)
    seq = (await bob.say(room, "an insult"))["seq"]
    report = (await owner.call("report", {"room": room, "seq": seq, "reason": "rude"}))["report"]
    assert (await staff.expect("report", id=report))["data"]["message"]["body"] == "an insult"
    for client in (owner, other):
        assert (await client.expect("room:reports", room=room))["data"]["open"] == 1


# By a command, the shell or the admin


async def test_sessions_that_are_ended_close_their_sockets_in_every_process(
    pair: Pair, alice: Client, bob: Client
) -> None:
    cookie = pair[0].cookie(bob.person)
    browsers = [await Client.open(server.ws, "chat", cookie=cookie, origin=server.origin) for server in pair]
    pair[0].django(partial(moderation.end_sessions, reason="a lost phone"), alice.id, bob.id)
    for browser in browsers:
        assert (await browser.ends(Close.SESSION_ENDED, "session_ended", SOON))["reason"] == "a lost phone"
    assert await bob.call("rooms") and bob.close_code is None  # came with a token
    token = pair[0].django(lambda: Token.objects.get(user=bob.id).pk)
    pair[0].django(moderation.revoke_token, alice.id, token)
    await bob.ends(Close.SESSION_ENDED, "session_ended", SOON)


async def test_who_loses_the_right_at_one_process_is_sent_away_by_another(
    pair: Pair, alice: Client, open_at: OpenAt
) -> None:
    there = await open_at(1, alice.person, "admin")

    def demote() -> None:
        person = User.objects.get(pk=alice.id)
        person.is_staff = False
        person.save()

    pair[0].django(demote)
    for client in (alice, there):
        await client.ends(Close.NOT_ALLOWED, "forbidden", SOON)


async def test_what_a_command_did_is_live_and_told_in_every_process(
    pair: Pair, alice: Client, bob: Client, open_at: OpenAt
) -> None:
    there = await open_at(1, alice.person, "admin")
    for client in (alice, there):
        await client.call("log:watch")
    pair[0].django(moderation.ban, alice.id, bob.id, reason="spam")
    await bob.ends(Close.NOT_ALLOWED, "banned", SOON)
    for client in (alice, there):
        line = (await client.expect("log", text="a user was banned"))["data"]
        assert (line["id"], line["by"], line["reason"]) == (bob.id, alice.name, "spam")
    for server in pair:
        assert f"a user was banned user={bob.name} id={bob.id} by={alice.name} reason=spam" in server.log()


@pytest.mark.parametrize("pair", ["redis"], indirect=True)
async def test_who_watches_at_one_process_sees_what_happens_at_another(
    pair: Pair, alice: Client, open_at: OpenAt
) -> None:
    await alice.call("log:watch")
    person = pair[0].person("bob")
    bob = await seen_coming(alice, lambda: open_at(1, person))
    room = pair[0].room("room", [bob.person])
    await bob.join(room)
    await alice.expect("log", text="a user joined a room", sid=bob.hello["sid"])
    await bob.drop()
    await alice.expect("log", text="a user disconnected", sid=bob.hello["sid"])


async def seen_coming(watcher: Client, come: Callable[[], Awaitable[Client]]) -> Client:
    """A client whose coming was told; the word that someone watches may be on its way at first."""
    for _ in range(10):
        client = await come()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await watcher.expect("log", text="a user connected", sid=client.hello["sid"])
                return client
    raise AssertionError("nobody was seen coming")


@pytest.mark.parametrize("pair", ["redis"], indirect=True)
async def test_sockets_of_all_processes_are_listed_and_counted(
    pair: Pair, alice: Client, bob: Client
) -> None:
    sockets: dict[str, Any] = {}
    after = ""
    while True:
        page = await alice.call("sockets:list", {"limit": 1, "after": after})
        sockets |= {each["sid"]: each for each in page["sockets"]}
        if not page["more"]:
            break
        after = page["next"]
    mine, theirs = sockets[alice.hello["sid"]], sockets[bob.hello["sid"]]
    assert theirs["user"] == {"id": bob.id, "name": bob.name} and theirs["namespace"] == "chat"
    assert mine["namespace"] == "admin" and mine["process"] != theirs["process"]
    counts = (await alice.call("stats"))["sockets"]
    assert counts["admin"] >= 1 and counts["chat"] >= 1
    await alice.call("user:kick", {"sid": bob.hello["sid"]})
    await bob.ends(Close.NOT_ALLOWED, "kicked", SOON)

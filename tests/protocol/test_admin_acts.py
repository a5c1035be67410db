"""What the staff do over `/admin`, and what the person it is about sees of it at once.

Alice is one of the staff, Bob the member whom it is about, Charlie an outsider.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session

from chat.errors import Close
from chat.models import Ban, Login, Membership, Message, Presence, Room, Token
from tests.conftest import Connect
from tests.support import Client, Server

from .saying import message

SOON = 2.0  #: seconds until another socket of the same process has felt it, on a busy machine

Call = Callable[..., Awaitable[Any]]


@pytest.fixture
async def alice(server: Server, connect: Connect) -> Client:
    return await connect(server.person("alice", staff=True), namespace="admin")


@pytest.fixture
def room(server: Server, bob: Client, charlie: Client) -> str:
    return server.room("public", [charlie.person, bob.person])


@pytest.fixture
def private(server: Server, bob: Client) -> str:
    return server.room("private", [server.person("owner"), bob.person], private=True)


def entries_of(staff: int) -> list[tuple[str, str]]:
    """What Django's log says of them: whom or what it was about, and what was done."""
    rows = LogEntry.objects.filter(user=staff).order_by("pk")
    return [(row.object_repr, row.change_message) for row in rows]


# Who comes in


@pytest.mark.each_server
async def test_only_the_staff_come_in(server: Server, connect: Connect, bob: Client) -> None:
    outsider = await connect(bob, namespace="admin")
    assert not outsider.hello
    assert (await outsider.expect_error())["code"] == "forbidden"
    assert await outsider.closed() == Close.NOT_ALLOWED
    nobody = await connect(bob, namespace="admin", by=None)
    assert await nobody.closed() == Close.UNAUTHENTICATED


@pytest.mark.each_server
async def test_who_loses_the_right_is_sent_away_at_once(
    server: Server, connect: Connect, alice: Client
) -> None:
    chatting = await connect(alice, namespace="chat")

    def demote() -> None:
        person = User.objects.get(pk=alice.id)
        person.is_staff = False
        person.save()

    server.django(demote)
    await alice.ends(Close.NOT_ALLOWED, "forbidden", SOON)
    assert await chatting.call("rooms") and chatting.close_code is None
    again = await connect(alice, namespace="admin")
    assert (await again.expect_error())["code"] == "forbidden"


async def test_an_act_of_who_is_staff_no_more_is_refused_before_the_server_has_noticed(
    server: Server, alice: Client, bob: Client
) -> None:
    server.django(lambda: User.objects.filter(pk=alice.id).update(is_staff=False))
    assert (await alice.refusal("user:ban", {"user": bob.id, "reason": "spam"}))["code"] == "forbidden"
    assert await bob.call("rooms") and bob.close_code is None


@pytest.mark.shortened(hub__rights__RECHECK=0.3)
async def test_a_right_that_was_lost_without_a_signal_is_found_by_the_recheck(
    server: Server, alice: Client
) -> None:
    server.django(lambda: User.objects.filter(pk=alice.id).update(is_staff=False))
    await alice.ends(Close.NOT_ALLOWED, "forbidden", SOON)


# Bans


@pytest.mark.each_server
async def test_a_ban_from_the_site_closes_their_sockets_and_says_why(
    server: Server, connect: Connect, alice: Client, bob: Client
) -> None:
    answer = await alice.call("user:ban", {"user": bob.id, "reason": "spam", "seconds": 3600})
    assert answer["user"] == {"id": bob.id, "name": bob.name}
    told = await bob.ends(Close.NOT_ALLOWED, "banned", SOON)
    assert told["reason"] == "spam" and told["until"] == answer["until"]
    assert (await (await connect(bob)).expect_error())["code"] == "banned"
    (entry,) = server.django(entries_of, alice.id)
    assert entry == (bob.name, f"a user was banned until={answer['until']} reason=spam")
    assert server.django(lambda: Ban.objects.get(user=bob.id).by_id) == alice.id

    assert (await alice.call("user:unban", {"user": bob.name}))["user"]["id"] == bob.id
    assert (await connect(bob)).hello
    assert server.django(entries_of, alice.id)[1] == (bob.name, "a user was unbanned")


async def test_a_ban_from_a_public_room_ends_their_place_in_it_alone(
    server: Server, alice: Client, bob: Client, charlie: Client, room: str
) -> None:
    for client in (bob, charlie):
        await client.join(room)
    await alice.call("user:ban", {"user": bob.id, "room": room, "reason": "spam"})
    removed = await bob.expect("room:removed", room=room)
    assert removed["data"]["code"] == "banned" and removed["data"]["reason"] == "spam"
    notice = await charlie.gets(room, event="notice")
    assert notice["data"]["act"] == "ban" and notice["data"]["user"]["id"] == bob.id
    assert (await bob.refusal("join", {"room": room}))["code"] == "banned"
    assert bob.close_code is None
    assert (bob.name, f"a user was banned room={room} namespace=/chat reason=spam") in server.django(
        entries_of, alice.id
    )
    await alice.call("user:unban", {"user": bob.id, "room": room})
    assert (await bob.join(room))["room"] == room


async def test_a_ban_from_a_private_room_reads_as_if_there_were_none(
    alice: Client, bob: Client, private: str
) -> None:
    await bob.join(private)
    await alice.call("user:ban", {"user": bob.id, "room": private, "reason": ""})
    await bob.expect("room:removed", room=private)
    assert (await bob.refusal("join", {"room": private}))["code"] == "not_found"


async def test_an_owner_who_is_banned_hands_the_room_on(
    server: Server, alice: Client, bob: Client, charlie: Client, room: str
) -> None:
    await alice.call("user:ban", {"user": charlie.id, "room": room, "reason": "spam"})
    role = server.django(lambda: Membership.objects.get(room__slug=room, user=bob.id).role)
    assert role == "owner"


# Mutes, kicks


async def test_who_is_muted_reads_and_does_not_write(
    server: Server, alice: Client, bob: Client, charlie: Client, room: str
) -> None:
    await bob.join(room)
    answer = await alice.call("user:mute", {"user": bob.id, "room": room, "seconds": 600, "reason": "caps"})
    assert (await bob.gets(room, event="notice"))["data"]["act"] == "mute"
    error = await bob.refusal("message", message(room, "HELLO"))
    assert error["code"] == "muted" and error["until"] == answer["until"]
    seq = (await charlie.say(room, "quiet at last"))["seq"]
    await bob.gets(room, seq=seq)
    await alice.call("user:mute", {"user": bob.id, "room": room, "seconds": 0, "reason": "enough"})
    assert (await bob.say(room, "thank you"))["seq"]
    said = [what for _, what in server.django(entries_of, alice.id)]
    assert [what.split(" room=")[0] for what in said] == ["a user was muted", "a user was unmuted"]


async def test_a_mute_without_an_end_is_for_good(alice: Client, bob: Client, room: str) -> None:
    await alice.call("user:mute", {"user": bob.id, "room": room, "reason": "caps"})
    assert (await bob.refusal("message", message(room, "HELLO")))["code"] == "muted"


@pytest.mark.each_server
async def test_a_kick_closes_all_of_a_persons_sockets_and_they_may_come_back(
    server: Server, connect: Connect, alice: Client, bob: Client, charlie: Client
) -> None:
    other = await connect(bob)
    await alice.call("user:kick", {"user": bob.id, "reason": "calm down"})
    for client in (bob, other):
        assert (await client.ends(Close.NOT_ALLOWED, "kicked", SOON))["reason"] == "calm down"
    assert (await connect(bob)).hello
    assert await charlie.call("rooms") and charlie.close_code is None
    assert server.django(entries_of, alice.id) == [(bob.name, "a user was sent away reason=calm down")]


async def test_a_kick_of_one_socket_leaves_the_persons_others(
    server: Server, connect: Connect, alice: Client, bob: Client
) -> None:
    other = await connect(bob)
    answer = await alice.call("user:kick", {"sid": bob.hello["sid"]})
    assert answer["user"]["id"] == bob.id
    await bob.ends(Close.NOT_ALLOWED, "kicked", SOON)
    assert await other.call("rooms") and other.close_code is None
    assert bob.hello["sid"] in server.django(entries_of, alice.id)[0][1]


async def test_a_kick_from_a_room_ends_the_membership(
    server: Server, alice: Client, bob: Client, charlie: Client, room: str
) -> None:
    for client in (bob, charlie):
        await client.join(room)
    await alice.call("room:kick", {"room": room, "user": bob.id, "reason": "off topic"})
    removed = await bob.expect("room:removed", room=room)
    assert removed["data"]["code"] == "kicked" and removed["data"]["reason"] == "off topic"
    seq = (await charlie.say(room, "gone"))["seq"]
    await charlie.gets(room, seq=seq)
    assert all(entry["seq"] < seq for entry in bob.log[room])
    assert not server.django(lambda: Membership.objects.filter(room__slug=room, user=bob.id).exists())
    assert len(server.django(entries_of, alice.id)) == 1


# Rooms and messages


async def test_a_room_that_is_closed_takes_no_more_entries(
    server: Server, alice: Client, bob: Client, room: str
) -> None:
    await bob.join(room)
    await alice.call("room:close", {"room": room, "reason": "moved"})
    assert (await bob.gets(room, event="notice"))["data"]["reason"] == "moved"
    assert (await bob.expect("room:updated", room=room))["data"]["closed"]
    assert (await bob.refusal("message", message(room, "hi")))["code"] == "forbidden"
    assert (await alice.refusal("room:close", {"room": room}))["code"] == "conflict"
    expected = f"a room was closed room={room} namespace=/chat reason=moved"
    assert server.django(entries_of, alice.id) == [(f"chat/{room}", expected)]


async def test_a_message_that_is_deleted_leaves_every_log(
    server: Server, alice: Client, bob: Client, charlie: Client, room: str
) -> None:
    await charlie.join(room)
    seq = (await bob.say(room, "an insult"))["seq"]
    edited = await bob.call("edit", {"room": room, "client_id": "e", "target": seq, "body": "a worse one"})
    await alice.call("message:delete", {"room": room, "seq": seq, "reason": "insult"})
    deletion = await charlie.gets(room, event="delete")
    assert deletion["data"]["target"] == seq and deletion["data"]["reason"] == "insult"
    await charlie.join(room, after=0)
    await charlie.gets(room, seq=edited["seq"])
    (message,) = [
        each for each in (await bob.call("history", {"room": room}))["messages"] if each["seq"] == seq
    ]
    assert "body" not in message["data"] and message["data"]["deleted"]["reason"] == "insult"
    left = server.django(lambda: set(Message.objects.filter(room__slug=room).values_list("body", flat=True)))
    assert left == {""}
    error = await alice.refusal("message:delete", {"room": room, "seq": seq, "reason": "again"})
    assert error["code"] == "not_found"
    assert len(server.django(entries_of, alice.id)) == 1


# The end of a person


@pytest.mark.each_server
async def test_a_person_who_is_deleted_is_nobody_from_then_on(
    server: Server, connect: Connect, alice: Client, bob: Client, charlie: Client, room: str
) -> None:
    browser = await connect(bob, by="cookie")
    for client in (bob, charlie):
        await client.join(room)
    seq = (await bob.say(room, "I was here"))["seq"]
    answer = await alice.call("user:delete", {"user": bob.id})
    nobody = f"deleted-{bob.id}"
    assert answer["user"] == {"id": bob.id, "name": nobody}
    for client in (bob, browser):
        await client.ends(Close.SESSION_ENDED, "session_ended", SOON)
    assert (await (await connect(bob)).expect_error())["code"] == "unauthenticated"

    def left() -> dict[str, Any]:
        person = User.objects.get(pk=bob.id)
        rows = (Token, Login, Membership, Presence)
        return {
            "name": person.username,
            "email": person.email,
            "active": person.is_active,
            "password": person.has_usable_password(),
            "rows": [model.__name__ for model in rows if model.objects.filter(user=person).exists()],
            "sessions": sum(
                each.get_decoded().get("_auth_user_id") == str(bob.id) for each in Session.objects.all()
            ),
        }

    assert server.django(left) == {
        "name": nobody, "email": "", "active": False, "password": False, "rows": [], "sessions": 0,
    }  # fmt: skip
    notice = await charlie.gets(room, event="notice")
    assert notice["data"]["text"] == f"{nobody} left the site."
    history = (await charlie.call("history", {"room": room}))["messages"]
    assert history[0]["seq"] == seq and history[0]["data"]["body"] == "I was here"
    assert history[0]["from"]["name"] == nobody
    await charlie.join(room, after=0)
    await charlie.gets(room, **{"seq": seq, "from": {"id": bob.id, "name": nobody}})
    assert server.django(entries_of, alice.id) == [(nobody, "a user was deleted")]


@pytest.mark.shortened(services__erasure__SLICE=3)
async def test_a_person_who_is_erased_leaves_no_word_behind(
    server: Server, alice: Client, bob: Client, charlie: Client, room: str, private: str
) -> None:
    await charlie.join(room)
    said = [(await bob.say(room, f"word {number}"))["seq"] for number in range(8)]
    await bob.call("edit", {"room": room, "client_id": "e", "target": said[0], "body": "another word"})
    await bob.say(private, f"hello @{charlie.name}")
    kept = (await charlie.say(room, "mine stays"))["seq"]
    await alice.call("user:delete", {"user": bob.id, "erase": True})

    def words() -> set[str]:
        return set(Message.objects.filter(sender=bob.id).values_list("body", flat=True))

    assert server.django(words) == {""}
    head = server.django(lambda: Room.objects.get(slug=room).head)
    entries = await charlie.gets_upto(room, head)
    assert [entry["seq"] for entry in entries] == list(range(1, head + 1))
    deleted = [entry["data"]["target"] for entry in entries if entry["event"] == "delete"]
    assert deleted == said
    history = (await charlie.call("history", {"room": room}))["messages"]
    bodies = {each["seq"]: each["data"].get("body") for each in history}
    assert bodies[kept] == "mine stays" and all(bodies[seq] is None for seq in said)
    await alice.call("user:delete", {"user": bob.id, "erase": True})  # again, which finds nothing
    assert server.django(lambda: Room.objects.get(slug=room).head) == head


# Superusers


def promote(*people: int) -> None:
    User.objects.filter(is_superuser=True).update(is_superuser=False)
    User.objects.filter(pk__in=people).update(is_superuser=True)


async def test_only_a_superuser_may_act_on_a_superuser(
    server: Server, connect: Connect, alice: Client, bob: Client, room: str
) -> None:
    boss = await connect(server.person("boss", staff=True), namespace="admin")
    server.django(promote, bob.id, boss.id)
    for event, data in (
        ("user:ban", {"user": bob.id, "reason": "spam"}),
        ("user:mute", {"user": bob.id, "room": room, "reason": "spam"}),
        ("user:kick", {"user": bob.id}),
        ("user:kick", {"sid": bob.hello["sid"]}),
        ("room:kick", {"user": bob.id, "room": room}),
        ("user:delete", {"user": bob.id}),
    ):
        error = await alice.refusal(event, data)
        assert error["code"] == "forbidden" and bob.name in error["message"], event
    assert await bob.call("rooms")
    await boss.call("user:ban", {"user": bob.id, "reason": "spam"})
    await bob.ends(Close.NOT_ALLOWED, "banned", SOON)
    assert (await alice.refusal("user:unban", {"user": bob.id}))["code"] == "forbidden"


async def test_the_last_superuser_stays(server: Server, connect: Connect) -> None:
    boss = await connect(server.person("boss", staff=True), namespace="admin")
    other = server.person("other", staff=True)
    server.django(promote, boss.id)
    for event, more in (("user:ban", {"reason": "x"}), ("user:delete", {})):
        error = await boss.refusal(event, {"user": boss.id, **more})
        assert error["code"] == "forbidden" and "last superuser" in error["message"]
    server.django(promote, boss.id, other.id)
    await boss.call("user:ban", {"user": other.id, "reason": "x"})
    assert (await boss.refusal("user:delete", {"user": boss.id}))["code"] == "forbidden"
    await boss.call("user:unban", {"user": other.id})
    await boss.emit("user:delete", {"user": boss.id})  # nobody is left to be answered
    await boss.ends(Close.SESSION_ENDED, "session_ended", SOON)


# What isn't there, what doesn't fit


async def test_what_is_not_there_is_not_found(alice: Client, bob: Client, room: str) -> None:
    for event, data, words in (
        ("user:ban", {"user": "nobody-at-all", "reason": "x"}, "no person 'nobody-at-all'"),
        ("user:ban", {"user": 10**12, "reason": "x"}, "no person"),
        ("user:ban", {"user": 0, "reason": "x"}, "no person"),
        ("user:ban", {"user": bob.id, "room": "absent", "reason": "x"}, "no room 'absent' in /chat"),
        ("user:ban", {"user": bob.id, "room": room, "namespace": "orders", "reason": "x"}, "in /orders"),
        ("user:unban", {"user": bob.id}, "not banned from the site"),
        ("user:unban", {"user": bob.id, "room": room}, f"not banned from {room!r}"),
        ("user:mute", {"user": alice.id, "room": room, "reason": "x"}, "not a member"),
        ("user:kick", {"user": "nobody-at-all"}, "no person"),
        ("user:kick", {"sid": "Sabsent"}, "no socket"),
        ("user:kick", {"sid": room}, "no socket"),
        ("user:kick", {"sid": f"user:{bob.id}"}, "no socket"),
        ("user:delete", {"user": "nobody-at-all"}, "no person"),
        ("room:kick", {"user": alice.id, "room": room}, "not a member"),
        ("room:kick", {"user": bob.id, "room": "absent"}, "no room"),
        ("room:close", {"room": "absent"}, "no room"),
        ("room:close", {"room": "control", "namespace": "_control"}, ""),
        ("message:delete", {"room": room, "seq": 99, "reason": "x"}, "no message 99"),
        ("message:delete", {"room": "absent", "seq": 1, "reason": "x"}, "no room"),
    ):
        error = await alice.refusal(event, data)
        assert error["code"] in ("not_found", "bad_data"), (event, error)
        assert words in error["message"], (event, error)


async def test_what_does_not_fit_is_refused_by_the_name_of_its_field(
    alice: Client, bob: Client, room: str
) -> None:
    for event, data, field in (
        ("user:ban", {"user": bob.id}, "reason"),
        ("user:ban", {"user": bob.id, "reason": "x" * 301}, "reason"),
        ("user:ban", {"user": bob.id, "reason": "two\nlines"}, "reason"),
        ("user:ban", {"user": bob.id, "reason": "x", "seconds": -1}, "seconds"),
        ("user:ban", {"user": bob.id, "reason": "x", "seconds": 0}, "seconds"),
        ("user:ban", {"user": bob.id, "reason": "x", "seconds": 1e300}, "seconds"),
        ("user:ban", {"user": [bob.id], "reason": "x"}, "user"),
        ("user:kick", {}, "user"),
        ("user:kick", {"user": bob.id, "sid": "x"}, "user"),
        ("message:delete", {"room": room, "seq": "1", "reason": "x"}, "seq"),
    ):
        error = await alice.refusal(event, data)
        assert error["code"] == "bad_data" and error["field"] == field, (event, data, error)
    assert bob.close_code is None

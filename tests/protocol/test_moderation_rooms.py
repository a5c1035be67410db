"""What owners and moderators do to their room over `/chat`, and what the members feel of it at once.

Alice owns the room, Dora moderates it, Bob is a member, Charlie an outsider.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry

from chat.models import Membership, Message, Report, Room
from chat.services import moderation
from tests.conftest import Connect
from tests.support import Client, Server

from .acts import make
from .saying import message, refused_in_the_end


@pytest.fixture
async def dora(connect: Connect) -> Client:
    return await connect("dora")


@pytest.fixture
async def room(server: Server, alice: Client, bob: Client, dora: Client) -> str:
    """All of them listen."""
    slug = server.room("room", [alice.person, bob.person, dora.person])
    server.django(make, "moderator", slug, dora.id)
    for client in (alice, bob, dora):
        await client.join(slug)
    return slug


def acts_of(user: int) -> list[str]:
    said = LogEntry.objects.filter(user=user).order_by("pk").values_list("change_message", flat=True)
    return [each.split(" room=")[0] for each in said]


# Members


@pytest.mark.each_server
async def test_who_is_kicked_hears_why_and_nothing_after_it(
    server: Server, alice: Client, bob: Client, dora: Client, room: str
) -> None:
    answer = await dora.call("room:kick", {"room": room, "user": bob.id, "reason": "off topic"})
    assert answer == {"room": room, "user": {"id": bob.id, "name": bob.name}}
    removed = await bob.expect("room:removed", room=room)
    assert (removed["data"]["code"], removed["data"]["reason"]) == ("kicked", "off topic")
    assert (await alice.gets(room, event="notice"))["data"]["act"] == "kick"
    await alice.say(room, "gone")
    assert (await bob.refusal("message", message(room)))["code"] == "forbidden"
    assert "gone" not in bob.bodies(room)
    assert (await bob.join(room))["room"] == room  # a public one
    assert server.django(acts_of, dora.id) == ["a user was removed from a room"]


@pytest.mark.each_server
async def test_who_is_banned_from_a_room_stays_out_until_the_ban_ends(
    server: Server, alice: Client, bob: Client, dora: Client, room: str
) -> None:
    answer = await dora.call("room:ban", {"room": room, "user": bob.name, "reason": "spam", "seconds": 3600})
    removed = await bob.expect("room:removed", room=room)
    assert (removed["data"]["code"], removed["data"]["reason"]) == ("banned", "spam")
    error = await bob.refusal("join", {"room": room})
    assert (error["code"], error["reason"], error["until"]) == ("banned", "spam", answer["until"])
    assert (await bob.refusal("message", message(room)))["code"] == "banned"
    assert bob.close_code is None  # the rest of the site is theirs
    (listed,) = (await alice.call("room:bans", {"room": room}))["bans"]
    assert (listed["user"]["id"], listed["by"]["id"]) == (bob.id, dora.id)
    await alice.call("room:unban", {"room": room, "user": bob.id})
    assert (await bob.join(room))["room"] == room
    assert (await alice.refusal("room:unban", {"room": room, "user": bob.id}))["code"] == "not_found"


async def test_who_is_muted_reads_and_does_not_write(alice: Client, bob: Client, room: str) -> None:
    answer = await alice.call("room:mute", {"room": room, "user": bob.id, "seconds": 600, "reason": "caps"})
    notice = await bob.gets(room, event="notice")
    assert (notice["data"]["act"], notice["data"]["until"]) == ("mute", answer["until"])
    for event, more in (
        ("message", message(room)),
        ("react", {**message(room), "target": 1, "emoji": "👍", "on": True}),
    ):
        error = await bob.refusal(event, more)
        assert (error["code"], error["until"], error["temporary"]) == ("muted", answer["until"], False)
    await bob.gets(room, seq=(await alice.say(room, "quiet at last"))["seq"])
    ended = await alice.call("room:mute", {"room": room, "user": bob.id, "seconds": 0})
    assert ended["until"] is None and (await bob.say(room, "thank you"))["seq"]


async def test_a_new_role_is_told_to_the_person_and_counts_at_once(
    server: Server, connect: Connect, alice: Client, bob: Client, charlie: Client, room: str
) -> None:
    await charlie.join(room)
    elsewhere = await connect(bob)  # listens to no room
    assert (await bob.refusal("room:kick", {"room": room, "user": charlie.id}))["code"] == "forbidden"
    answer = await alice.call("room:role", {"room": room, "user": bob.id, "role": "moderator"})
    assert (answer["user"]["id"], answer["role"]) == (bob.id, "moderator")
    for client in (bob, elsewhere):
        assert (await client.expect("room:role", room=room))["data"]["role"] == "moderator"
    assert (await charlie.gets(room, event="notice"))["data"]["role"] == "moderator"
    await bob.call("room:kick", {"room": room, "user": charlie.id})
    await charlie.expect("room:removed", room=room)
    await alice.call("room:role", {"room": room, "user": bob.id, "role": "member"})
    assert (await bob.refusal("room:mute", {"room": room, "user": charlie.id}))["code"] == "forbidden"


async def test_members_are_listed_with_role_and_presence(
    server: Server, connect: Connect, bob: Client, charlie: Client, room: str
) -> None:
    watcher = await connect("watcher", namespace="users")
    erin = await connect("erin")
    await watcher.expect("user:connected", user={"id": erin.id, "name": erin.name})
    away = server.person("away")
    server.django(seat, room, away.id)
    await erin.join(room)
    listed = (await bob.call("room:members", {"room": room}))["members"]
    assert sorted(each["role"] for each in listed) == ["member", "member", "member", "moderator", "owner"]
    online = {each["id"]: each["online"] for each in listed}
    assert online[erin.id] and not online[away.id]
    assert (await charlie.refusal("room:members", {"room": room}))["code"] == "forbidden"


def seat(room: str, user: int) -> None:
    Membership.objects.create(room=Room.objects.get(slug=room), user_id=user)


# The room


@pytest.mark.each_server
async def test_slow_mode_holds_members_and_not_who_moderates(
    alice: Client, bob: Client, dora: Client, room: str
) -> None:
    rules = await dora.call("room:rules", {"room": room, "slow_mode": 600})
    assert rules == {"room": room, "slow_mode": 600, "filtered_words": [], "filter_action": "mask"}
    assert (await bob.expect("room:updated", room=room))["data"] == {
        "room": room, "slow_mode": 600, "closed": False,
    }  # fmt: skip
    await bob.say(room, "one")
    error = await bob.refusal("message", message(room))
    assert (error["code"], error["slow_mode"], error["temporary"]) == ("rate_limited", 600, True)
    assert 0 < error["retry_after"] <= 600
    for client in (alice, dora, alice, dora):
        await client.say(room, "two")
    await alice.call("room:rules", {"room": room, "slow_mode": 0})
    await bob.expect("room:updated", room=room)
    assert (await bob.call("rooms", {"limit": 100}))["rooms"]


async def test_filtered_words_are_masked_or_refused_from_then_on(
    alice: Client, bob: Client, room: str
) -> None:
    words = {"room": room, "filtered_words": ["darn"]}
    assert (await alice.call("room:rules", words))["filtered_words"] == ["darn"]
    seq = (await said_until(bob, room, "oh darn", "oh ****"))["seq"]
    assert (await alice.gets(room, seq=seq))["data"]["body"] == "oh ****"
    await alice.call("room:rules", {"room": room, "filter_action": "refuse"})
    error = await refused_in_the_end(bob, room, "DARN it")
    assert error["code"] == "forbidden" and "DARN" in error["message"]
    assert (await alice.call("room:rules", {"room": room}))["filter_action"] == "refuse"


async def said_until(client: Client, room: str, body: str, stored: str) -> dict[str, Any]:
    """The first entry that is stored so; the word of new rules may be on its way to the server's hub."""
    for _ in range(1000):
        seq = (await client.say(room, body))["seq"]
        entry = await client.gets(room, seq=seq)
        if entry["data"]["body"] == stored:
            return entry
    raise AssertionError(f"{body!r} was never stored as {stored!r}")


async def test_a_room_that_its_owner_closes_takes_no_more_until_the_staff_open_it(
    server: Server, connect: Connect, alice: Client, bob: Client, dora: Client, room: str
) -> None:
    assert (await dora.refusal("room:close", {"room": room}))["code"] == "forbidden"
    await alice.call("room:close", {"room": room, "reason": "moved"})
    assert (await bob.expect("room:updated", room=room))["data"]["closed"]
    assert (await bob.gets(room, event="notice", act="close"))["data"]["reason"] == "moved"
    assert (await bob.refusal("message", message(room)))["code"] == "forbidden"
    assert (await alice.refusal("room:close", {"room": room}))["code"] == "conflict"
    staff = server.person("staff", staff=True)
    server.django(moderation.reopen_room, staff.id, room)
    assert not (await bob.expect("room:updated", room=room))["data"]["closed"]
    await alice.gets(room, seq=(await bob.say(room, "open again"))["seq"])


async def test_a_moderator_deletes_a_message_and_says_why(
    server: Server, alice: Client, bob: Client, dora: Client, room: str
) -> None:
    seq = (await bob.say(room, "an insult"))["seq"]
    data = {"room": room, "client_id": "d1", "target": seq, "reason": "rude"}
    first = await dora.call("delete", data)
    entry = await alice.gets(room, event="delete")
    assert (entry["data"]["reason"], entry["from"]["id"]) == ("rude", dora.id)
    assert (await dora.call("delete", data)) == {**first, "duplicate": True}
    (shown,) = (await bob.call("history", {"room": room}))["messages"]
    assert shown["data"]["deleted"]["reason"] == "rude" and "body" not in shown["data"]
    own = (await alice.say(room, "mine"))["seq"]
    error = await bob.refusal("delete", {"room": room, "client_id": "d2", "target": own})
    assert error["code"] == "forbidden"
    await alice.call("delete", {"room": room, "client_id": "d3", "target": own})
    assert server.django(acts_of, dora.id) == ["a message was deleted"]
    assert server.django(acts_of, alice.id) == []


# Reports


@pytest.mark.each_server
async def test_a_report_is_told_to_who_sees_to_it_and_settled_by_them(
    server: Server, connect: Connect, alice: Client, bob: Client, dora: Client, charlie: Client, room: str
) -> None:
    staff = await connect(server.person("staff", staff=True), namespace="admin")
    await staff.call("join", {"room": "reports"})
    seq = (await bob.say(room, "an insult"))["seq"]
    report = (await charlie.call("report", {"room": room, "seq": seq, "reason": "rude"}))["report"]
    for leader in (alice, dora):
        assert (await leader.expect("room:reports", room=room))["data"]["open"] == 1
    told = (await staff.expect("report", id=report))["data"]
    assert (told["reporter"]["id"], told["message"]["body"]) == (charlie.id, "an insult")
    assert (await dora.call("room:reports", {"room": room}))["reports"] == [told]
    mine = [each for each in (await dora.call("rooms", {"limit": 100}))["rooms"] if each["room"] == room]
    assert mine[0]["open_reports"] == 1
    assert (await dora.call("report:claim", {"report": report}))["handled_by"]["id"] == dora.id
    error = await alice.refusal("report:dismiss", {"report": report})
    assert (error["code"], error["state"]) == ("conflict", "claimed")
    await dora.call("delete", {"room": room, "client_id": "d", "target": seq})
    settled = await dora.call("report:resolve", {"report": report, "outcome": "deleted"})
    assert settled["state"] == "resolved" and settled["message"]["deleted"]["by"]["id"] == dora.id
    assert (await staff.expect("report", id=report, state="resolved"))["data"]["outcome"] == "deleted"
    assert (await alice.call("room:reports", {"room": room}))["reports"] == []
    assert not any(packet.get("event") == "room:reports" for packet in bob.packets)


async def test_what_was_reported_stays_in_no_log_of_the_server_once_it_is_deleted(
    server: Server, alice: Client, bob: Client, room: str
) -> None:
    seq = (await bob.say(room, "a word to forget"))["seq"]
    await alice.call("report", {"room": room, "seq": seq, "reason": "rude"})
    await bob.call("delete", {"room": room, "client_id": "d", "target": seq})

    def left() -> list[int]:
        rows = Message.objects.filter(extra__contains="to forget") | Message.objects.filter(
            body__contains="to forget"
        )
        return [row.pk for row in rows]

    assert server.django(left) == [] and "to forget" not in server.log()


# Who may not


#: Each new event, as it is sent of a room, about a member.
OF_A_ROOM: list[tuple[str, dict[str, Any]]] = [
    ("room:members", {}),
    ("room:kick", {"user": "bob"}),
    ("room:ban", {"user": "bob", "reason": "x"}),
    ("room:unban", {"user": "bob"}),
    ("room:bans", {}),
    ("room:mute", {"user": "bob"}),
    ("room:role", {"user": "bob", "role": "owner"}),
    ("room:rules", {}),
    ("room:rules", {"slow_mode": 5}),
    ("room:close", {}),
    ("room:reports", {}),
    ("report", {"seq": 1, "reason": "x"}),
    ("delete", {"client_id": "c", "target": 1, "reason": "x"}),
]


@pytest.fixture
async def private(server: Server, alice: Client, bob: Client) -> str:
    slug = server.room("private", [alice.person, bob.person], private=True)
    await bob.say(slug, "a secret")
    return slug


async def test_a_private_room_answers_outsiders_as_if_it_were_not_there(
    alice: Client, bob: Client, charlie: Client, private: str
) -> None:
    for user in (bob.id, charlie.id, "nobody-at-all"):
        for event, more in OF_A_ROOM:
            data = {**more, **({"user": user} if "user" in more else {})}
            hidden = await charlie.refusal(event, {"room": private, **data})
            absent = await charlie.refusal(event, {"room": "absent-0000000", **data})
            assert hidden["code"] == absent["code"] == "not_found", event
            assert hidden.pop("message").replace(private, "absent-0000000") == absent.pop("message"), event
            assert hidden == absent, event
    report = (await alice.call("report", {"room": private, "seq": 1, "reason": "x"}))["report"]
    for event in ("report:claim", "report:resolve", "report:dismiss"):
        hidden, absent = [await charlie.refusal(event, {"report": each}) for each in (report, 10**9)]
        assert hidden.pop("message").replace(str(report), str(10**9)) == absent.pop("message")
        assert hidden == absent
    assert charlie.close_code is None


async def test_who_moderates_one_room_does_nothing_in_another(
    server: Server, alice: Client, bob: Client, charlie: Client, room: str
) -> None:
    """Charlie owns a room of their own and looks into this one."""
    server.room("charlies", [charlie.person])
    await bob.say(room, "hello")
    for event, more in OF_A_ROOM:
        if event == "report":
            continue
        about = {"user": bob.id} if "user" in more else {}
        error = await charlie.refusal(event, {"room": room, **more, **about})
        assert error["code"] == "forbidden", (event, error)
    report = (await charlie.call("report", {"room": room, "seq": 1, "reason": "x"}))["report"]
    assert (await charlie.refusal("report:dismiss", {"report": report}))["code"] == "not_found"

    def state() -> tuple[int, Any, str]:
        place = Room.objects.get(slug=room)
        return (
            place.memberships.count(),
            (place.slow_mode, place.closed_at),
            Report.objects.get(pk=report).state,
        )

    assert server.django(state) == (3, (0, None), "open")


async def test_nobody_acts_on_an_equal_a_better_or_the_staff(
    server: Server, connect: Connect, alice: Client, bob: Client, dora: Client, room: str
) -> None:
    staff = await connect(server.person("staff", staff=True))
    await staff.join(room)
    for by, whom in ((dora, alice), (dora, dora), (dora, staff), (alice, alice), (alice, staff)):
        for event, more in (
            ("room:kick", {}),
            ("room:ban", {"reason": "x"}),
            ("room:mute", {}),
            ("room:mute", {"seconds": 0}),
        ):
            error = await by.refusal(event, {"room": room, "user": whom.id, **more})
            assert error["code"] == "forbidden", (event, error)
    for by, data in (
        (dora, {"user": dora.id, "role": "owner"}),
        (alice, {"user": staff.id, "role": "member"}),
    ):
        assert (await by.refusal("room:role", {"room": room, **data}))["code"] == "forbidden"
    error = await alice.refusal("room:role", {"room": room, "user": alice.id, "role": "member"})
    assert "last owner" in error["message"]
    roles = server.django(
        lambda: dict(Membership.objects.filter(room__slug=room).values_list("user", "role"))
    )
    assert roles == {alice.id: "owner", dora.id: "moderator", bob.id: "member", staff.id: "member"}


async def test_the_staff_moderate_any_room_from_the_chat(
    server: Server, connect: Connect, alice: Client, bob: Client, private: str
) -> None:
    staff = await connect(server.person("staff", staff=True))
    await bob.join(private)
    assert len((await staff.call("room:members", {"room": private}))["members"]) == 2
    await staff.call("room:kick", {"room": private, "user": bob.id})
    await bob.expect("room:removed", room=private)
    assert (await bob.refusal("join", {"room": private}))["code"] == "not_found"
    await staff.call("room:close", {"room": private})
    assert (await alice.refusal("message", message(private)))["code"] == "forbidden"


async def test_what_does_not_fit_is_refused_by_the_name_of_its_field(
    alice: Client, bob: Client, room: str
) -> None:
    for event, data, field in (
        ("room:ban", {"user": bob.id}, "reason"),
        ("room:ban", {"user": bob.id, "reason": "x" * 301}, "reason"),
        ("room:ban", {"user": bob.id, "reason": "two\nlines"}, "reason"),
        ("room:ban", {"user": bob.id, "reason": "x", "seconds": 0}, "seconds"),
        ("room:mute", {"user": bob.id, "seconds": -1}, "seconds"),
        ("room:mute", {"user": bob.id, "seconds": 1e300}, "seconds"),
        ("room:kick", {"user": [bob.id]}, "user"),
        ("room:role", {"user": bob.id, "role": "king"}, "role"),
        ("room:rules", {"slow_mode": 1.5}, "slow_mode"),
        ("room:rules", {"slow_mode": 2**62}, "slow_mode"),
        ("room:rules", {"filtered_words": "darn"}, "filtered_words"),
        ("room:rules", {"filtered_words": [1]}, "filtered_words"),
        ("room:rules", {"filtered_words": ["a b"]}, "filtered_words"),
        ("room:rules", {"filtered_words": ["\0"]}, "filtered_words"),
        ("room:rules", {"filter_action": "shout"}, "filter_action"),
        ("room:reports", {"state": "lost"}, "state"),
        ("room:members", {"limit": 0}, "limit"),
        ("report", {"seq": "1", "reason": "x"}, "seq"),
        ("report", {"seq": 1}, "reason"),
        ("delete", {"client_id": "c", "target": 1, "reason": "two\nlines"}, "reason"),
    ):
        error = await alice.refusal(event, {"room": room, **data})
        assert (error["code"], error["field"]) == ("bad_data", field), (event, data, error)
    for report in (2**63 - 1, 0):
        assert (await alice.refusal("report:claim", {"report": report}))["code"] == "not_found"

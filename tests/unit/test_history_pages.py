"""History: messages as they stand now, in pages, and who has them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import count
from typing import Any

import msgspec
import pytest
from django.contrib.auth.models import User
from django.db import connection

from chat.delivery import door
from chat.delivery.entries import Draft
from chat.errors import EventError
from chat.models import Membership, Message, Room
from chat.services import history, paging, rooms

pytestmark = pytest.mark.django_db

numbers = count(1)
FRAME = 256 * 1024


@pytest.fixture
def room(alice: User, bob: User) -> Room:
    room = rooms.create("chat", alice.pk, "room")
    rooms.take_seat("chat", "room", bob.pk)
    return room


def write(user: User, kind: str, **fields: Any) -> int:
    return door.write(Draft("chat", "room", user.pk, f"c{next(numbers)}", kind, **fields))[0].seq


def say(user: User, body: str = "hello", **fields: Any) -> int:
    return write(user, "message", body=body, **fields)


def react(user: User, target: int, emoji: str, on: bool = True) -> int:
    return write(user, "react", target=target, extra={"emoji": emoji, "on": on})


def page(user: User, **bounds: Any) -> dict[str, Any]:
    return history.page("chat", "room", user.pk, **bounds)


def seqs(reply: dict[str, Any]) -> list[int]:
    return [message["seq"] for message in reply["messages"]]


def person(user: User) -> dict[str, Any]:
    return {"id": user.pk, "name": user.username}


# Messages as they stand


def test_a_message_has_an_entrys_shape(room: Room, alice: User, bob: User) -> None:
    first = say(alice)
    seq = say(
        bob,
        "**hi**",
        html="<p><strong>hi</strong></p>",
        extra={"reply_to": first, "mentions": [person(alice)]},
    )
    message = page(alice)["messages"][-1]
    assert message.pop("at").endswith("Z")
    client_id = message["data"].pop("client_id")
    assert client_id == Message.objects.get(room=room, seq=seq).client_id
    assert message == {
        "event": "message",
        "room": "room",
        "seq": seq,
        "from": person(bob),
        "data": {
            "body": "**hi**",
            "html": "<p><strong>hi</strong></p>",
            "reply_to": first,
            "mentions": [person(alice)],
        },
    }


def test_an_edited_message_shows_its_last_body_and_when(room: Room, alice: User) -> None:
    seq = say(alice, "*one*", html="<p><em>one</em></p>")
    write(alice, "edit", target=seq, body="two")
    write(alice, "edit", target=seq, body="**three**", html="<p><strong>three</strong></p>")
    (message,) = page(alice)["messages"]
    data = message["data"]
    assert (data["body"], data["html"]) == ("**three**", "<p><strong>three</strong></p>")
    assert data["edited_at"] > message["at"] or data["edited_at"] == message["at"]
    assert page(alice)["head"] == seq + 2


def test_an_edit_without_markup_takes_the_html_away(room: Room, alice: User) -> None:
    seq = say(alice, "*one*", html="<p><em>one</em></p>")
    write(alice, "edit", target=seq, body="two")
    assert "html" not in page(alice)["messages"][0]["data"]


def test_a_deleted_message_is_a_tombstone_without_a_body(room: Room, alice: User, bob: User) -> None:
    seq = say(bob, "secret", extra={"mentions": [person(alice)]})
    write(bob, "edit", target=seq, body="secret, too")
    react(alice, seq, "👍")
    write(alice, "delete", target=seq, extra={"reason": "rude"})
    (message,) = page(alice)["messages"]
    deleted = message["data"].pop("deleted")
    assert message["seq"] == seq and message["data"].keys() == {"client_id"}
    assert deleted["by"] == person(alice) and deleted["reason"] == "rude" and deleted["at"].endswith("Z")
    assert "secret" not in json.dumps(page(bob))


def test_reactions_name_who_stands_behind_them_and_whether_one_is_oneself(
    room: Room, alice: User, bob: User
) -> None:
    seq = say(alice)
    for user, emoji, on in (
        (alice, "👍", True),
        (bob, "👍", True),
        (bob, "🎉", True),
        (alice, "👍", False),
        (alice, "🎉", True),
        (bob, "❤️", True),
        (bob, "❤️", False),
    ):
        react(user, seq, emoji, on)
    (message,) = page(alice)["messages"]
    assert message["data"]["reactions"] == [
        {"emoji": "👍", "count": 1, "users": [person(bob)], "mine": False},
        {"emoji": "🎉", "count": 2, "users": [person(bob), person(alice)], "mine": True},
    ]


def test_a_reaction_of_many_names_the_first_twenty(room: Room, alice: User) -> None:
    seq = say(alice)
    for number in range(25):
        user = User.objects.create(username=f"p{number:02}")
        rooms.take_seat("chat", "room", user.pk)
        react(user, seq, "👍")
    (reaction,) = page(alice)["messages"][0]["data"]["reactions"]
    assert reaction["count"] == 25 and [each["name"] for each in reaction["users"]] == [
        f"p{number:02}" for number in range(20)
    ]


def test_notices_are_shown_and_other_entries_are_not(room: Room, alice: User) -> None:
    seq = say(alice)
    react(alice, seq, "👍")
    rooms.update("chat", "room", alice.pk, topic="News")
    reply = page(alice)
    assert [message["event"] for message in reply["messages"]] == ["message", "notice"]
    notice = reply["messages"][-1]
    assert notice["from"] == {"id": 0, "name": "system"} and notice["data"]["topic"] == "News"
    assert "body" not in notice["data"]


# Pages


@pytest.fixture
def long(room: Room, alice: User) -> Room:
    """Messages 1 to 120."""
    for _ in range(120):
        say(alice)
    return room


@pytest.mark.parametrize(
    ("bounds", "expected", "next_bound"),
    [
        ({}, range(71, 121), 71),
        ({"limit": 3}, range(118, 121), 118),
        ({"limit": 1000}, range(21, 121), 21),
        ({"limit": 0}, range(120, 121), 120),
        ({"before": 10}, range(1, 10), None),
        ({"before": 1}, range(0), None),
        ({"before": 10, "limit": 4}, range(6, 10), 6),
        ({"before": 5000, "limit": 2}, range(119, 121), 119),
        ({"after": 0, "limit": 3}, range(1, 4), 3),
        ({"after": 115}, range(116, 121), None),
        ({"after": 120}, range(0), None),
        ({"after": 5000}, range(0), None),
        ({"after": 10, "before": 14}, range(11, 14), None),
        ({"after": 10, "before": 14, "limit": 2}, range(11, 13), 12),
        ({"after": 10, "before": 5}, range(0), None),
    ],
)
def test_a_page_lies_between_its_bounds(
    long: Room, alice: User, bounds: dict[str, int], expected: Iterable[int], next_bound: int | None
) -> None:
    reply = page(alice, **bounds)
    assert seqs(reply) == list(expected)
    assert (reply["first"], reply["head"]) == (1, 120)
    assert reply["more"] is (next_bound is not None) and reply.get("next") == next_bound


@pytest.mark.parametrize("bounds", [{"before": -1}, {"after": -1}, {"after": 2**63}, {"before": 2**70}])
def test_a_bound_that_is_no_position_is_refused(room: Room, alice: User, bounds: dict[str, int]) -> None:
    with pytest.raises(EventError) as refused:
        page(alice, **bounds)
    assert (refused.value.code, refused.value.more["field"]) == ("bad_data", next(iter(bounds)))


def test_paging_back_reaches_every_message_once(long: Room, alice: User) -> None:
    seen: list[int] = []
    bounds: dict[str, int] = {}
    while True:
        reply = page(alice, limit=17, **bounds)
        seen = seqs(reply) + seen
        if not reply["more"]:
            break
        bounds = {"before": reply["next"]}
    assert seen == list(range(1, 121))


def test_a_page_takes_a_few_queries_however_long_it_is(
    long: Room, alice: User, bob: User, django_assert_max_num_queries: Any
) -> None:
    for seq in range(60, 121):
        react(bob, seq, "👍")
        write(alice, "edit", target=seq, body="edited")
    with django_assert_max_num_queries(6):
        assert len(page(bob, limit=100)["messages"]) == 100


def test_a_page_stops_where_a_frame_would_be_full(room: Room, alice: User) -> None:
    for _ in range(30):
        say(alice, "x" * 16_000)
    reply = page(alice)
    assert reply["more"] and 10 <= len(reply["messages"]) < 13
    assert len(msgspec.json.encode(reply)) < paging.REPLY + 1000
    assert seqs(reply)[-1] == 30 and reply["next"] == seqs(reply)[0]
    forward = page(alice, after=0)
    assert forward["more"] and seqs(forward)[0] == 1 and forward["next"] == seqs(forward)[-1]


def test_the_largest_message_there_can_be_fits_a_frame(room: Room, alice: User) -> None:
    wide = [User.objects.create(username=f"{number:03}" + "\U00020000" * 147) for number in range(30)]
    body = "\x01" * (16 * 1024)
    mentions = [person(user) for user in wide[:20]]
    seq = say(alice, body, html="\x01" * 10_000, extra={"mentions": mentions})
    for user in wide:
        rooms.take_seat("chat", "room", user.pk)
        for emoji in ("👍", "🎉", "❤️", "😀", "😎", "🚀", "👀"):
            react(user, seq, emoji)
    (message,) = page(alice)["messages"]
    assert len(msgspec.json.encode(page(alice))) < FRAME
    assert {reaction["count"] for reaction in message["data"]["reactions"]} == {30}


# What one may see


def test_a_public_room_can_be_read_before_joining_it(room: Room, alice: User, charlie: User) -> None:
    seq = say(alice)
    assert seqs(page(charlie)) == [seq]
    assert not Membership.objects.filter(user=charlie).exists()


def test_members_see_nothing_from_before_they_joined_where_the_policy_says_so(
    room: Room, alice: User, bob: User, charlie: User
) -> None:
    Room.objects.filter(pk=room.pk).update(history_from_join=True)
    say(alice, "before")
    assert page(charlie)["messages"] == []
    rooms.take_seat("chat", "room", charlie.pk)
    after = say(alice, "after")
    reply = page(charlie, after=0)
    assert seqs(reply) == [after] and reply["first"] == after
    assert len(page(bob)["messages"]) == 2


def test_history_begins_at_the_first_entry_that_is_kept(long: Room, alice: User) -> None:
    Room.objects.filter(pk=long.pk).update(first=101)
    reply = page(alice, after=0)
    assert seqs(reply) == list(range(101, 121)) and reply["first"] == 101


def test_messages_above_the_head_that_the_page_names_are_left_to_the_entries(
    room: Room, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that comes between the two reads isn't in the page: it comes as an entry."""
    seq = say(alice)
    look = rooms.look

    def look_and_then_someone_speaks(*args: Any, **named: Any) -> rooms.View:
        seen = look(*args, **named)
        say(alice)
        return seen

    monkeypatch.setattr(rooms, "look", look_and_then_someone_speaks)
    reply = page(alice)
    assert (seqs(reply), reply["head"]) == ([seq], seq)


def test_history_is_read_by_its_indexes_however_many_reactions_lie_between(room: Room) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("looks at SQLite's plan")
    shown = Message.objects.filter(room=room, target=None, seq__gte=1, seq__lte=9, seq__lt=8).order_by(
        "-seq"
    )[:51]
    assert "message_shown" in shown.explain() and "TEMP B-TREE" not in shown.explain()
    upon = history._upon([(room.pk, 1), (room.pk, 2)], "react").values("target", "sender", "extra")
    assert "message_target" in upon.explain()


# Who has it


def test_who_tells_who_has_received_and_read_a_message(
    room: Room, alice: User, bob: User, charlie: User
) -> None:
    rooms.take_seat("chat", "room", charlie.pk)
    seq = say(alice)
    Membership.objects.filter(user__in=[alice, bob]).update(received=seq)
    Membership.objects.filter(user=alice).update(read=seq)
    assert history.who("chat", "room", bob.pk, seq) == {
        "received": [person(alice), person(bob)],
        "read": [person(alice)],
        "pending": 1,
        "received_count": 2,
        "read_count": 1,
    }


def test_who_leaves_out_those_who_joined_later(room: Room, alice: User, bob: User, charlie: User) -> None:
    seq = say(alice)
    rooms.take_seat("chat", "room", charlie.pk)
    answer = history.who("chat", "room", alice.pk, seq)
    assert answer["received"] == [] and answer["pending"] == 2


def test_who_counts_what_was_received_apart_in_an_unordered_room(room: Room, alice: User, bob: User) -> None:
    Room.objects.filter(pk=room.pk).update(ordering="unordered")
    for _ in range(5):
        say(alice)
    Membership.objects.filter(user=bob).update(received=1, acked="3-4")
    received = {seq: history.who("chat", "room", alice.pk, seq)["received"] for seq in range(1, 6)}
    assert [seq for seq, people in received.items() if person(bob) in people] == [1, 3, 4]


@pytest.mark.parametrize("seq", [0, 2, 2**63 - 1])
def test_who_knows_no_entry_of_the_future(room: Room, alice: User, seq: int) -> None:
    say(alice)
    with pytest.raises(EventError) as refused:
        history.who("chat", "room", alice.pk, seq)
    assert (refused.value.code, refused.value.more["field"]) == ("bad_data", "seq")


def test_who_is_for_members(room: Room, alice: User, charlie: User) -> None:
    seq = say(alice)
    with pytest.raises(EventError) as refused:
        history.who("chat", "room", charlie.pk, seq)
    assert refused.value.code == "forbidden"


def test_who_names_a_hundred_and_counts_the_rest(room: Room, alice: User) -> None:
    users = User.objects.bulk_create(User(username=f"p{number:03}") for number in range(150))
    Membership.objects.bulk_create(Membership(room=room, user=user) for user in users)
    seq = say(alice)
    Membership.objects.filter(user__in=users).update(received=seq)
    answer = history.who("chat", "room", alice.pk, seq)
    assert (len(answer["received"]), answer["received_count"], answer["pending"]) == (100, 150, 2)

"""Rooms as services see them: who finds what, who may do what, and what a list says."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any

import msgspec
import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from chat.delivery import door
from chat.delivery.entries import Draft
from chat.errors import EventError
from chat.models import Ban, Membership, Message, Room
from chat.services import history, listing, paging, rooms
from chat.services.rooms import Seat

pytestmark = pytest.mark.django_db

Role = Membership.Role
numbers = count(1)


@pytest.fixture
def public(alice: User) -> Room:
    return rooms.create("chat", alice.pk, "public", name="Public")


@pytest.fixture
def private(alice: User, bob: User) -> Room:
    room = rooms.create("chat", alice.pk, "private", private=True)
    rooms.invite("chat", "private", alice.pk, "bob")
    return room


def say(room: Room, user: User, body: str = "hello", **more: Any) -> int:
    draft = Draft("chat", room.slug, user.pk, f"c{next(numbers)}", "message", body=body, **more)
    return door.write(draft)[0].seq


def now(room: Room) -> Room:
    return Room.objects.get(pk=room.pk)


def place(room: Room, user: User) -> Membership:
    return Membership.objects.get(room=room, user=user)


def refused(act: Callable[[], Any]) -> dict[str, Any]:
    with pytest.raises(EventError) as refusal:
        act()
    return refusal.value.as_dict()


def notices(room: Room) -> list[dict[str, Any]]:
    return [json.loads(row.extra) for row in Message.objects.filter(room=room, kind="notice").order_by("seq")]


# Finding


def ways_in(slug: str, user: User) -> list[Callable[[], Any]]:
    """Everything that names a room."""
    return [
        lambda: rooms.look("chat", slug, user.pk),
        lambda: rooms.take_seat("chat", slug, user.pk),
        lambda: rooms.invite("chat", slug, user.pk, "bob"),
        lambda: rooms.quit("chat", slug, user.pk),
        lambda: rooms.update("chat", slug, user.pk, name="x"),
        lambda: history.page("chat", slug, user.pk),
        lambda: history.who("chat", slug, user.pk, 1),
    ]


def test_a_private_room_is_as_absent_as_one_that_does_not_exist(private: Room, charlie: User) -> None:
    for hidden, absent in zip(ways_in("private", charlie), ways_in("nowhere", charlie), strict=True):
        answer = refused(hidden)
        assert answer["code"] == "not_found"
        assert json.dumps(answer).replace("private", "nowhere") == json.dumps(refused(absent))
    (seat,) = rooms.find_seats([("chat", "private", charlie.pk)])
    assert isinstance(seat, EventError) and seat.code == "not_found"


def test_hiding_a_room_takes_the_same_queries_as_not_finding_one(
    private: Room, charlie: User, django_assert_num_queries: Any
) -> None:
    for slug in ("private", "nowhere"):
        with django_assert_num_queries(3), pytest.raises(EventError):
            rooms.look("chat", slug, charlie.pk)


def test_who_is_banned_finds_no_private_room_and_is_told_why_of_a_public_one(
    public: Room, private: Room, bob: User
) -> None:
    rooms.take_seat("chat", "public", bob.pk)
    for room in (public, private):
        Ban.objects.create(user=bob, room=room, reason="spam")
    for banned in ways_in("public", bob):
        assert (answer := refused(banned))["code"] == "banned" and answer["reason"] == "spam"
    for hidden, absent in zip(ways_in("private", bob), ways_in("nowhere", bob), strict=True):
        assert json.dumps(refused(hidden)).replace("private", "nowhere") == json.dumps(refused(absent))


def test_a_ban_that_ran_out_counts_no_more(public: Room, bob: User) -> None:
    Ban.objects.create(user=bob, room=public, until=timezone.now() - timedelta(seconds=1))
    assert rooms.take_seat("chat", "public", bob.pk)


def test_a_room_of_another_namespace_is_another_room(public: Room, alice: User) -> None:
    assert refused(lambda: rooms.look("orders", "public", alice.pk))["code"] == "not_found"


def test_the_servers_own_room_is_no_room(alice: User) -> None:
    assert refused(lambda: rooms.look(*door.CONTROL, alice.pk))["code"] == "not_found"
    assert refused(lambda: rooms.take_seat(*door.CONTROL, alice.pk))["code"] == "not_found"


# Joining


def test_joining_a_public_room_begins_at_its_head(public: Room, alice: User, bob: User) -> None:
    say(public, alice)
    seq = say(public, alice)
    seat = rooms.take_seat("chat", "public", bob.pk)
    assert (seat.head, seat.received, seat.read, seat.joined_at_seq) == (seq, seq, seq, seq)
    assert place(public, bob).read_messages == 2
    say(public, alice)
    again = rooms.take_seat("chat", "public", bob.pk)
    assert (again.head, again.received, again.member_id) == (seq + 1, seq, seat.member_id)


def test_many_seats_are_found_in_three_queries(
    public: Room, private: Room, alice: User, bob: User, charlie: User, django_assert_num_queries: Any
) -> None:
    Ban.objects.create(user=charlie, room=public)
    keys = [
        ("chat", slug, user.pk) for slug in ("public", "private", "nowhere") for user in (alice, bob, charlie)
    ]
    with django_assert_num_queries(3):
        found = rooms.find_seats(keys)
    kinds = [each.code if isinstance(each, EventError) else type(each) for each in found]
    assert kinds == [Seat, type(None), "banned", Seat, Seat, *["not_found"] * 4]
    assert found[0] == rooms.take_seat("chat", "public", alice.pk)


# Making


def test_a_new_room_belongs_to_its_creator(alice: User) -> None:
    room = rooms.create("chat", alice.pk, "new", name=" New ", topic="t", private=True, ordering="unordered")
    assert place(room, alice).role == Role.OWNER
    described = listing.describe(room.pk, alice.pk)
    assert described["name"] == "New" and described["private"] and described["ordering"] == "unordered"


def test_a_name_that_is_taken_is_a_conflict(public: Room, bob: User) -> None:
    assert refused(lambda: rooms.create("chat", bob.pk, "public"))["code"] == "conflict"
    assert now(public).name == "Public"
    rooms.create("orders", bob.pk, "public")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("slug", slug) for slug in ("", "A", "-a", "a b", "a/b", "a" * 65, "a\n", "ü")),
        *(("name", name) for name in ("x" * 101, "a\nb", "a\0b", "a\u202eb", "\x1b[31m")),
        ("topic", "x" * 301),
        ("ordering", "random"),
        *(("ack_wait", seconds) for seconds in (0, -1, 1e9, float("nan"))),
        *(("max_deliver", times) for times in (0, 10**9)),
    ],
)
def test_what_a_room_cannot_have_is_refused_with_the_field(alice: User, field: str, value: Any) -> None:
    fields = {"slug": "fine", field: value}
    answer = refused(lambda: rooms.create("chat", alice.pk, **fields))
    assert answer["code"] == "bad_data" and answer["field"] == ("room" if field == "slug" else field)


# Inviting


def test_an_invitation_makes_a_member_at_the_head_and_tells_the_servers(
    public: Room, alice: User, bob: User
) -> None:
    seq = say(public, alice)
    rooms.invite("chat", "public", alice.pk, bob.pk)
    assert (place(public, bob).received, place(public, bob).joined_at_seq) == (seq, seq)
    last = Message.objects.filter(kind="control").latest("seq")
    assert json.loads(last.extra) == {"act": "added", "user": bob.pk, "namespace": "chat", "room": "public"}


def test_inviting_a_member_again_changes_nothing(private: Room, alice: User, bob: User) -> None:
    controls = Message.objects.filter(kind="control").count()
    rooms.invite("chat", "private", alice.pk, "bob")
    assert Message.objects.filter(kind="control").count() == controls
    assert place(private, bob).role == Role.MEMBER


def test_only_owners_and_moderators_invite_and_rename(
    private: Room, alice: User, bob: User, charlie: User
) -> None:
    assert refused(lambda: rooms.invite("chat", "private", bob.pk, "charlie"))["code"] == "forbidden"
    assert refused(lambda: rooms.update("chat", "private", bob.pk, name="x"))["code"] == "forbidden"
    Membership.objects.filter(user=bob).update(role=Role.MODERATOR)
    rooms.invite("chat", "private", bob.pk, "charlie")
    rooms.update("chat", "private", bob.pk, name="x")
    assert place(private, charlie).role == Role.MEMBER and now(private).name == "x"


def test_who_only_looks_into_a_public_room_changes_nothing_in_it(public: Room, bob: User) -> None:
    assert refused(lambda: rooms.invite("chat", "public", bob.pk, "bob"))["code"] == "forbidden"
    assert refused(lambda: rooms.update("chat", "public", bob.pk, name="x"))["code"] == "forbidden"
    assert refused(lambda: rooms.quit("chat", "public", bob.pk))["code"] == "forbidden"


def test_nobody_is_invited_who_is_banned_inactive_or_unknown(
    private: Room, alice: User, bob: User, charlie: User
) -> None:
    Ban.objects.create(user=charlie, room=private)
    assert refused(lambda: rooms.invite("chat", "private", alice.pk, "charlie"))["code"] == "forbidden"
    User.objects.create(username="gone", is_active=False)
    for who in ("gone", "nobody", "system", 0):
        assert refused(lambda who=who: rooms.invite("chat", "private", alice.pk, who))["code"] == "not_found"


# Leaving


def test_quitting_ends_the_membership_with_a_notice(private: Room, alice: User, bob: User) -> None:
    rooms.quit("chat", "private", bob.pk)
    assert not Membership.objects.filter(room=private, user=bob).exists()
    assert notices(private) == [
        {"text": "bob left the room.", "act": "quit", "user": {"id": bob.pk, "name": "bob"}}
    ]
    assert refused(lambda: rooms.look("chat", "private", bob.pk))["code"] == "not_found"


def test_the_last_owner_hands_the_room_to_the_oldest_moderator(
    public: Room, alice: User, bob: User, charlie: User
) -> None:
    rooms.take_seat("chat", "public", bob.pk)
    rooms.take_seat("chat", "public", charlie.pk)
    Membership.objects.filter(user=charlie).update(role=Role.MODERATOR)
    rooms.quit("chat", "public", alice.pk)
    assert (place(public, bob).role, place(public, charlie).role) == (Role.MEMBER, Role.OWNER)
    assert notices(public)[-1]["owner"] == {"id": charlie.pk, "name": "charlie"}


def test_without_moderators_the_oldest_member_inherits_and_the_last_one_out_leaves_it(
    public: Room, alice: User, bob: User, charlie: User
) -> None:
    rooms.take_seat("chat", "public", bob.pk)
    rooms.take_seat("chat", "public", charlie.pk)
    rooms.quit("chat", "public", alice.pk)
    assert (place(public, bob).role, place(public, charlie).role) == (Role.OWNER, Role.MEMBER)
    rooms.quit("chat", "public", bob.pk)
    rooms.quit("chat", "public", charlie.pk)
    assert not public.memberships.exists() and now(public).head == 3


def test_an_owner_who_leaves_another_one_changes_no_role(public: Room, alice: User, bob: User) -> None:
    rooms.take_seat("chat", "public", bob.pk)
    Membership.objects.filter(user=bob).update(role=Role.OWNER)
    rooms.quit("chat", "public", alice.pk)
    assert "owner" not in notices(public)[-1]


# Changing and closing


def test_a_new_name_and_topic_are_told_once_as_a_notice(public: Room, alice: User) -> None:
    say(public, alice)
    rooms.update("chat", "public", alice.pk, name="New", topic="T")
    rooms.update("chat", "public", alice.pk, name="New")
    assert [(now(public).name, now(public).topic)] == [("New", "T")]
    assert notices(public) == [
        {
            "text": "The room is called “New” now. The topic is “T” now.",
            "act": "update",
            "name": "New",
            "topic": "T",
        }
    ]
    assert now(public).head == 2


def test_a_stale_room_that_is_saved_moves_no_head_back(public: Room, alice: User) -> None:
    stale = now(public)
    say(public, alice)
    stale.name = "New"
    stale.save()
    assert (now(public).name, now(public).head) == ("New", 1)
    say(public, alice)


def test_a_closed_room_is_left_to_its_members_to_read(public: Room, alice: User, bob: User) -> None:
    seq = say(public, alice)
    rooms.close(public, "moved")
    rooms.close(public)
    assert notices(public) == [{"text": "The room was closed.", "act": "close", "reason": "moved"}]
    assert history.page("chat", "public", alice.pk)["messages"][0]["seq"] == seq
    assert refused(lambda: say(public, alice))["code"] == "forbidden"
    assert refused(lambda: rooms.update("chat", "public", alice.pk, name="x"))["code"] == "forbidden"
    assert refused(lambda: rooms.take_seat("chat", "public", bob.pk))["code"] == "not_found"
    assert rooms.take_seat("chat", "public", alice.pk)
    rooms.quit("chat", "public", alice.pk)


# Listing


def listed(user: User, **more: Any) -> dict[str, dict[str, Any]]:
    return {room["room"]: room for room in listing.list_for(user.pk, **more)["rooms"]}


def test_a_list_has_the_public_rooms_and_ones_own(
    public: Room, private: Room, alice: User, charlie: User
) -> None:
    rooms.create("orders", charlie.pk, "elsewhere")
    assert set(listed(alice)) == {"public", "private"}
    assert set(listed(charlie)) == {"public"}
    assert listed(charlie)["public"] == {
        **{"room": "public", "name": "Public", "topic": "", "private": False, "ordering": "ordered"},
        **{"closed": False, "member": False, "role": None, "head": 0, "cursor": None, "read": None},
        **{"unread": 0, "mentions": 0, "slow_mode": 0},
    }


def test_a_list_leaves_out_rooms_that_banned_the_person_or_were_closed(
    public: Room, private: Room, alice: User, bob: User, charlie: User
) -> None:
    Ban.objects.create(user=bob, room=private)
    assert set(listed(bob)) == {"public"}
    rooms.close(public)
    assert set(listed(charlie)) == set()
    assert listed(alice)["public"]["closed"]


def test_unread_counts_messages_alone(public: Room, alice: User, bob: User) -> None:
    say(public, alice)
    rooms.take_seat("chat", "public", bob.pk)
    first = say(public, alice)
    door.write(Draft("chat", "public", alice.pk, "e1", "edit", target=first, body="edited"))
    door.write(
        Draft("chat", "public", alice.pk, "r1", "react", target=first, extra={"emoji": "👍", "on": True})
    )
    last = say(public, alice)
    room = listed(bob)["public"]
    assert (room["unread"], room["head"], room["cursor"], room["read"]) == (2, last, 1, 1)


def test_mentions_count_above_what_was_read(public: Room, alice: User, bob: User) -> None:
    rooms.take_seat("chat", "public", bob.pk)
    named = {"extra": {"mentions": rooms.named("chat", "public", ["bob", "nobody"])}}
    first = say(public, alice, "@bob", **named)
    say(public, alice, "@bob again", **named)
    say(public, alice, "not you")
    assert listed(bob)["public"]["mentions"] == 2 and listed(alice)["public"]["mentions"] == 0
    Membership.objects.filter(user=bob).update(read=first)
    assert listed(bob)["public"]["mentions"] == 1


def test_only_members_are_mentioned(private: Room, bob: User, charlie: User) -> None:
    found = rooms.named("chat", "private", ["Bob", "charlie", "nobody"])
    assert found == [{"id": bob.pk, "name": "bob"}]


def test_a_list_comes_in_pages_of_two_queries_at_most(
    alice: User, django_assert_max_num_queries: Any
) -> None:
    for number in range(5):
        rooms.create("chat", alice.pk, f"room-{number}")
    seen: list[str] = []
    after = ""
    for expected in (2, 2, 1):
        with django_assert_max_num_queries(2):
            reply = listing.list_for(alice.pk, after=after, limit=2)
        assert len(reply["rooms"]) == expected
        seen += [room["room"] for room in reply["rooms"]]
        after = reply.get("next", "")
    assert seen == [f"room-{number}" for number in range(5)] and not reply["more"] and "next" not in reply


def test_a_list_is_clamped_and_fits_a_frame(alice: User) -> None:
    widest = {"name": "\U0001f600" * 100, "topic": "\U0001f600" * 300}
    Room.objects.bulk_create(Room(namespace="chat", slug=f"r{number:03}", **widest) for number in range(150))
    reply = listing.list_for(alice.pk, limit=1000)
    assert reply["more"] and len(msgspec.json.encode(reply)) < paging.REPLY + 1000
    assert len(listing.list_for(alice.pk)["rooms"]) == 50
    Room.objects.update(name="", topic="")
    assert len(listing.list_for(alice.pk, limit=1000)["rooms"]) == 100

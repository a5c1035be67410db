"""Moderation as a service: the staff, the last superuser, and what is left of who is deleted."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chat.delivery import door
from chat.delivery.entries import SYSTEM, Draft
from chat.models import Ban, Membership, Mention, Message, Presence, Process, Room
from chat.services import erasure, moderation, rooms, tokens
from tests.support.refusals import refusal

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> User:
    return User.objects.create(username="alice", is_staff=True)


@pytest.fixture
def bob() -> User:
    return User.objects.create(username="bob", email="bob@example.org", first_name="Bob")


@pytest.fixture
def room(bob: User) -> Room:
    rooms.create("chat", bob.pk, "general")
    return Room.objects.get(slug="general")


def say(user: User, body: str = "hello", **more: Any) -> int:
    draft = Draft("chat", "general", user.pk, uuid.uuid4().hex, "message", body=body, **more)
    return door.write(draft)[0].seq


# Who may


def test_whoever_is_not_staff_may_nothing(bob: User, room: Room) -> None:
    charlie = User.objects.create(username="charlie")
    gone = User.objects.create(username="gone", is_staff=True, is_active=False)
    for by in (charlie.pk, gone.pk, 10**9):
        for act, *args in (
            (moderation.ban, bob.pk),
            (moderation.unban, bob.pk),
            (moderation.mute, bob.pk, "general"),
            (moderation.kick, bob.pk, "general"),
            (moderation.send_away, bob.pk),
            (moderation.close_room, "general"),
            (moderation.delete_message, "general", 1),
            (erasure.delete_person, bob.pk),
        ):
            assert refusal(act, by, *args).code == "forbidden"
    assert not LogEntry.objects.exists()


def test_staff_who_are_banned_from_the_site_may_nothing(alice: User, bob: User) -> None:
    """Not even in the moment before their sockets are closed, and least of all end their ban."""
    dora = User.objects.create(username="dora", is_staff=True)
    moderation.ban(dora.pk, alice.pk, reason="went too far")
    for act, about in ((moderation.unban, alice), (moderation.ban, dora), (erasure.delete_person, bob)):
        assert refusal(act, alice.pk, about.pk).code == "forbidden"
    moderation.unban(dora.pk, alice.pk)
    moderation.ban(alice.pk, bob.pk)


def test_commands_act_as_the_system(bob: User) -> None:
    moderation.ban(SYSTEM, "bob", reason="spam")
    entry = LogEntry.objects.get()
    assert (entry.user_id, entry.object_repr, entry.change_message) == (
        SYSTEM,
        "bob",
        "a user was banned reason=spam",
    )


def test_the_system_itself_is_no_person(alice: User) -> None:
    assert refusal(moderation.ban, alice.pk, SYSTEM).code == "not_found"
    assert refusal(erasure.delete_person, alice.pk, "system").code == "not_found"


def test_what_is_refused_leaves_nothing_behind(alice: User, bob: User, room: Room) -> None:
    head = Room.objects.get(namespace="_control").head
    assert refusal(moderation.ban, alice.pk, bob.pk, "absent").code == "not_found"
    assert refusal(moderation.ban, alice.pk, bob.pk, reason="x" * 301).code == "bad_data"
    assert not Ban.objects.exists() and not LogEntry.objects.exists()
    assert Room.objects.get(namespace="_control").head == head


# The last superuser


def test_superusers_who_cannot_come_in_do_not_count() -> None:
    boss = User.objects.create(username="boss", is_staff=True, is_superuser=True)
    User.objects.create(username="inactive", is_superuser=True, is_active=False)
    User.objects.create(username="kept out", is_superuser=True, is_staff=False)
    banned = User.objects.create(username="banned", is_staff=True, is_superuser=True)
    ban = Ban.objects.create(user=banned)
    for act in (moderation.ban, erasure.delete_person):
        assert "last superuser" in refusal(act, boss.pk, boss.pk).message
        assert "last superuser" in refusal(act, SYSTEM, boss.pk).message
    ban.until = timezone.now() - timedelta(seconds=1)
    ban.save()
    erasure.delete_person(boss.pk, boss.pk)


def test_the_last_superuser_can_be_banned_from_a_room(room: Room) -> None:
    boss = User.objects.create(username="boss", is_staff=True, is_superuser=True)
    moderation.ban(boss.pk, boss.pk, "general")
    assert Ban.objects.get().room == room


# Bans


def test_a_second_ban_takes_the_place_of_the_first(alice: User, bob: User, room: Room) -> None:
    for place in (None, "general"):
        moderation.ban(alice.pk, bob.pk, place, reason="spam", seconds=60)
        moderation.ban(alice.pk, bob.pk, place, reason="more spam")
    assert [(ban.reason, ban.until) for ban in Ban.objects.all()] == [("more spam", None)] * 2
    assert LogEntry.objects.count() == 4


def test_a_ban_that_has_run_out_is_none(alice: User, bob: User) -> None:
    Ban.objects.create(user=bob, until=timezone.now() - timedelta(seconds=1))
    assert refusal(moderation.unban, alice.pk, bob.pk).code == "not_found"


def test_who_was_never_a_member_is_banned_without_a_notice(alice: User, bob: User, room: Room) -> None:
    charlie = User.objects.create(username="charlie")
    moderation.ban(alice.pk, charlie.pk, "general")
    assert Room.objects.get(pk=room.pk).head == room.head


# The end of a person


def test_what_is_left_of_who_is_deleted(alice: User, bob: User, room: Room) -> None:
    tokens.create(bob)
    bob.groups.add(Group.objects.create(name="cooks"))
    Presence.objects.create(
        user=bob, process=Process.objects.create(id="p", started_at=timezone.now(), beat_at=timezone.now())
    )
    Ban.objects.create(user=bob, room=room)
    seq = say(alice_joined(alice, room), "hello @bob", extra={"mentions": [{"id": bob.pk, "name": "bob"}]})
    erasure.delete_person(alice.pk, "bob")
    bob.refresh_from_db()
    assert (bob.username, bob.email, bob.first_name) == (f"deleted-{bob.pk}", "", "")
    assert not (bob.is_active or bob.is_staff or bob.is_superuser or bob.has_usable_password())
    assert not bob.groups.exists()
    for rows in (bob.tokens, bob.memberships, bob.presences):  # type: ignore[attr-defined]
        assert not rows.exists()
    assert Ban.objects.filter(user=bob).exists()
    assert Message.objects.get(room=room, seq=seq).body == "hello @bob"
    heir = Membership.objects.get(room=room, user=alice)
    assert heir.role == "owner"


def alice_joined(alice: User, room: Room) -> User:
    rooms.take_seat(room.namespace, room.slug, alice.pk)
    return alice


def test_who_is_deleted_leaves_every_room_some_at_a_time(
    alice: User, bob: User, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "ROOMS", 2)
    more = [rooms.create("chat", bob.pk, f"room{number}") for number in range(4)]
    erasure.anonymise(alice.pk, bob.pk)
    assert [erasure.leave_slice(bob.pk) for _ in range(3)] == [True, True, False]
    assert not Membership.objects.filter(user=bob).exists()
    for each in (room, *more):
        notice = Message.objects.filter(room=each, kind="notice").latest("seq")
        assert f"deleted-{bob.pk} left the site." in notice.extra


def test_the_name_of_nobody_may_be_taken(alice: User, bob: User) -> None:
    User.objects.create(username=f"deleted-{bob.pk}")
    person = erasure.delete_person(alice.pk, bob.pk)
    assert person.username.startswith(f"deleted-{bob.pk}-")


def test_erasing_leaves_tombstones_and_a_log_without_gaps(
    alice: User, bob: User, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "SLICE", 2)
    alice_joined(alice, room)
    said = [say(bob, f"word {number}") for number in range(5)]
    named = say(bob, "hi @alice", extra={"mentions": [{"id": alice.pk, "name": "alice"}]})
    edit = Draft("chat", "general", bob.pk, "e", "edit", body="another", target=said[0])
    door.write(edit)
    kept = say(alice, "mine")
    assert Mention.objects.filter(seq=named).exists()
    erasure.delete_person(alice.pk, bob.pk, erase=True)
    rows = list(Message.objects.filter(room=room).order_by("seq"))
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    assert [row.seq for row in rows if row.body] == [kept]
    assert all(row.deleted for row in rows if row.seq in (*said, named))
    assert not Mention.objects.filter(seq=named).exists()
    assert [row.target for row in rows if row.kind == "delete"] == [*said, named]
    head = Room.objects.get(pk=room.pk).head
    erasure.delete_person(alice.pk, bob.pk, erase=True)
    assert Room.objects.get(pk=room.pk).head == head


def test_erasing_never_looks_through_a_log(alice: User, bob: User, room: Room) -> None:
    """On SQLite all messages would wait for it, slice after slice."""
    if connection.vendor != "sqlite":
        pytest.skip("how PostgreSQL reads depends on its statistics")
    say(bob, "word")
    with CaptureQueriesContext(connection) as seen:
        assert erasure.slices(bob.pk) == [(room.pk, [1])]
        erasure.erase_slice(room.pk, [1])
    logs = [
        each["sql"] for each in seen if each["sql"].startswith("SELECT") and "chat_message" in each["sql"]
    ]
    with connection.cursor() as cursor:
        plans = [str(cursor.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()) for sql in logs]
    assert len(plans) >= 3
    assert not [plan for plan in plans if "seq>" in plan or "SCAN chat_message" in plan]


def test_erasing_takes_what_is_in_rooms_they_left_long_ago(alice: User, bob: User, room: Room) -> None:
    seq = say(bob, "word")
    rooms.quit("chat", "general", bob.pk)
    moderation.close_room(alice.pk, "general")
    erasure.delete_person(alice.pk, bob.pk, erase=True)
    assert Message.objects.get(room=room, seq=seq).body == ""

"""The one door: on the caller's connection, and with its transaction."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from chat.delivery import door
from chat.delivery.entries import Appended, Receipt
from chat.models import Ban, Room

from .conftest import MakeRoom
from .support import act, bodies, check_dense, controls, draft, entries, held_room, now, others, refused, say


@pytest.fixture
def heard() -> Iterator[list[Appended]]:
    """What the hub of this process is told."""
    heard: list[Appended] = []
    door.on_write = heard.extend
    yield heard
    door.on_write = None


def test_what_is_written_is_answered_in_its_order(make_room: MakeRoom, alice: User) -> None:
    one, two = make_room(), make_room()
    drafts = draft(two, alice), draft(one, alice), draft(two, alice)
    assert door.write(*drafts) == [
        Receipt(where.slug, seq, each.client_id, duplicate=False)
        for each, where, seq in zip(drafts, (two, one, two), (1, 1, 2), strict=True)
    ]
    assert door.write() == []


def test_a_write_commits_and_rolls_back_with_its_caller(room: Room, alice: User, bob: User) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        Ban.objects.create(user=bob, room=room)
        say(room, alice, "gone with the ban")
        raise ZeroDivisionError
    assert (bodies(room), Ban.objects.count(), now(room).head) == ([], 0, 0)
    with transaction.atomic():
        Ban.objects.create(user=bob, room=room)
        say(room, alice, "bob is banned")
    assert (bodies(room), Ban.objects.count(), now(room).head) == (["bob is banned"], 1, 1)
    check_dense(room)


def test_a_refusal_undoes_the_whole_call_and_nothing_before_it(
    make_room: MakeRoom, alice: User, charlie: User
) -> None:
    one, two = make_room(), make_room()
    with transaction.atomic():
        say(one, alice, "before")
        calls = draft(one, alice, "not kept"), draft(two, alice, "not kept"), draft(two, charlie)
        assert refused(door.write, *calls).code == "forbidden"
        say(one, alice, "after")
    assert (bodies(one), bodies(two)) == (["before", "after"], [])
    for room in (one, two):
        check_dense(room)


def test_a_caller_sees_its_own_entries_and_others_see_them_once_committed(room: Room, alice: User) -> None:
    with others() as threads:
        with transaction.atomic():
            say(room, alice)
            assert len(entries(room)) == 1
            assert threads.submit(entries, room).result() == []
        assert len(threads.submit(entries, room).result()) == 1


def test_the_hub_is_told_after_the_commit_and_not_of_a_rollback(
    room: Room, alice: User, heard: list[Appended]
) -> None:
    with transaction.atomic():
        say(room, alice)
        assert heard == []
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        say(room, alice)
        raise ZeroDivisionError
    retry = draft(room, alice, client_id=entries(room)[0].data["client_id"])
    door.write(retry)  # a duplicate is nothing new
    assert [(each.slug, each.first, each.last) for each in heard] == [("general", 1, 1)]


def test_two_writes_of_a_transaction_are_told_in_their_order(
    make_room: MakeRoom, alice: User, heard: list[Appended]
) -> None:
    one, two = make_room(), make_room()
    with transaction.atomic():
        for room in (one, two, one):
            say(room, alice)
    assert [(each.slug, each.first) for each in heard] == [(one.slug, 1), (two.slug, 1), (one.slug, 2)]


def test_a_writer_waits_for_who_holds_the_room(room: Room, alice: User) -> None:
    with held_room(room) as end, others() as threads:
        waiting = threads.submit(say, room, alice)
        assert not waiting.done()
        end.set()
        assert waiting.result() == 1


def test_who_is_known_is_found_after_the_lock(room: Room, alice: User) -> None:
    """Two processes with the same retry at once: the second waits, and then sees the first's."""
    message = draft(room, alice, "once")
    with others(4) as threads:
        answers = [threads.submit(door.write, message) for _ in range(8)]
        receipts = [answer.result()[0] for answer in answers]
    assert sorted(each.duplicate for each in receipts) == [False] + [True] * 7
    assert {each.seq for each in receipts} == {1}
    assert bodies(room) == ["once"]


def test_a_control_entry_commits_with_what_it_tells_of(control: Room) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        door.control("recheck", users=[7])
        raise ZeroDivisionError
    assert controls() == []
    with transaction.atomic():
        door.control("recheck", users=[7])
        door.control("reseat", room=3)
    assert controls() == [{"act": "recheck", "users": [7]}, {"act": "reseat", "room": 3}]
    check_dense(control)


def test_a_control_entry_has_a_client_id_of_its_own(control: Room) -> None:
    for _ in range(2):
        door.control("recheck", users=[])
    assert len({uuid.UUID(entry.data["client_id"]) for entry in entries(control)}) == 2


@pytest.mark.parametrize("kind", ["edit", "delete", "react"])
def test_a_command_speaks_of_any_message_in_the_systems_name(kind: str, room: Room, bob: User) -> None:
    say(room, bob)
    door.write(act(kind, room, None, 1))
    assert entries(room)[-1].sender.as_dict() == {"id": 0, "name": "system"}


def test_a_receipt_says_what_the_wire_says() -> None:
    expected: dict[str, Any] = {"room": "r", "seq": 7, "client_id": "c", "duplicate": True}
    assert Receipt("r", 7, "c", duplicate=True).as_dict() == expected

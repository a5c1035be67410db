"""What a member did not get and will not be sent again: told, not lost."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from chat.delivery import cursors
from chat.delivery.ranges import Ranges
from chat.errors import EventError
from chat.models import Room
from chat.services import deadletters

from .conftest import MakeRoom
from .support import dead_letters, place
from .test_cursors import flush


def grow(room: Room, head: int) -> None:
    Room.objects.filter(pk=room.pk).update(head=head)


def every_second(upto: int) -> str:
    return str(Ranges((seq, seq) for seq in range(2, upto + 1, 2)))


def test_what_was_delivered_too_often_becomes_a_dead_letter(make_room: MakeRoom, bob: User) -> None:
    room = make_room(ordering="unordered")
    grow(room, 9)
    member = flush(room, bob, received=1, acked="3", dead={2: 5, 7: 6})
    assert dead_letters(room, bob) == [(2, 2, 5, "max_deliver"), (7, 7, 6, "max_deliver")]
    assert (member.received, member.acked) == (3, "7")


def test_a_dead_letter_is_written_once(make_room: MakeRoom, bob: User) -> None:
    """A flush whose answer was lost is repeated."""
    room = make_room(ordering="unordered")
    grow(room, 9)
    for _ in range(2):
        flush(room, bob, dead={2: 5}, acked="2")
    assert dead_letters(room, bob) == [(2, 2, 5, "max_deliver")]


def test_what_another_device_acknowledged_after_all_is_no_dead_letter(make_room: MakeRoom, bob: User) -> None:
    room = make_room(ordering="unordered")
    grow(room, 9)
    flush(room, bob, received=2, acked="5")
    flush(room, bob, acked="2,5,7", dead={2: 5, 5: 5, 7: 5})
    assert dead_letters(room, bob) == [(7, 7, 5, "max_deliver")]


def test_a_dead_letter_is_one_members_own(make_room: MakeRoom, alice: User, bob: User) -> None:
    room = make_room(ordering="unordered")
    grow(room, 9)
    flush(room, bob, dead={2: 5})
    assert dead_letters(room, alice) == []
    assert place(room, alice).acked == ""


def test_past_the_bound_of_ranges_the_lowest_open_entry_becomes_a_dead_letter(
    make_room: MakeRoom, bob: User
) -> None:
    """So that a membership stays a small row, whatever is acknowledged."""
    room = make_room(ordering="unordered")
    most = 2 * (cursors.MAX_RANGES - 1)
    grow(room, most + 9)
    member = flush(room, bob, acked=every_second(most), deliveries={1: 3})
    assert len(Ranges.parse(member.acked)) == cursors.MAX_RANGES - 1
    assert dead_letters(room, bob) == []
    member = flush(room, bob, acked=every_second(most + 2), deliveries={1: 4, 3: 1})
    assert dead_letters(room, bob) == [(1, 1, 4, "too_many_open")]
    assert (member.received, len(Ranges.parse(member.acked))) == (2, cursors.MAX_RANGES - 1)
    assert member.deliveries == {"3": 1}


def test_a_place_that_no_database_could_name_is_none() -> None:
    with pytest.raises(EventError, match="there is no queue or room"):
        deadletters.find_place("orders/\0")

"""Members' cursors: what is written of them, and that it only goes forward."""

from __future__ import annotations

import random
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat.delivery import cursors, door, retention
from chat.delivery.cursors import Lowest, Progress
from chat.delivery.ranges import Ranges
from chat.models import Membership, Room
from chat.services import rooms

from .conftest import MakeRoom
from .support import act, dead_letters, draft, now, on_postgres, others, place, say


def learn(room: Room, user: User, *, acked: str = "", **more: Any) -> Progress:
    """What a process learned of a member."""
    epoch = more.pop("epoch", room.epoch)
    return Progress(place(room, user).pk, room.pk, epoch, acked=Ranges.parse(acked), **more)


def flush(room: Room, user: User, **more: Any) -> Membership:
    cursors.flush([learn(room, user, **more)])
    return place(room, user)


def fill(room: Room, user: User, count: int) -> None:
    with transaction.atomic():
        for _ in range(count):
            say(room, user)


# Forward only


def test_a_cursor_moves_forward_only(room: Room, alice: User, bob: User) -> None:
    fill(room, alice, 5)
    assert flush(room, bob, received=4, read=3).received == 4
    member = flush(room, bob, received=2, read=1)
    assert (member.received, member.read) == (4, 3)


def test_a_cursor_never_passes_the_head(make_room: MakeRoom, alice: User, bob: User) -> None:
    """A log that was restored from a copy is shorter than what a process still remembers."""
    ordered, unordered = make_room(), make_room(ordering="unordered")
    for room in (ordered, unordered):
        fill(room, alice, 3)
    assert flush(ordered, bob, received=9, read=9).received == 3
    assert place(ordered, bob).read == 3
    member = flush(unordered, bob, received=3, acked="4-6,8", deliveries={2: 1, 7: 1}, dead={9: 5})
    assert (member.received, member.acked, member.deliveries) == (3, "", {})
    assert dead_letters(unordered, bob) == []


def test_two_processes_each_with_half_the_truth_agree_in_the_end(room: Room, alice: User, bob: User) -> None:
    fill(room, alice, 9)
    flush(room, bob, received=2, acked="5,8")
    member = flush(room, bob, received=3, acked="4,6-7", read=6)
    assert (member.received, member.acked, member.read) == (8, "", 6)


def test_progress_of_a_foreign_epoch_is_discarded(room: Room, alice: User, bob: User) -> None:
    fill(room, alice, 5)
    member = flush(room, bob, received=4, read=4, acked="5", dead={3: 5}, epoch="before the restore")
    assert (member.received, member.read, member.acked) == (0, 0, "")
    assert dead_letters(room, bob) == []


def test_progress_of_a_membership_that_is_gone_is_discarded(room: Room, alice: User, bob: User) -> None:
    fill(room, alice, 2)
    late = learn(room, bob, received=2, dead={1: 5})
    Membership.objects.filter(room=room, user=bob).delete()
    assert cursors.flush([late, learn(room, alice, received=1)]).lowest == {room.pk: Lowest(1, 0)}
    assert dead_letters(room, bob) == []


def test_nothing_learned_is_nothing_written() -> None:
    assert cursors.flush([]).lowest == {}


def test_a_flush_tells_the_lowest_cursors_of_its_rooms(make_room: MakeRoom, alice: User, bob: User) -> None:
    one, two = make_room(), make_room()
    for room in (one, two):
        fill(room, alice, 3)
    flush(one, alice, received=3, read=2)
    lowest = cursors.flush([learn(one, bob, received=2, read=3), learn(two, bob, received=1)]).lowest
    assert lowest == {one.pk: Lowest(received=2, read=2), two.pk: Lowest(received=0, read=0)}


def test_many_cursors_are_written_at_once(room: Room, alice: User) -> None:
    people = User.objects.bulk_create(User(username=f"member{number}") for number in range(1200))
    Membership.objects.bulk_create(Membership(room=room, user=person) for person in people)
    fill(room, alice, 3)
    rows = Membership.objects.filter(room=room).order_by("?").values_list("pk", flat=True)
    cursors.flush(Progress(pk, room.pk, room.epoch, received=2) for pk in rows)
    assert set(Membership.objects.filter(room=room).values_list("received", flat=True)) == {2}


# What is read


def test_unread_counts_messages_alone_and_costs_no_counting(room: Room, alice: User, bob: User) -> None:
    say(room, alice)  # 1
    say(room, alice)  # 2
    door.write(act("edit", room, alice, 1, "better"), act("react", room, alice, 1))  # 3, 4
    say(room, alice)  # 5
    door.write(draft(room, None, kind="notice", extra={"text": "so it is"}))  # 6

    def unread(read: int) -> int:
        member = flush(room, bob, read=read)
        return now(room).messages - member.read_messages

    assert [unread(read) for read in (0, 1, 2, 3, 4, 5, 6)] == [3, 2, 1, 1, 1, 0, 0]


def test_reading_back_does_not_make_messages_unread_again(room: Room, alice: User, bob: User) -> None:
    fill(room, alice, 3)
    flush(room, bob, read=3)
    assert flush(room, bob, read=1).read_messages == 3


def test_unread_survives_what_was_read_being_trimmed(room: Room, alice: User, bob: User) -> None:
    Room.objects.filter(pk=room.pk).update(retain_entries=0)
    fill(room, alice, 3)
    for user in (alice, bob):
        flush(room, user, received=3, read=2)
    assert list(retention.trim(room.pk))
    assert flush(room, bob, read=2).read_messages == 2
    assert flush(room, bob, read=3).read_messages == 3


# Unordered rooms: what was acknowledged above the cursor


def test_what_is_acknowledged_out_of_order_is_kept_as_ranges(room: Room, alice: User, bob: User) -> None:
    fill(room, alice, 9)
    assert flush(room, bob, acked="3-4,7").acked == "3-4,7"
    member = flush(room, bob, acked="5,9", deliveries={1: 2, 7: 1, 8: 3})
    assert (member.received, member.acked, member.deliveries) == (0, "3-5,7,9", {"1": 2, "8": 3})
    member = flush(room, bob, acked="1-2", deliveries={6: 1})
    assert (member.received, member.acked, member.deliveries) == (5, "7,9", {"6": 1})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(st.sets(st.integers(1, 30), max_size=6), st.integers(0, 25), st.integers(0, 25)),
        min_size=1,
        max_size=8,
    )
)
def test_flushes_in_any_order_come_to_the_same_as_a_set(
    make_room: MakeRoom, alice: User, bob: User, flushes: list[tuple[set[int], int, int]]
) -> None:
    """Of several processes, each with what its sockets acknowledged; the head is 20."""
    room = make_room(ordering="unordered")
    Room.objects.filter(pk=room.pk).update(head=20)
    model: set[int] = set()
    before = place(room, bob)
    for acked, received, read in flushes:
        member = flush(room, bob, acked=",".join(map(str, sorted(acked))), received=received, read=read)
        model |= {seq for seq in (*acked, *range(1, received + 1)) if seq <= 20}
        got = set(range(1, member.received + 1)) | {
            seq for first, last in Ranges.parse(member.acked).pairs() for seq in range(first, last + 1)
        }
        assert got == model
        assert member.received >= before.received
        assert 20 >= member.read == max(before.read, min(read, 20))
        before = member


# Locks


@on_postgres
def test_concurrent_flushes_do_not_deadlock(make_room: MakeRoom, alice: User, bob: User) -> None:
    """Each process writes its dirty cursors in whatever order they became dirty."""
    many = [make_room(ordering="unordered") for _ in range(20)]
    for room in many:
        Room.objects.filter(pk=room.pk).update(head=100)
    every = [(room, user) for room in many for user in (alice, bob)]
    rounds = [
        [learn(room, user, received=seq, dead={seq + 5: 5}) for room, user in random.sample(every, 30)]
        for seq in range(1, 31)
    ]
    with others(4) as threads:
        for done in [threads.submit(cursors.flush, each) for each in rounds]:
            done.result()


@on_postgres
def test_a_flush_does_not_wait_for_who_holds_the_room(room: Room, alice: User, bob: User) -> None:
    """A dead letter refers to the room: writing it under the member's lock, behind someone who
    holds the room and is about to remove that member, would be a deadlock."""
    fill(room, alice, 5)
    progress = learn(room, bob, acked="4", dead={2: 5})
    with others() as threads, transaction.atomic():
        say(room, alice)
        rooms.look("chat", room.slug, bob.pk, lock=True)
        threads.submit(cursors.flush, [progress]).result(10)
        rooms.quit("chat", room.slug, bob.pk)
    assert dead_letters(room, bob) == [(2, 2, 5, "max_deliver")]

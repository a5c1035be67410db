"""Epochs: a log that was restored is another log."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.core.management import call_command

from chat.delivery import cursors, epochs, log
from chat.models import Room

from .conftest import MakeRoom
from .support import now, place, say
from .test_cursors import learn


def test_every_log_gets_an_epoch_of_its_own_that_it_never_had(make_room: MakeRoom) -> None:
    for _ in range(3):
        make_room()
    before = set(Room.objects.values_list("epoch", flat=True))
    assert epochs.renew() == Room.objects.count() == 4
    after = list(Room.objects.values_list("epoch", flat=True))
    assert len(set(after)) == 4
    assert not set(after) & before


def test_a_new_epoch_changes_nothing_else(room: Room, alice: User) -> None:
    say(room, alice)
    before = now(room)
    call_command("restored", verbosity=0)
    after = now(room)
    assert after.epoch != before.epoch
    assert (after.head, after.first, after.messages) == (1, 1, 1)
    assert say(room, alice) == 2


def test_polls_and_entries_carry_the_epoch(room: Room, alice: User) -> None:
    epochs.renew()
    epoch = now(room).epoch
    assert log.heads([room.pk])[room.pk].epoch == epoch
    state = log.state("chat", "general")
    assert state is not None
    assert state.epoch == epoch


def test_cursors_from_before_a_restore_are_discarded(room: Room, alice: User, bob: User) -> None:
    for _ in range(3):
        say(room, alice)
    known = learn(room, bob, received=3)
    epochs.renew()
    cursors.flush([known])
    assert place(room, bob).received == 0

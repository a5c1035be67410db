"""Who locks the control log, rooms and people does so in one order, so that nobody waits in a circle."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import transaction

from chat.errors import EventError
from chat.models import Ban, Membership, Room
from chat.services import erasure, moderation, reports, rooms

from .conftest import MakeRoom
from .support import (
    check_dense,
    control_room,
    draft,
    now,
    on_postgres,
    others,
    say,
    wait_until_someone_waits_for_a_lock,
)


@pytest.fixture
def boss() -> User:
    return User.objects.create(username="boss", is_staff=True, is_superuser=True)


@on_postgres
def test_who_leaves_and_who_bans_do_not_wait_for_each_other(room: Room, alice: User, bob: User) -> None:
    """The ban's signal has written to the control log when the notice of it needs the room."""
    with others(2) as threads:
        with transaction.atomic():
            Ban.objects.create(user=bob, room=room)
            leaving = threads.submit(rooms.quit, "chat", room.slug, alice.pk)
            threads.submit(wait_until_someone_waits_for_a_lock).result()
            rooms.note(room, "bob was banned.", act="ban", user={"id": bob.pk, "name": "bob"})
        leaving.result(10)
    assert not Membership.objects.filter(room=room, user=alice).exists()


@on_postgres
def test_what_moderators_and_members_do_at_once_does_not_deadlock(
    make_room: MakeRoom, alice: User, bob: User, charlie: User, boss: User
) -> None:
    both = [make_room(alice, bob), make_room(bob, alice)]
    people = [alice, bob, charlie]

    def something(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(40):
            act = dice.choice(acts)
            try:
                act(dice.choice(both), dice.choice(people))
            except (EventError, Membership.DoesNotExist):
                pass  # such as one who is no member, or has been banned meanwhile

    acts: list[Callable[[Room, User], Any]] = [
        lambda room, who: rooms.quit("chat", room.slug, who.pk),
        lambda room, who: rooms.take_seat("chat", room.slug, who.pk),
        lambda room, who: rooms.invite("chat", room.slug, alice.pk, who.pk),
        lambda room, who: say(room, who),
        lambda room, who: User.objects.get(pk=who.pk).save(),
        lambda room, who: Membership.objects.get(room=room, user=who).delete(),
        lambda room, who: moderation.ban(boss.pk, who.pk, room.slug, seconds=0.001),
        lambda room, who: moderation.ban(boss.pk, who.pk, seconds=0.001),
        lambda room, who: moderation.unban(boss.pk, who.pk, room.slug),
        lambda room, who: moderation.kick(boss.pk, who.pk, room.slug),
        lambda room, who: moderation.mute(boss.pk, who.pk, room.slug, seconds=0.001),
        lambda room, who: moderation.delete_message(boss.pk, room.slug, now(room).head),
        lambda room, who: moderation.kick(alice.pk, who.pk, room.slug),
        lambda room, who: moderation.set_role(boss.pk, who.pk, room.slug, "moderator"),
        lambda room, who: moderation.set_rules(alice.pk, room.slug, slow_mode=now(room).head % 2),
        lambda room, who: moderation.delete_as_member(
            draft(room, alice, kind="delete", target=now(room).head)
        ),
        lambda room, who: moderation.end_sessions(boss.pk, who.pk, tokens=True),
        lambda room, who: reports.report("chat", room.slug, who.pk, now(room).head, "rude"),
        lambda room, who: erasure.delete_person(boss.pk, charlie.pk),
    ]
    with others(2) as threads:
        for done in [threads.submit(something, seed) for seed in range(4)]:
            done.result(60)
    for room in (*both, control_room()):
        check_dense(room)
    assert LogEntry.objects.filter(user=boss).exists()

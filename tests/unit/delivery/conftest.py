"""Committed rows, as a server makes them: delivery is about what several connections see.

A test that rolls back could not show that, and one that empties all tables takes as long as ten
of these; so what a test made is deleted after it, and what migrations made stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection, transaction

from chat.delivery.journal import journal
from chat.models import Ban, DeadLetter, Lease, Membership, Mention, Message, Report, Room, Token

from .support import Role, control_room

MakeRoom = Callable[..., Room]


@pytest.fixture(autouse=True)
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    # Named as the fixture of pytest-django that it replaces: a test that has a `db` gets a database.
    with django_db_blocker.unblock():
        yield
        journal.stop()
        erase()
        connection.close()


def erase() -> None:
    """By SQL: the signals of deleted rows would write new entries."""
    with transaction.atomic(), connection.cursor() as cursor:
        for model in (LogEntry, Lease, DeadLetter, Mention, Message, Report, Ban, Token, Membership):
            cursor.execute(f"DELETE FROM {model._meta.db_table}")
        cursor.execute(f"DELETE FROM {Room._meta.db_table} WHERE kind <> 'control' OR namespace = '_import'")
        cursor.execute(f"UPDATE {Room._meta.db_table} SET head = 0, messages = 0, first = 1")
        cursor.execute(f"DELETE FROM {User._meta.db_table} WHERE id <> 0")


@pytest.fixture
def make_room(alice: User, bob: User) -> MakeRoom:
    """`make_room(ordering="unordered", …)`: Alice owns it, Bob is a member."""
    numbers = count(1)

    def make(*members: User, **fields: Any) -> Room:
        room: Room = Room.objects.create(**{"namespace": "chat", "slug": f"room{next(numbers)}", **fields})
        for person in members or (alice, bob):
            role = Role.OWNER if person == alice else Role.MEMBER
            Membership.objects.create(room=room, user=person, role=role)
        return room

    return make


@pytest.fixture
def room(make_room: MakeRoom) -> Room:
    return make_room(slug="general")


@pytest.fixture
def make_queue(make_room: MakeRoom, alice: User) -> MakeRoom:
    """`make_queue(ordering="ordered", max_attempts=2, …)`: Alice owns it, and who works needs no
    membership."""
    numbers = count(1)

    def make(**fields: Any) -> Room:
        named = {"namespace": "orders", "slug": f"queue{next(numbers)}", "ordering": "unordered"}
        return make_room(alice, kind="queue", **{**named, **fields})

    return make


@pytest.fixture
def queue(make_queue: MakeRoom) -> Room:
    return make_queue(slug="kitchen")


@pytest.fixture
def line(make_queue: MakeRoom) -> Room:
    """An ordered queue."""
    return make_queue(slug="line", ordering="ordered")


@pytest.fixture
def control() -> Room:
    return control_room()

"""The people of most stories here."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from chat.models import Membership, Room
from chat.services import rooms

Role = Membership.Role


@pytest.fixture
def alice() -> User:
    return User.objects.create(username="alice")


@pytest.fixture
def bob() -> User:
    return User.objects.create(username="bob")


@pytest.fixture
def charlie() -> User:
    """The outsider: in no room."""
    return User.objects.create(username="charlie")


@pytest.fixture
def staff() -> User:
    return User.objects.create(username="staff", is_staff=True)


# A room and who leads it


@pytest.fixture
def owner() -> User:
    return User.objects.create(username="owner")


@pytest.fixture
def general(owner: User) -> Room:
    return rooms.create("chat", owner.pk, "general")


@pytest.fixture
def moderator(general: Room) -> User:
    return member(general, "moderator", Role.MODERATOR)


def member(room: Room, name: str, role: Role = Role.MEMBER, **rights: bool) -> User:
    made = User.objects.create(username=name, **rights)
    rooms.seat_person(room, made.pk, role)
    return made

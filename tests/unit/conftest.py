"""The people of most stories here."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User


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

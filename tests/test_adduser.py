"""`manage.py adduser`."""

from __future__ import annotations

import io
import json
import sys
from functools import partial
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import CommandError

from tests.support.commands import call

pytestmark = pytest.mark.django_db

adduser = partial(call, "adduser")


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda text: monkeypatch.setattr(sys, "stdin", io.StringIO(text))


@pytest.mark.parametrize(
    ("arguments", "staff", "superuser", "said"),
    [
        ([], False, False, "alice is a person here now.\n"),
        (["--staff"], True, False, "alice is one of the staff here now.\n"),
        (["--superuser"], True, True, "alice is a superuser here now.\n"),
    ],
)
def test_someone_who_was_added_can_sign_in(
    stdin: Any, arguments: list[str], staff: bool, superuser: bool, said: str
) -> None:
    stdin("long-enough-99\r\nanother line")
    assert adduser("alice", "--password-stdin", "--email", "alice@example.org", *arguments) == said
    alice = User.objects.get(username="alice")
    assert alice.check_password("long-enough-99")
    assert (alice.email, alice.is_active) == ("alice@example.org", True)
    assert (alice.is_staff, alice.is_superuser) == (staff, superuser)


def test_who_was_made_a_superuser_is_in_the_audit_trail() -> None:
    adduser("alice", "--no-password", "--superuser")
    entry = LogEntry.objects.get()
    assert (entry.user_id, entry.object_repr) == (0, "alice")
    assert entry.change_message == "an account was made superuser=True"


def test_without_a_password_nobody_can_sign_in_by_one() -> None:
    adduser("robot", "--no-password")
    assert not User.objects.get(username="robot").has_usable_password()


def test_json_says_who_it_is() -> None:
    shown = json.loads(adduser("robot", "--no-password", "--staff", "--json"))
    robot = User.objects.get(username="robot")
    assert shown == {"id": robot.pk, "name": "robot", "staff": True, "superuser": False}


@pytest.mark.parametrize(
    ("command", "status", "says"),
    [
        ("bob --no-password", 1, "'bob' will not do: That name, or one that looks like it, is taken."),
        ("BOB --no-password", 1, "is taken"),
        ("admin --no-password", 1, "is taken"),
        ("no_spaces! --no-password", 1, "'no_spaces!' will not do: Use up to 40 letters"),
        ("alice --no-password --email nowhere", 1, "--email will not do: Enter a valid email address."),
        ("alice --password-stdin", 1, "the password will not do: This password is too short."),
        ("alice", 2, "there is no terminal to ask for a password on: give --password-stdin or"),
    ],
)
def test_a_refusal_is_a_line_and_makes_nobody(stdin: Any, command: str, status: int, says: str) -> None:
    User.objects.create(username="bob")
    stdin("x\n")
    with pytest.raises(CommandError) as refused:
        adduser(*command.split())
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.returncode == status
    assert set(User.objects.values_list("username", flat=True)) == {"system", "bob"}

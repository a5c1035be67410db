"""Prints a bearer token for a program, and nothing else."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from chat.delivery.entries import SYSTEM
from chat.services import tokens
from chat.services.acts import acting
from chat.services.usernames import check_username

from ..base import USAGE, ChatCommand, as_refusal


class Command(ChatCommand):
    help = """\
Print a new token for a person, and nothing else. It is shown this once: only its hash is stored.

A program shows it when it connects: `Authorization: Bearer TOKEN`. It opens what the person may
open, until it is revoked or the account is switched off.

With --revoke all tokens of the person end instead, and what they had opened is closed. (One by
one they are revoked in the admin.)"""
    epilog = """\
exit status:
  0        printed, or revoked
  1        there is nobody of that name, or the account is switched off
  2        wrong usage

examples:
  manage.py token robot --create > robot.token
  manage.py token robot --revoke"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", metavar="NAME", help="whose token it is")
        parser.add_argument(
            "--create", action="store_true", help="make the person, without a password, if there is none"
        )
        parser.add_argument("--staff", action="store_true", help="make the person one of the staff")
        parser.add_argument("--revoke", action="store_true", help="end all of the person's tokens instead")

    def handle(self, *, username: str, create: bool, staff: bool, revoke: bool, **options: Any) -> None:
        if revoke and (create or staff):
            raise CommandError("--revoke stands alone.", returncode=USAGE)
        with transaction.atomic():
            user = self._person(username, create)
            if revoke:
                self._revoke(user)
                return
            if not user.is_active:
                raise CommandError(f"{username} is not active: a token would open nothing.")
            if staff and not user.is_staff:
                make_staff(user)
            token = tokens.create(user, label="manage.py token")
        self.stdout.write(token)

    def _person(self, username: str, create: bool) -> User:
        user = User.objects.filter(username=username).first()
        if user:
            return user
        if not create:
            raise CommandError(f"There is no {username!r}. Add --create to make them.")
        with as_refusal(repr(username)):
            check_username(username)
        return User.objects.create_user(username)  # no password: signs in by token alone

    def _revoke(self, user: User) -> None:
        live = list(user.tokens.filter(revoked_at=None))
        for token in live:
            tokens.revoke(token)
        self.stderr.write(f"Revoked {len(live)} of {user.username}'s tokens.")


def make_staff(user: User) -> None:
    with acting(SYSTEM) as act:
        user.is_staff = True
        user.save(update_fields=["is_staff"])
        act.record("a user was made staff", user)

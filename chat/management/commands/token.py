"""Prints a bearer token for a program, and nothing else."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from chat.services import tokens
from chat.services.usernames import check_username

from ..base import ChatCommand


class Command(ChatCommand):
    help = "Print a new token for a person. It is shown this once; only its hash is stored."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--create", action="store_true", help="make the person if there is none")
        parser.add_argument("--staff", action="store_true", help="make the person staff")
        parser.add_argument("--revoke", action="store_true", help="end all of the person's tokens instead")

    def handle(self, *, username: str, create: bool, staff: bool, revoke: bool, **options: Any) -> None:
        if revoke and (create or staff):
            raise CommandError("--revoke stands alone.")
        with transaction.atomic():
            user = self._person(username, create)
            if revoke:
                self._revoke(user)
                return
            if not user.is_active:
                raise CommandError(f"{username} is not active: a token would open nothing.")
            if staff and not user.is_staff:
                user.is_staff = True
                user.save(update_fields=["is_staff"])
            token = tokens.create(user, label="manage.py token")
        self.stdout.write(token)

    def _person(self, username: str, create: bool) -> User:
        user = User.objects.filter(username=username).first()
        if user:
            return user
        if not create:
            raise CommandError(f"There is no {username!r}. Add --create to make them.")
        try:
            check_username(username)
        except ValidationError as error:
            raise CommandError(f"{username!r} will not do: {error.messages[0]}") from None
        return User.objects.create_user(username)  # no password: signs in by token alone

    def _revoke(self, user: User) -> None:
        live = list(user.tokens.filter(revoked_at=None))
        for token in live:
            tokens.revoke(token)
        self.stderr.write(f"Revoked {len(live)} of {user.username}'s tokens.")

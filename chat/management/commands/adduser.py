"""Makes an account."""

from __future__ import annotations

import json
import sys
from getpass import getpass
from typing import Any

from django.contrib.admin.models import ADDITION
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.management.base import CommandError, CommandParser
from django.core.validators import validate_email

from chat.delivery.entries import SYSTEM
from chat.services.acts import acting
from chat.services.usernames import check_username

from ..base import USAGE, ChatCommand, as_refusal


class Command(ChatCommand):
    help = """\
Make an account for a person, who can sign in with it at once.

On a terminal it asks for the password, twice. A program gives it as the first line of stdin with
--password-stdin: among the arguments every user of the machine could read it. With --no-password
nobody can sign in by password: the account is a program's, which gets a token (see `token`)."""
    epilog = """\
exit status:
  0        the account is made
  1        the name is taken or won't do, or the password is too weak; nothing was made
  2        wrong usage, or no terminal to ask for a password on

examples:
  manage.py adduser alice --email alice@example.org --superuser
  manage.py adduser bob --password-stdin < bob.password
  manage.py adduser robot --no-password"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="what they are called, and sign in as")
        parser.add_argument("--email", metavar="ADDRESS", default="")
        parser.add_argument("--staff", action="store_true", help="one of the staff: console and /admin")
        parser.add_argument("--superuser", action="store_true", help="staff who may do everything")
        password = parser.add_mutually_exclusive_group()
        password.add_argument("--password-stdin", action="store_true", help="the first line of stdin")
        password.add_argument("--no-password", action="store_true", help="for a program with a token")
        parser.add_argument("--json", action="store_true", help="print JSON: id, name, staff, superuser")

    def handle(self, *, name: str, email: str, staff: bool, superuser: bool, **options: Any) -> None:
        user = User(username=name, email=email, is_staff=staff or superuser, is_superuser=superuser)
        with as_refusal(repr(name)):
            check_username(name)
        if email:
            with as_refusal("--email"):
                validate_email(email)
        self._give_password(user, from_stdin=options["password_stdin"], none=options["no_password"])
        with acting(SYSTEM) as act:
            user.save()
            act.record(
                "an account was made", user, flag=ADDITION, staff=staff or None, superuser=superuser or None
            )
        if options["json"]:
            about = {"id": user.pk, "name": name, "staff": user.is_staff, "superuser": superuser}
            self.stdout.write(json.dumps(about))
        else:
            what = "a superuser" if superuser else "one of the staff" if staff else "a person"
            self.stdout.write(f"{name} is {what} here now.")

    def _give_password(self, user: User, *, from_stdin: bool, none: bool) -> None:
        if none:
            user.set_unusable_password()
            return
        if not (from_stdin or sys.stdin.isatty()):
            raise CommandError(
                "there is no terminal to ask for a password on: give --password-stdin or --no-password",
                returncode=USAGE,
            )
        password = sys.stdin.readline().rstrip("\r\n") if from_stdin else ask(user.username)
        with as_refusal("the password"):
            validate_password(password, user)
        user.set_password(password)


def ask(name: str) -> str:
    password = getpass(f"Password of {name}: ")
    if getpass("Once more: ") != password:
        raise CommandError("the two passwords differ")
    return password

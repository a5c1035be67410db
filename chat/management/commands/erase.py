"""Ends a person's account, and what it said of them."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from chat.models import Membership
from chat.services import erasure, people

from ..bars import Bar, bars
from ..base import USAGE, ChatCommand, person


class Command(ChatCommand):
    help = """\
Erase a person: their sockets, sessions and tokens end at once, their name, address, password, roles
and memberships go, and the account, which logs refer to, is called deleted-ID. This can't be undone.

What they wrote stays under that name; with --messages it goes too, and a tombstone stays in its
place, so that numbers keep their meaning. Members see it vanish. Bans stay, and so does what others
wrote. On a terminal it asks first."""
    epilog = """\
exit status:
  0        done
  1        refused: nobody of that name, or the last superuser
  2        wrong usage, or no terminal to ask on
  130      ended by Ctrl-C: the account is erased, and with --messages, run for deleted-ID, so is the rest

examples:
  manage.py export --user bob --output bob.jsonl
  manage.py erase bob --messages"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", metavar="USER", help="the person's name")
        parser.add_argument("--messages", action="store_true", help="what they wrote as well")
        parser.add_argument("--yes", action="store_true", help="don't ask")
        parser.add_argument("--by", metavar="STAFF", help="whose act it is (the system's)")
        parser.add_argument("--json", action="store_true", help="print JSON: id, name, messages")

    def handle(self, *, user: str, messages: bool, yes: bool, by: str | None, **options: Any) -> None:
        whom = people.find(user, active=False)
        if not yes:
            self._ask(user)
        erased = erasure.anonymise(person(by), whom.pk, erased=messages)
        count = self._rest(erased.pk, messages)
        if options["json"]:
            self.stdout.write(json.dumps({"id": erased.pk, "name": erased.username, "messages": count}))
        else:
            also = f", and {count} messages are gone" if messages else ""
            self.stdout.write(f"{user} is {erased.username} now{also}.")

    def _ask(self, user: str) -> None:
        if not sys.stdin.isatty():
            raise CommandError("there is no terminal to ask on: give --yes", returncode=USAGE)
        self.stderr.write(f"This can't be undone. Type {user} to erase {user}: ", ending="")
        if sys.stdin.readline().strip() != user:
            raise CommandError("nothing was erased")

    def _rest(self, user: int, messages: bool) -> int:
        """How many messages went."""
        with bars(self.stderr) as bar:
            told = bar("memberships", Membership.objects.filter(user=user).count())
            left = 0
            while erasure.leave_slice(user):
                told(left := left + erasure.ROOMS)
            return self._messages(user, bar) if messages else 0

    def _messages(self, user: int, bar: Bar) -> int:
        slices = erasure.slices(user)
        count = sum(len(seqs) for _, seqs in slices)
        told, gone = bar("messages", count), 0
        for room, seqs in slices:
            erasure.erase_slice(room, seqs)
            told(gone := gone + len(seqs))
        return count

"""Keeps a person out."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from chat.services import moderation

from ..base import person
from ..moderating import EPILOG, ModeratingCommand, place_of, spoken, where, written


class Command(ModeratingCommand):
    help = """\
Keep a person out of the site, or with --room out of one room, for a time or for good.

It takes effect at once, in every server process: their pages and programs are told the reason
and closed, and what they still had to send is refused. A ban from a room ends their membership.
Somebody who is banned already is banned as said now. `unban` ends it."""
    epilog = f"""\
{EPILOG.format(refused="the last superuser")}\
  manage.py ban mallory --reason "sells watches"
  manage.py ban bob --room general --for 2h --reason "calm down" --by alice"""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--room", metavar="ROOM", help="out of this room alone")
        self.add_time(parser)
        self.add_reason(parser, required=True)
        self.add_common(parser)

    def handle(
        self, *, user: str, room: str | None, seconds: float | None, reason: str, **options: Any
    ) -> None:
        place = place_of(room)
        banned = moderation.ban(person(options["by"]), user, **where(place), seconds=seconds, reason=reason)
        text = f"{banned.user.username} is banned from {place or 'the site'} {spoken(banned.until)}."
        more = {"until": written(banned.until), "reason": banned.reason}
        self.say(options["json"], banned.user, place, text, **more)

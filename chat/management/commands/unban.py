"""Lets a person in again."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from chat.services import moderation

from ..base import person
from ..moderating import EPILOG, ModeratingCommand, place_of, where


class Command(ModeratingCommand):
    help = """\
End a person's ban from the site, or with --room their ban from one room.

Memberships that a ban ended stay ended: of a public room they become a member by joining it,
into a private one somebody invites them."""
    epilog = f"""\
{EPILOG.format(refused="no ban there")}\
  manage.py unban mallory
  manage.py unban bob --room general"""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--room", metavar="ROOM", help="the ban from this room, not from the site")
        self.add_common(parser)

    def handle(self, *, user: str, room: str | None, **options: Any) -> None:
        place = place_of(room)
        who = moderation.unban(person(options["by"]), user, **where(place))
        text = f"{who.username} is no longer banned from {place or 'the site'}."
        self.say(options["json"], who, place, text)

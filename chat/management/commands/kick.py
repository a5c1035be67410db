"""Sends a person away, who may come back."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from chat.services import moderation

from ..base import person
from ..moderating import EPILOG, ModeratingCommand, place_of, where


class Command(ModeratingCommand):
    help = """\
Close all of a person's connections, or with --room end their membership of a room.

They may come back: sign in again, or join a public room again. `ban` keeps them out."""
    epilog = f"""\
{EPILOG.format(refused="no member of it")}\
  manage.py kick bob --reason "please reload the page"
  manage.py kick bob --room general"""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--room", metavar="ROOM", help="end their membership of this room")
        self.add_reason(parser)
        self.add_common(parser)

    def handle(self, *, user: str, room: str | None, reason: str, **options: Any) -> None:
        by, place = person(options["by"]), place_of(room)
        if place is None:
            who = moderation.send_away(by, user, reason=reason)
            assert who is not None
            text = f"{who.username}'s connections are being closed."
        else:
            who = moderation.kick(by, user, **where(place), reason=reason)
            text = f"{who.username} is no longer a member of {place}."
        self.say(options["json"], who, place, text, reason=reason)

"""Lets a member of a room read, but not write."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from chat.services import moderation
from chat.services.deadletters import find_place

from ..base import USAGE, person
from ..moderating import EPILOG, ModeratingCommand, spoken, where, written


class Command(ModeratingCommand):
    help = """\
Let a member of a room read, but not write: for a time, for good, or with --end no longer.

It takes effect at once, and the room is told of it in a notice."""
    epilog = f"""\
{EPILOG.format(refused="no member of it")}\
  manage.py mute bob general --for 30m --reason "too loud"
  manage.py mute bob general --end"""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("room", metavar="ROOM")
        self.add_time(parser)
        parser.add_argument("--end", action="store_true", help="they may write again")
        self.add_reason(parser)
        self.add_common(parser)

    def handle(
        self, *, user: str, room: str, seconds: float | None, end: bool, reason: str, **options: Any
    ) -> None:
        if end and seconds is not None:
            raise CommandError("--end and --for exclude each other.", returncode=USAGE)
        place = find_place(room)
        muted = moderation.mute(
            person(options["by"]), user, **where(place), seconds=0 if end else seconds, reason=reason
        )
        until = muted.muted_until
        what = f"may write in {place} again" if end else f"is muted in {place} {spoken(until)}"
        more = {"muted": not end, "until": written(until), "reason": reason}
        self.say(options["json"], muted.user, place, f"{muted.user.username} {what}.", **more)

"""Trims logs as their rooms' policies of retention say, now."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import QuerySet

from chat.delivery import retention
from chat.models import Room
from chat.services.deadletters import find_place

from ..bars import bars
from ..base import ChatCommand


class Command(ChatCommand):
    help = """\
Trim logs as the retention of their rooms says. A server does this by itself once a minute; this is
for doing it now, or without one, such as after a policy was given to a room that is long already.

What is trimmed loses its text and leaves the history. Nothing goes that a member has yet to
receive, unless the room lets entries expire; then that member gets a dead letter of it. Of a queue
only what is done or buried goes. A room without a policy keeps everything.

It trims a few hundred entries at a time, so that nobody who writes waits for it, and may be ended
and begun again at any time."""
    epilog = """\
exit status:
  0        nothing is left to trim
  1        no such room, or the database fails
  2        wrong usage
  130      ended by Ctrl-C; what was trimmed stays so

examples:
  manage.py prune --dry-run
  manage.py prune general"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("rooms", metavar="ROOM", nargs="*", help="these rooms and queues; else all")
        parser.add_argument("--dry-run", action="store_true", help="say what would go, and trim nothing")
        parser.add_argument("--json", action="store_true", help="print JSON, one room a line")

    def handle(self, *, rooms: list[str], dry_run: bool, **options: Any) -> None:
        self.as_json = options["json"]
        due = retention.due()
        chosen = [find_place(each) for each in rooms] or list(with_policy(due))
        for room in chosen:
            if room.pk not in due:
                self._say(room, 0, "keeps everything: it has no retention")
                continue
            count = retention.trimmable(room.pk)
            if dry_run:
                self._say(room, count, f"{count:,} entries would go" if count else "nothing would go")
            else:
                trimmed = self._trim(room, count)
                self._say(room, trimmed, f"{trimmed:,} entries went" if trimmed else "nothing was to go")
        if not (chosen or self.as_json):
            self.stdout.write("No room has a policy of retention.")

    def _trim(self, room: Room, count: int) -> int:
        """How many went."""
        done = 0
        with bars(self.stderr) as bar:
            advance = bar(str(room), count)
            for trimmed in retention.trim(room.pk):
                done = trimmed.first - room.first
                advance(done)
        return done

    def _say(self, room: Room, count: int, what: str) -> None:
        if self.as_json:
            self.stdout.write(json.dumps({"room": str(room), "entries": count}))
        else:
            self.stdout.write(f"{room}: {what}.")


def with_policy(due: list[int]) -> QuerySet[Room]:
    """But not the control log, which the servers keep short."""
    return Room.objects.filter(pk__in=due).exclude(kind=Room.Kind.CONTROL).order_by("namespace", "slug")

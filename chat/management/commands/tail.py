"""Shows a room's log as it is written."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from chat.services.deadletters import find_place

from ..base import USAGE, ChatCommand, integer
from ..following import Follower
from ..lines import Lines


class Command(ChatCommand):
    help = """\
Show the last entries of a room's log, then each new one as it is stored, until Ctrl-C.

A line has the entry's number, its time in UTC, who wrote it and what: a message, an edit, a
deletion, a reaction, a notice of the system; of a queue, an order. With --json each line is the
entry as a client would get it.

An outage of the database is waited out: after it the log goes on where it stopped, nothing is
left out and nothing comes twice. To go on after the command itself was ended, give the last
number that it has shown with --since."""
    epilog = """\
exit status:
  0        shown, with --no-follow
  1        no such room or queue, or the database fails from the beginning
  2        wrong usage
  130      ended by Ctrl-C
  141      whoever read the output has gone

examples:
  manage.py tail general
  manage.py tail general -n 100 --no-follow
  manage.py tail general --since 4711 --json | jq -r .data.body"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("room", metavar="ROOM", help="a room or queue, or NAMESPACE/NAME")
        begin = parser.add_mutually_exclusive_group()
        begin.add_argument(
            "-n",
            "--lines",
            metavar="N",
            type=integer(0, 2**63 - 1),
            default=10,
            help="begin with the last N entries (10)",
        )
        begin.add_argument(
            "--since", metavar="SEQ", type=integer(0, 2**63 - 1), help="begin after the entry of this number"
        )
        parser.add_argument("--no-follow", action="store_true", help="end at the end of the log")
        parser.add_argument("--json", action="store_true", help="print JSON, one entry a line")

    def handle(self, *, room: str, lines: int, since: int | None, **options: Any) -> None:
        place = find_place(room)
        if since is not None and since > place.head:
            raise CommandError(f"{place} ends with {place.head}: there is no {since}.", returncode=USAGE)
        after = max(place.head - lines, place.first - 1) if since is None else since
        show = Lines(self.stdout, as_json=options["json"])
        follower = Follower(place, after, self.stderr.write)
        for entries in follower.entries(follow=not options["no_follow"], idle=show.wait):
            show(entries)

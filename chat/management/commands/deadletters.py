"""What nobody got done, and what a member never got: shows it, revives it, buries it."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from chat.delivery import leases
from chat.delivery.entries import SYSTEM
from chat.errors import EventError
from chat.hub.news import tell
from chat.models import DeadLetter, Room
from chat.services import deadletters

from ..base import USAGE, AsWritten, ChatCommand, integer

PLAIN = re.compile(r"[!#-~]+")
DONE = {"revive": "revived", "bury": "buried"}


class Command(ChatCommand):
    help = """\
Show dead letters, revive them or bury them.

A dead letter of a queue is an order that failed as often as the queue allows. Revived, it is
queued again at its old place, as if it had never been tried; buried, it is given up for good.

A dead letter of a room is what one member never got. It can be buried, which removes the
letter, but not revived."""
    epilog = """\
PLACE is the name of a queue or a room, or NAMESPACE/NAME where several have it.

exit status:
  0        everything that was asked for is done
  1        no such place, or something can't be revived or buried; the rest is done
  2        wrong usage

examples:
  manage.py deadletters list kitchen
  manage.py deadletters revive kitchen 17 23
  manage.py deadletters bury kitchen --all"""

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", metavar="ACT", required=True)
        shown = acts.add_parser("list", help="show them, the newest first", formatter_class=AsWritten)
        shown.add_argument("place", metavar="PLACE", nargs="?", help="of one queue or room; else of all")
        shown.add_argument("--json", action="store_true", help="print JSON, one object a line")
        shown.add_argument(
            "--limit", metavar="N", type=integer(1, 1_000_000), default=100, help="at most so many (100)"
        )
        for act, says in (("revive", "queue orders again"), ("bury", "give orders or entries up for good")):
            judged = acts.add_parser(act, help=says, formatter_class=AsWritten)
            judged.usage = f"manage.py deadletters {act} PLACE (SEQ [SEQ ...] | --all)"
            judged.add_argument("place", metavar="PLACE")
            judged.add_argument("seqs", metavar="SEQ", nargs="*", type=integer(1, 2**63 - 1))
            judged.add_argument("--all", action="store_true", help="all of this place")
            judged.add_argument("--user", metavar="NAME", help="of a room: this member's alone")

    def handle(self, *, act: str, place: str | None, **options: Any) -> None:
        found = None if place is None else deadletters.find_place(place)
        if act == "list":
            self._list(found, options["limit"], options["json"])
            return
        assert found is not None
        if bool(options["seqs"]) == options["all"]:
            raise CommandError("Give either numbers or --all.", returncode=USAGE)
        if found.kind == Room.Kind.QUEUE:
            self._judge_orders(act, found, options["seqs"], options["user"])
        else:
            self._judge_entries(act, found, options["seqs"], options["user"])

    # Showing

    def _list(self, place: Room | None, limit: int, as_json: bool) -> None:
        found = list(deadletters.letters(place)[: limit + 1])
        shown = deadletters.describe(found[:limit])
        if as_json:
            self.stdout.writelines(json.dumps(letter, ensure_ascii=False) + "\n" for letter in shown)
        elif self.stdout.isatty():
            Console(file=sys.stdout).print(table(shown))
        else:
            for letter in shown:
                self.stdout.write(line(letter))
        if len(found) > limit:
            self.stderr.write(f"There are more than these {limit}; --limit shows them.")

    # Judging

    def _judge_orders(self, act: str, queue: Room, seqs: list[int], user: str | None) -> None:
        if user is not None:
            raise CommandError(f"--user is for rooms; {queue} is a queue.", returncode=USAGE)
        judge = leases.revive if act == "revive" else leases.bury
        failed = 0
        seqs = seqs or deadletters.dead_orders(queue)
        for seq in self._each(act, seqs):
            try:
                order = judge(queue.namespace, queue.slug, seq, SYSTEM)
            except EventError as refusal:
                self.stderr.write(f"{queue.slug} {seq}: {refusal.message}")
                failed += 1
                continue
            tell([order], event="order:revived" if act == "revive" else "")
            self.stdout.write(f"{queue.slug} {seq} {order.state}")
        if failed:
            raise CommandError(f"{failed} of {len(seqs)} orders could not be {DONE[act]}.")

    def _each(self, act: str, seqs: list[int]) -> Any:
        if not self.stderr.isatty():
            return seqs
        return track(seqs, DONE[act].capitalize(), console=Console(file=sys.stderr), transient=True)

    def _judge_entries(self, act: str, room: Room, seqs: list[int], user: str | None) -> None:
        if act == "revive":
            raise CommandError(
                f"{room} is a room: its members' cursors have moved past what they never got, so it is not "
                f"sent again; a member finds it by paging back in the room's history."
            )
        missing = 0
        each: list[int | None] = [*seqs] or [None]
        for seq in each:
            letters = deadletters.member_letters(room, seq, user)
            if not letters and seq is not None:
                self.stderr.write(f"{room} {seq}: there is no dead letter of it")
                missing += 1
            for letter in deadletters.describe(letters):
                self.stdout.write(f"{room} {numbers(letter)} {letter['user']} buried")
            deadletters.remove(letters)
        if missing:
            raise CommandError(f"{missing} of {len(seqs)} entries could not be buried.")


def line(letter: dict[str, Any]) -> str:
    """One line for a script or a log, whatever people typed into it."""
    names = ("user", "attempts", "reason", "why", "at")
    said = (f"{name}={one_word(letter[name])}" for name in names if letter.get(name))
    return f"{letter['place']} {numbers(letter)} {' '.join(said)}"


def one_word(value: object) -> str:
    text = str(value)
    return text if PLAIN.fullmatch(text) else json.dumps(text)


def numbers(letter: dict[str, Any]) -> str:
    first, last = letter["first"], letter["last"]
    return str(first) if first == last else f"{first}-{last}"


def table(letters: list[dict[str, Any]]) -> Table:
    made = Table("place", "seq", "member", "attempts", "why", "item")
    made.add_column("at", no_wrap=True, min_width=len("2026-01-31 12:00:00Z"))
    for letter in letters:
        item = json.dumps(letter["item"], ensure_ascii=False) if "item" in letter else ""
        why = letter.get("why") or str(DeadLetter.Reason(letter["reason"]).label)
        cells = (letter["place"], numbers(letter), letter["user"] or "", str(letter["attempts"]), why)
        made.add_row(
            *(Text(cell) for cell in (*cells, short(item), f"{letter['at'][:19]}Z".replace("T", " ")))
        )
    return made


def short(text: str, most: int = 100) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"

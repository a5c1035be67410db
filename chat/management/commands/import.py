"""Brings in rooms that `export` has written."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from django.core.management.base import CommandError, CommandParser

from chat.services import archive
from chat.services.rooms import checked_slug

from ..bars import Bar, bars
from ..base import USAGE, ChatCommand, first_line


class Command(ChatCommand):
    help = """\
Bring in rooms and queues that `manage.py export` has written, with their logs and members.

The whole file is looked at before anything is changed: a line that won't do is named, with its
field. Each room then comes in unseen, a slice at a time beside a server that runs, and is there at
once when it is complete. Was it cut short, run it again: it goes on. What is there already is left
as it is; a room of that name with something else in it is a conflict.

People are found by their names; --map gives another name to one who is somebody else here. Who is
unknown gets an account that is switched off."""
    epilog = """\
exit status:
  0        everything is there
  1        the file won't do, a room of that name is there with something else in it, or the
           database fails; nothing was changed, or what was begun is gone on with by the next run
  2        wrong usage

examples:
  manage.py import everything.jsonl --dry-run
  manage.py import general.jsonl --as general-2025 --map alice=alice.smith
  gunzip < everything.jsonl.gz | manage.py import -"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", nargs="?", help="what `export` has written; - is stdin")
        parser.add_argument("--dry-run", action="store_true", help="look at the file and change nothing")
        parser.add_argument(
            "--as", metavar="ROOM", dest="rename", help="of a file with one room: its name here"
        )
        parser.add_argument(
            "--map", metavar="NAME=NAME", action="append", default=[], type=pair, dest="accounts",
            help="who in the file is whom here",
        )  # fmt: skip
        parser.add_argument("--abandon", action="store_true", help="remove what imports cut short have left")
        parser.add_argument("--json", action="store_true", help="print JSON: the rooms, and who is new")

    def handle(self, *, file: str | None, abandon: bool, **options: Any) -> None:
        if (file is None) != abandon:
            raise CommandError("give either a FILE or --abandon", returncode=USAGE)
        if file is None:
            self._abandon()
            return
        if options["rename"] is not None:
            checked_slug(options["rename"], "--as")
        accounts = dict(options["accounts"])
        with bars(self.stderr) as bar, opened(file) as stream:
            found = self._check(stream, options["rename"], bar)
            unknown = archive.unknown(found, accounts)
            if not options["dry_run"]:
                self._import(stream, found, accounts, bar)
        self._say(found, unknown, options["dry_run"], options["json"])

    def _check(self, stream: BinaryIO, rename: str | None, bar: Bar) -> list[archive.Found]:
        size = stream.seek(0, 2)
        return archive.check(stream, rename=rename, told=bar("checking (bytes)", size))

    def _import(
        self, stream: BinaryIO, found: list[archive.Found], accounts: dict[str, str], bar: Bar
    ) -> None:
        for room in found:
            if not room.there:
                archive.import_room(stream, room, accounts, bar(str(room), room.head))

    def _say(self, found: list[archive.Found], unknown: list[str], dry: bool, as_json: bool) -> None:
        done = "would come in" if dry else "imported"
        if as_json:
            rooms = [
                {
                    "namespace": room.namespace,
                    "room": room.slug,
                    "entries": room.head,
                    "state": "there" if room.there else "new" if dry else "imported",
                }
                for room in found
            ]
            self.stdout.write(json.dumps({"rooms": rooms, "people": unknown}))
            return
        for room in found:
            self.stdout.write(f"{room} {room.head} {'is there' if room.there else done}")
        if unknown:
            some = ", ".join(unknown[:10]) + (", …" if len(unknown) > 10 else "")
            self.stderr.write(f"{len(unknown)} unknown here, whose accounts are switched off: {some}")

    def _abandon(self) -> None:
        with bars(self.stderr) as bar:
            for room in archive.leftovers():
                archive.remove(room, bar(room.name, room.head))
                self.stdout.write(f"{room.name} {room.head} removed")


def pair(text: str) -> tuple[str, str]:
    """The type of `--map`."""
    there, equals, here = text.partition("=")
    if not (there and equals and here):
        raise ValueError(text)
    return there, here


pair.__name__ = "NAME=NAME"  # what argparse calls it where it won't do


@contextmanager
def opened(file: str) -> Iterator[BinaryIO]:
    """The file, to be read twice: what can't be is copied first."""
    try:
        source = sys.stdin.buffer if file == "-" else open(file, "rb")  # noqa: SIM115
    except OSError as error:
        raise CommandError(f"{file} can't be read: {first_line(error)}") from None
    with source:
        if source.seekable() and file != "-":
            yield source
            return
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(source, copy)
            yield copy

"""Writes rooms, or what the site knows of a person, as JSON lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import CommandError, CommandParser

from chat.models import Room
from chat.services import archive, people, personal

from ..bars import bars
from ..base import USAGE, ChatCommand, first_line


class Command(ChatCommand):
    help = """\
Write rooms and queues with their logs, members, bans, dead letters and reports as JSON lines, each as
it is at one moment; without a name all of them. `manage.py import` reads it. With --user write what
the site knows of a person instead, for that person.

There are no passwords, tokens or sessions in it, but every message: keep the file as you keep the
database. FILE appears under its name when it is complete, readable by you alone."""
    epilog = """\
exit status:
  0        everything was written
  1        there is no such room or person, or the file or the database fails; there is no new FILE
  2        wrong usage

examples:
  manage.py export --output everything.jsonl
  manage.py export general orders/kitchen --output two.jsonl
  manage.py export | gzip > everything.jsonl.gz
  manage.py export --user alice --output alice.jsonl"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("rooms", metavar="ROOM", nargs="*", help="or NAMESPACE/ROOM; else all")
        parser.add_argument("--user", metavar="NAME", help="this person's data instead")
        parser.add_argument("--output", metavar="FILE", default="-", help="where to; - is stdout (-)")

    def handle(self, *, rooms: list[str], user: str | None, output: str, **options: Any) -> None:
        if rooms and user is not None:
            raise CommandError("give either rooms or --user", returncode=USAGE)
        with bars(self.stderr) as bar:
            if user is None:
                pieces = archive.export(archive.find(rooms), _told(bar))
            else:
                pieces = personal.export(people.find(user, active=False))
            with closing(pieces), self._opened(output) as stream:
                stream.writelines(pieces)

    @contextmanager
    def _opened(self, output: str) -> Iterator[BinaryIO]:
        if output == "-":
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
            return
        path = Path(output)
        if path.exists() and not path.is_file():  # a device or a pipe, which has no half
            with path.open("wb") as stream:
                yield stream
            return
        part = path.with_name(path.name + ".part")
        try:
            part.unlink(missing_ok=True)
            with open(part, "wb", opener=_private) as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(path)
        except OSError as error:
            raise CommandError(f"{output} can't be written: {first_line(error)}") from None
        finally:
            part.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _told(bar: Callable[[str, int], Callable[[int], None]]) -> Callable[[Room, int], None]:
    shown: dict[int, Callable[[int], None]] = {}

    def told(room: Room, seq: int) -> None:
        if room.pk not in shown:
            shown[room.pk] = bar(str(room), room.head)
        shown[room.pk](seq)

    return told

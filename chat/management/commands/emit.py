"""Sends an event without history to sockets of every server process."""

from __future__ import annotations

from typing import Any

import msgspec
from django.core.management.base import CommandError, CommandParser

from chat import emit
from chat.namespace import paths

from ..base import USAGE, ChatCommand


class Command(ChatCommand):
    help = """\
Send an event to the sockets of a namespace, or of some of its rooms, in every server process.

It has no history: who isn't connected now doesn't get it. Servers take it from the database
within two seconds, at once where they share a Redis."""
    epilog = """\
exit status:
  0        the servers will send it
  1        the database fails
  2        wrong usage

examples:
  manage.py emit /users announcement '{"text": "Tea is ready."}'
  manage.py emit /orders bell --to kitchen --to office --except user:7"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("namespace", metavar="NAMESPACE", help="such as /users")
        parser.add_argument("event", metavar="EVENT")
        parser.add_argument("data", metavar="JSON", nargs="?", default="null", help="the event's data")
        parser.add_argument(
            "--to", metavar="ROOM", action="append", help="a room, a socket's id, or user:ID; else everyone"
        )
        parser.add_argument(
            "--except", metavar="ROOM", action="append", dest="except_", default=[], help="but not these"
        )

    def handle(
        self, *, namespace: str, event: str, data: str, to: list[str] | None, except_: list[str], **_: Any
    ) -> None:
        try:
            decoded = msgspec.json.decode(data)
        except (ValueError, RecursionError) as error:
            raise CommandError(f"JSON must be one JSON value: {error}", returncode=USAGE) from None
        check_namespace(namespace.strip("/"))
        try:
            emit.emit(namespace, event, decoded, to=to, except_=except_)
        except ValueError as refusal:  # such as a kind of entry, or more than a frame holds
            raise CommandError(str(refusal), returncode=USAGE) from None


def check_namespace(path: str) -> None:
    if path not in paths():
        known = ", ".join(f"/{each}" for each in paths())
        raise CommandError(f"there is no namespace /{path}; there are {known}", returncode=USAGE)

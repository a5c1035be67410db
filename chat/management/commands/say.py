"""Writes messages into a room."""

from __future__ import annotations

import json
import sys
import uuid
from dataclasses import replace
from typing import Any, BinaryIO

from django.core.management.base import CommandError, CommandParser

from chat.delivery import door
from chat.delivery.entries import Draft, Receipt
from chat.errors import EventError
from chat.namespace.handlers import check_body
from chat.namespaces.chat import compose
from chat.services import words

from ..base import (
    LONGEST_CLIENT_ID,
    LONGEST_PREFIX,
    ChatCommand,
    check_client_id,
    one_line,
    open_room,
    person,
)
from ..items import numbered_lines


class Command(ChatCommand):
    help = """\
Write a message into a room and print the room and the message's number, once it is stored.

TEXT is Markdown, of at most 16 KiB; who is named with @ is mentioned. With - each line of stdin is
a message, stored as it comes in; empty lines are passed over. A line that won't do ends the
command; the messages before it are in the room.

Without --as the system speaks, which no mute and no slow mode holds up. The words that the site
and the room filter are filtered either way.

With --client-id, chosen before the first try, the command may be repeated until it succeeds: the
message is stored once, and a repetition prints its number again. Of many lines the seventh has
ID-7."""
    epilog = """\
exit status:
  0        every message is in the room
  1        no such room or person, they may not write there, a text that won't do, or the
           database fails
  2        wrong usage

examples:
  manage.py say general "Back in **five minutes**."
  manage.py say general "Release 1.2 is out" --as alice --client-id release-1.2
  journalctl -f -u backup | manage.py say operations -"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("room", metavar="ROOM", help="a room's name, or NAMESPACE/NAME")
        parser.add_argument("text", metavar="TEXT", help="the message; - takes lines from stdin")
        parser.add_argument("--as", metavar="USER", dest="user", help="who speaks, a member (the system)")
        parser.add_argument(
            "--client-id", metavar="ID", help="1 to 64 printable ASCII characters without spaces"
        )
        parser.add_argument("--json", action="store_true", help="print JSON: room, seq, client_id, duplicate")

    def handle(self, *, room: str, text: str, user: str | None, **options: Any) -> None:
        check_client_id(options["client_id"], LONGEST_PREFIX if text == "-" else LONGEST_CLIENT_ID)
        self.as_json = options["json"]
        who, place = person(user), open_room(room)
        draft = Draft(place.namespace, place.slug, who, options["client_id"] or uuid.uuid4().hex, "message")
        if text == "-":
            self._say_lines(draft, sys.stdin.buffer)
        else:
            self._print(door.write(composed(draft, checked("TEXT", text.encode(errors="surrogateescape")))))

    def _say_lines(self, draft: Draft, stream: BinaryIO) -> None:
        stored = 0
        try:
            with one_line():
                for line, text in (each for some in numbered_lines(stream) for each in some):
                    if text.strip():
                        body = checked(f"line {line}", text)
                        self._print(
                            door.write(composed(replace(draft, client_id=f"{draft.client_id}-{line}"), body))
                        )
                        stored += 1
        except CommandError as refusal:
            raise CommandError(
                f"{refusal} ({stored} messages are in {draft.room}; to go on without doubling them give the "
                f"lines again, mended, with --client-id {draft.client_id})"
            ) from None

    def _print(self, receipts: list[Receipt]) -> None:
        for each in receipts:
            said = json.dumps(each.as_dict()) if self.as_json else f"{each.room} {each.seq}"
            self.stdout.write(said)
        self.stdout.flush()


def checked(what: str, raw: bytes) -> str:
    """The text of a message. Raises EventError."""
    try:
        text = raw.decode().strip("\r\n")
    except UnicodeDecodeError:
        raise EventError("bad_data", f"{what} is not UTF-8") from None
    if "\0" in text:
        raise EventError("bad_data", f"{what} has a NUL character")
    check_body(what, text)
    return text


def composed(draft: Draft, text: str) -> Draft:
    """The message as the room takes it. Raises `forbidden` where it refuses a word."""
    body = words.apply(draft.namespace, draft.room, text)
    html, extra = compose(draft.namespace, draft.room, body)
    return replace(draft, body=body, html=html, extra=extra)

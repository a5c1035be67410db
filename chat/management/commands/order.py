"""Puts orders into a queue."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, BinaryIO

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from chat.delivery import door
from chat.delivery.entries import Draft, Receipt

from ..base import (
    LONGEST_CLIENT_ID,
    LONGEST_PREFIX,
    NAMESPACE,
    USAGE,
    ChatCommand,
    check_client_id,
    one_line,
    open_queue,
    person,
)
from ..items import from_argument, from_lines


class Command(ChatCommand):
    help = """\
Put an order into a queue and print its queue and number, once it is stored.

ITEM is any JSON of at most 32 KiB. What isn't JSON is taken as text: soup is "soup".

With --client-id, chosen before the first try, the command may be repeated until it succeeds:
the order is created once, and a repetition prints its number again.

With --file each line is an item, as JSON; empty lines are passed over. Orders are stored as
lines come in. A line that won't do ends the command; the orders before it are in the queue.
With --client-id ID the order of line 7 has ID-7: the same file may be given again. On a
terminal a bar shows the progress, elsewhere each order has a line."""
    epilog = """\
exit status:
  0        every order is in the queue
  1        no such queue or person, an item that won't do, or the database fails
  2        wrong usage

examples:
  manage.py order kitchen '{"dish": "soup", "table": 4}'
  manage.py order kitchen --file orders.jsonl --client-id import-2026-01-31"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.usage = "manage.py order QUEUE (ITEM | --file FILE) [--client-id ID] [--user NAME] [--json]"
        parser.add_argument("queue", metavar="QUEUE", help="an existing queue of /orders")
        parser.add_argument("item", metavar="ITEM", nargs="?", help="JSON, or text")
        parser.add_argument("--file", metavar="FILE", help="many items, one a line; - is stdin")
        parser.add_argument(
            "--client-id", metavar="ID", help="1 to 64 printable ASCII characters without spaces"
        )
        parser.add_argument("--user", metavar="NAME", help="who orders (the system)")
        parser.add_argument(
            "--json", action="store_true", help="print JSON: queue, seq, client_id, duplicate"
        )

    def handle(
        self, *, queue: str, item: str | None, file: str | None, client_id: str | None, **options: Any
    ) -> None:
        if (item is None) == (file is None):
            raise CommandError("Give either ITEM or --file FILE.", returncode=USAGE)
        check_client_id(client_id, LONGEST_PREFIX if file else LONGEST_CLIENT_ID)
        self.as_json = options["json"]
        user = person(options["user"])
        open_queue(queue, user)
        draft = Draft(NAMESPACE, queue, user, client_id or uuid.uuid4().hex, "item")
        if item is not None:
            self._say(door.write(replace(draft, body=from_argument(item))))
            return
        with opened(file or "-") as stream:
            self._order_lines(draft, stream)

    def _order_lines(self, draft: Draft, stream: BinaryIO) -> None:
        stored = 0
        try:
            with one_line(), self._progress(draft.room, stream) as advance:
                for items in from_lines(stream):
                    drafts = [
                        replace(draft, client_id=f"{draft.client_id}-{line}", body=body)
                        for line, body in items
                    ]
                    receipts = door.write(*drafts)
                    stored += len(receipts)
                    advance(receipts)
        except CommandError as refusal:
            raise CommandError(
                f"{refusal} ({stored} orders are in {draft.room}; to go on without doubling them give the "
                f"file again, mended, with --client-id {draft.client_id})"
            ) from None

    @contextmanager
    def _progress(self, queue: str, stream: BinaryIO) -> Iterator[Callable[[list[Receipt]], None]]:
        """What takes the receipts as they come: a bar on a terminal, else a line for each."""
        if self.as_json or not self.stdout.isatty():
            yield self._say
            return
        size = os.fstat(stream.fileno()).st_size  # 0 of a pipe: nobody knows how much will come
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[new]:,} orders"))
        with Progress(*columns, console=Console(file=sys.stdout)) as progress:
            bar = progress.add_task(queue, total=size or None, new=0, known=0)
            task = progress.tasks[0]

            def advance(receipts: list[Receipt]) -> None:
                known = task.fields["known"] + sum(each.duplicate for each in receipts)
                new = task.fields["new"] + sum(not each.duplicate for each in receipts)
                progress.update(bar, new=new, known=known, completed=stream.tell() if size else None)

            yield advance
        known = f"; {task.fields['known']:,} were in it before" if task.fields["known"] else ""
        self.stdout.write(f"{task.fields['new']:,} new orders are in {queue}{known}.")

    def _say(self, receipts: list[Receipt]) -> None:
        for each in receipts:
            self.stdout.write(as_json(each) if self.as_json else f"{each.room} {each.seq}")
        self.stdout.flush()


def as_json(receipt: Receipt) -> str:
    shown = {"queue": receipt.room, "seq": receipt.seq, "client_id": receipt.client_id}
    return json.dumps(shown | {"duplicate": receipt.duplicate})


@contextmanager
def opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        stream = open(file, "rb")  # noqa: SIM115 -- what fails while it is read is another matter
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from None
    with stream:
        yield stream

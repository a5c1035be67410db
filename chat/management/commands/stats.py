"""How much there is, and how much goes on."""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from chat.delivery.entries import now, rfc3339
from chat.models import Message
from chat.services import overview, presence

from ..base import ChatCommand, number

MINUTE = timedelta(minutes=1)


class Command(ChatCommand):
    help = """\
Show how much there is and how much goes on: who is online, sockets and server processes, rooms and
what they keep, messages of the last minute, who is furthest behind, orders, dead letters, reports.

With --watch it shows them again every few seconds, until Ctrl-C."""
    epilog = """\
exit status:
  0        shown
  1        the database fails
  2        wrong usage
  130      ended by Ctrl-C

examples:
  manage.py stats
  manage.py stats --watch 5
  manage.py stats --json | jq .dead_letters"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--watch",
            metavar="SECONDS",
            nargs="?",
            const=2.0,
            type=number(0.1, 3600),
            help="show them again every so many seconds (2)",
        )
        parser.add_argument("--json", action="store_true", help="print JSON, one object a line")

    def handle(self, *, watch: float | None, **options: Any) -> None:
        if watch is not None and self.stdout.isatty() and not options["json"]:
            self._watch(watch)
        while True:
            self._show(figures(), options["json"])
            if watch is None:
                return
            time.sleep(watch)

    def _watch(self, seconds: float) -> None:
        with Live(table(figures()), console=Console(file=sys.stdout), auto_refresh=False) as live:
            while True:
                time.sleep(seconds)
                live.update(table(figures()), refresh=True)

    def _show(self, shown: dict[str, Any], as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(shown, ensure_ascii=False))
        elif self.stdout.isatty():
            Console(file=sys.stdout).print(table(shown))
        else:
            self.stdout.writelines(f"{name}: {value}\n" for name, value in in_words(shown))
        self.stdout.flush()


def figures() -> dict[str, Any]:
    said = Message.objects.filter(at__gt=now() - MINUTE, kind__in=(Message.Kind.MESSAGE, Message.Kind.ITEM))
    behind = overview.lag(limit=1)["rooms"]
    return {
        "at": rfc3339(now()),
        **presence.running(),
        "messages_last_minute": said.count(),
        **overview.stats(),
        "lag": behind[0] if behind else None,
    }


def in_words(shown: dict[str, Any]) -> list[tuple[str, str]]:
    orders, lag = shown["orders"], shown["lag"]
    sockets = f"{shown['sockets']:,} at {shown['processes']} server process"
    return [
        ("people online", f"{shown['online']:,}"),
        ("sockets", sockets + ("" if shown["processes"] == 1 else "es")),
        ("rooms", f"{shown['rooms']:,}, with {shown['entries']:,} entries"),
        ("messages", f"{shown['messages_last_minute']:,} in the last minute"),
        (
            "furthest behind",
            "nobody" if lag is None else f"{lag['slowest']['name']} in {lag['room']}, by {lag['lag']:,}",
        ),
        ("orders", f"{orders['queued']:,} queued, {orders['leased']:,} in progress, {orders['dead']:,} dead"),
        ("dead letters", f"{shown['dead_letters']:,}"),
        ("open reports", f"{shown['open_reports']:,}"),
    ]


def table(shown: dict[str, Any]) -> Table:
    made = Table.grid(padding=(0, 2))
    for name, value in in_words(shown):
        made.add_row(Text(name, style="dim"), Text(value))
    return made

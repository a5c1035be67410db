"""Says what is wrong with a site, and what to do."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from redis import Redis, RedisError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chat.hub import hints
from chat.services.doctor import Finding, database, site
from chat.services.doctor import settings as site_settings
from chat.services.doctor.findings import error, ok

from ..base import USAGE, ChatCommand
from ..visiting import visit
from . import demo

MARKS = {"ok": ("✓", "green"), "warning": ("!", "bold yellow"), "error": ("✗", "bold red")}
#: Seconds for which a Redis is waited for.
REDIS = 2.0


class Command(ChatCommand):
    help = """\
Examine this site: the database (reachable, migrated, durable, quick, of the same time), Redis
(reachable, and it really carries hints), settings, disk space, server processes, and what waits for
somebody. Each finding is ok, a warning or an error, and says what to do.

Run it where a server runs, with the same environment. It changes nothing.

With --site it also visits the site at its address, as a browser would: over its proxies and TLS,
up to an open socket from a page of that origin."""
    epilog = """\
exit status:
  0        no error
  1        an error, or more
  2        wrong usage

examples:
  manage.py doctor
  manage.py doctor --site https://chat.example.org
  manage.py doctor --json | jq 'select(.level != "ok")'"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--site", metavar="URL", help="visit the site at this address, too")
        parser.add_argument(
            "--json", action="store_true", help="print JSON, a finding a line: check, level, text, advice"
        )

    def handle(self, *, site: str | None, **options: Any) -> None:
        if site is not None and urlsplit(site).scheme not in ("http", "https"):
            raise CommandError(
                f"--site takes an address such as https://chat.example.org, not {site!r}", returncode=USAGE
            )
        levels = []
        for finding in examine(site):
            levels.append(finding.level)
            self._show(finding, options["json"])
        errors, warnings = levels.count("error"), levels.count("warning")
        if errors:
            raise CommandError(f"{counted(errors, 'error')}, {counted(warnings, 'warning')}.")
        if not options["json"]:
            self.stdout.write(f"No errors, {counted(warnings, 'warning')}.")

    def _show(self, finding: Finding, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(finding.as_dict(), ensure_ascii=False))
        elif self.stdout.isatty():
            Console(file=sys.stdout).print(row(finding))
        else:
            advice = f" -> {finding.advice}" if finding.advice else ""
            self.stdout.write(f"{finding.level:7} {finding.check}: {finding.text}{advice}")
        self.stdout.flush()


def examine(address: str | None) -> Iterator[Finding]:
    readable = False
    for finding in database.examine():
        readable = readable or (finding.check == "migrations" and finding.level == "ok")
        yield finding
    yield from redis()
    yield from site_settings.examine()
    if readable:
        yield from site.examine()
        yield from demo_people()
    if address is not None:
        yield from visit(address)


def redis() -> Iterator[Finding]:
    if not settings.REDIS_URLS:
        yield ok("Redis", "none, which is fine for one process")
        return
    failures = [finding for url in settings.REDIS_URLS if (finding := ping(url))]
    yield from failures
    if not failures:
        yield carries()


def ping(url: str) -> Finding | None:
    try:
        with Redis.from_url(url, socket_timeout=REDIS, socket_connect_timeout=REDIS) as client:
            client.ping()
    except (RedisError, OSError) as failure:
        advice = "see that it runs, and that REDIS_URL has its host, port and password. Until then servers "
        advice += "find each other's messages by polling: nothing is lost, but it takes up to a second"
        return error("Redis", f"{without_password(url)}: {' '.join(str(failure).split())}", advice)
    return None


def without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


def carries() -> Finding:
    try:
        took = asyncio.run(hints.round_trip())
    except Exception as failure:
        why = "a hint did not come back" if isinstance(failure, TimeoutError) else str(failure)
        advice = "it answers, but its pub/sub delivers nothing: may this user subscribe and publish (ACL)?"
        return error("Redis", why, advice)
    return ok("Redis", f"a hint takes {took * 1000:.1f} ms through it")


def demo_people() -> Iterator[Finding]:
    if not settings.DEBUG and demo.can_sign_in():
        yield error(
            "demo people",
            f"{demo.PEOPLE[0]} still has the password that everybody can read in the documentation",
            f"`manage.py changepassword {demo.PEOPLE[0]}`, and so for {', '.join(demo.PEOPLE[1:])}",
        )


def row(finding: Finding) -> Table:
    mark, style = MARKS[finding.level]
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, min_width=15)
    grid.add_column()
    said = Text(finding.text)
    if finding.advice:
        said.append(f"\n→ {finding.advice}", style="bold")
    grid.add_row(Text(mark, style=style), Text(finding.check), said)
    return grid


def counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"

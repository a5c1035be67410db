"""What `make serve` does once everything is installed: make the database ready, and serve."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, connection

from chat.delivery.durability import one_at_a_time
from chat.wire.lines import FRAME_LIMIT

from ..base import ChatCommand
from .run import BACKLOG, address, check_free

#: Seconds from SIGTERM until uvicorn ends what has not ended: the drained journal, the last acks,
#: and the clients' answers to the close take less.
GRACE = 30


class Command(ChatCommand):
    help = """\
Serve on HOST:PORT with WORKERS processes of uvicorn, as in production: migrate first (one at a time,
however many machines start together), collect static files, make no demo. More than one worker needs
REDIS_URL. SIGTERM stops it without losing anything: what was taken in is stored and answered, and
every client is told to come back.
"""
    epilog = """\
  make serve                                        one process, SQLite
  WORKERS=4 DATABASE_URL=postgres://… REDIS_URL=redis://… make serve
"""
    requires_system_checks = "__all__"

    def handle(self, **options: Any) -> None:
        check_workers(settings.WORKERS, settings.REDIS_URLS)
        check_free(settings.HOST, settings.PORT)
        if settings.DEBUG:
            self.stderr.write("Beware: DEBUG is on; give DEBUG=0 where others can reach this.")
        self._make_ready()
        self.stdout.write(f"Chatsite is at {address(settings.HOST, settings.PORT)}")
        self.stdout.flush()
        command = [sys.executable, "-m", "uvicorn", *uvicorn_arguments()]
        os.execv(sys.executable, command)

    def _make_ready(self) -> None:
        try:
            connection.ensure_connection()
        except DatabaseError as error:
            raise CommandError(f"DATABASE_URL: cannot connect: {' '.join(str(error).split())}") from None
        with one_at_a_time():
            call_command("migrate", verbosity=0)
        if not settings.DEBUG:
            call_command("collectstatic", interactive=False, verbosity=0)
        connection.close()  # exec would leave it open in the server


def check_workers(workers: int, redis: list[str]) -> None:
    """Raises CommandError."""
    if workers > 1 and not redis:
        raise CommandError(
            f"WORKERS is {workers} and REDIS_URL is missing: processes tell each other what is new through"
            " Redis. Give REDIS_URL, or WORKERS=1."
        )


def uvicorn_arguments() -> list[str]:
    """No compression (it costs more than it saves on short lines, and is a way to bomb a server),
    and no headers of proxies believed but by TRUSTED_PROXIES."""
    return [
        *("--host", settings.HOST, "--port", str(settings.PORT), "--workers", str(settings.WORKERS)),
        *("--loop", "uvloop", "--ws", "websockets-sansio", "--ws-per-message-deflate", "false"),
        *("--ws-max-size", str(FRAME_LIMIT), "--backlog", str(BACKLOG), "--no-proxy-headers"),
        *("--timeout-graceful-shutdown", str(GRACE), "--log-level", "warning"),
        "chatsite.asgi:application",
    ]

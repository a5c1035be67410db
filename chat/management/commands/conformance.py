"""Serves what the test suites of Engine.IO's and Socket.IO's protocols expect."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from ..base import ChatCommand, integer
from .run import check_free

HOST, PORT = "127.0.0.1", 3000
APPLICATION = "chat.conformance:application"


class Command(ChatCommand):
    help = """\
Serve what the test suites of Engine.IO's and Socket.IO's own protocols expect, for whoever works on
those doors: an echo at /engine.io/, the namespaces / and /custom at /socket.io/, a ping each 300 ms.
Refused without DEBUG, since everybody is let in. The database must be migrated.
"""
    epilog = """\
The suites are in https://github.com/socketio/socket.io, in docs/engine.io-protocol/v4-test-suite and
docs/socket.io-protocol/v5-test-suite. In each: npm install && npm test
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--port", type=integer(1, 65535), default=PORT, metavar="N", help="another than 3000"
        )
        parser.add_argument(
            "--server", choices=["daphne", "uvicorn"], default="daphne", help="which; Daphne by default"
        )

    def handle(self, *, port: int, server: str, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("this lets everybody in; it is for development alone, with DEBUG=1")
        check_migrated()
        check_free(HOST, port)
        self.stdout.write(f"Serving /engine.io/ and /socket.io/ at http://localhost:{port} with {server}.")
        self.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", server, *arguments(server, port)])


def check_migrated() -> None:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise CommandError("the database is not migrated: run manage.py migrate first")
    connection.close()  # exec would leave it open in the server


def arguments(server: str, port: int) -> list[str]:
    if server == "daphne":
        return ["--verbosity", "0", "--bind", HOST, "--port", str(port), APPLICATION]
    return [
        *("--host", HOST, "--port", str(port), "--log-level", "warning", "--loop", "uvloop"),
        *("--ws", "websockets-sansio", "--ws-per-message-deflate", "false", "--ws-max-size", "1048576"),
        APPLICATION,
    ]

"""The application with one thing broken on purpose, by `MUTATION`: what a check has to find."""

from __future__ import annotations

import os
import time
from typing import Any
from unittest.mock import patch

from django.db import connection, transaction

from chatsite.asgi import application
from tests.support import Server

__all__ = ["APP", "application", "mutant"]

APP = f"{__name__}:application"


def mutant(mutation: str) -> dict[str, Any]:
    """Options for a server with this mutation."""
    return {"app": APP, "env": {"MUTATION": mutation, "RATE_LIMIT": "off"}}


def break_dedupe() -> None:
    """No `client_id` is ever known. Needs `drop_uniqueness`, or the database refuses."""
    from chat.delivery import log

    log._Append._find_known = lambda self, placed: {}  # type: ignore[method-assign]


def drop_uniqueness(server: Server) -> None:
    """Nor does the database know that a sender's `client_id` is used once."""

    def drop() -> None:
        from chat.models import Message

        every = Message._meta.constraints
        unique = next(each for each in every if each.name == "message_room_sender_client_id")
        others = [each for each in every if each is not unique]
        # SQLite makes the table anew, as the model says.
        with patch.object(Message._meta, "constraints", others), connection.schema_editor() as editor:
            editor.remove_constraint(Message, unique)

    server.django(drop)


def break_commit() -> None:
    """The answers are sent before the commit, and that takes its time."""
    from chat.delivery import journal, log

    def run_batch(self: journal.Journal, writes: list[Any]) -> None:
        with transaction.atomic():
            answers, appended = log.append([write.draft for write in writes])
            self._bytes_out += sum(write.draft.size for write in writes)
            self._answer(list(zip(writes, answers, strict=True)), appended)
            time.sleep(0.05)

    journal.Journal._run_batch = run_batch  # type: ignore[method-assign]


def break_sync() -> None:
    """SQLite is told that it need not sync."""
    from django.db.backends.signals import connection_created

    def unsynced(connection: Any, **_: Any) -> None:
        connection.cursor().execute("PRAGMA synchronous=OFF")

    connection_created.connect(unsynced, weak=False)


MUTATIONS = {"dedupe": break_dedupe, "commit": break_commit, "sync": break_sync}

if "MUTATION" in os.environ:
    MUTATIONS[os.environ["MUTATION"]]()

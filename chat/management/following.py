"""A room's log as it grows, for a command that follows it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from django.db import connection

from chat.delivery import log
from chat.delivery.entries import Entry
from chat.errors import EventError
from chat.models import Room

from .base import OUTAGE, first_line

#: Seconds between two looks at the log.
POLL = 0.5
#: Entries by which a log that came back from a backup is compared with what was shown.
REMEMBERED = 1000


class Follower:
    """`after` is the last entry that isn't wanted; `warn` is told what the reader should know."""

    def __init__(self, room: Room, after: int, warn: Callable[[str], object]) -> None:
        self._room, self._namespace, self._slug = room.pk, room.namespace, room.slug
        self._epoch = room.epoch
        self._after = after
        self._warn = warn
        self._shown: deque[tuple[int, str]] = deque(maxlen=REMEMBERED)
        self._down = False

    def entries(self, *, follow: bool, idle: Callable[[float], None]) -> Iterator[list[Entry]]:
        """Pages of the log, each entry once; `idle` waits so many seconds for the next look."""
        while True:
            page = self._next()
            if page:
                yield page
            elif follow:
                idle(POLL)
            else:
                return

    def _next(self) -> list[Entry]:
        try:
            page = self._read()
        except OUTAGE as outage:
            connection.close()  # the next look opens another
            if not self._down:
                self._warn(f"the database fails, trying again: {first_line(outage)}")
            self._down = True
            return []
        if self._down:
            self._warn("the database is back")
        self._down = False
        return page

    def _read(self) -> list[Entry]:
        state = log.state(self._namespace, self._slug)
        if state is None or state.id != self._room:
            raise EventError("not_found", f"{self._slug} is gone")
        if state.epoch != self._epoch:
            self._go_back(state)
        if self._after + 1 < state.first:
            self._warn(f"{self._slug} begins at {state.first}: what came before was trimmed")
            self._after = state.first - 1
        page = log.read(self._room, self._after, state.head)
        if page:
            self._after = page[-1].seq
            self._shown.extend((entry.seq, entry.data["client_id"]) for entry in page)
        return page

    def _go_back(self, state: log.RoomState) -> None:
        """Another history: what was shown after the place where they part is shown anew."""
        self._epoch = state.epoch
        same = (seq for seq, client_id in reversed(self._shown) if self._stands(seq, client_id))
        self._after = next(same, min(self._after, state.head))
        self._warn(f"{self._slug} was restored from a backup: it goes on after {self._after}")

    def _stands(self, seq: int, client_id: str) -> bool:
        return log.client_id_at(self._room, seq) == client_id

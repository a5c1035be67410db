"""The event log: who came and went, what was moderated, what died. A line for each in the
server's own log, and the same live to those of the staff who watch, in every process.

At most once for the watchers; the server's log is the record.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from ..delivery.entries import now, rfc3339
from .addresses import Address, deliver

if TYPE_CHECKING:
    from .hub import Hub

logger = logging.getLogger("chat.events")

TICK = 0.2  #: seconds in which lines gather for the watchers
MOST = 500  #: lines in a tick; of more than these the watchers are told how many
#: Seconds between two words to the other processes that somebody here watches, and how long
#: one word counts.
WORD, COUNTS = 5.0, 15.0

ADMIN = "admin"
#: The plain room of the sockets that watch; no client can join it by name.
WATCHERS = "log:watch"

Line = dict[str, Any]


class Activity:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._waiting: list[Line] = []
        self._more = 0
        self._flushing: asyncio.TimerHandle | None = None
        self._watched_until = 0.0  #: by sockets of other processes

    # -- Writing

    def note(self, text: str, *, socket: Any = None, user: Any = None, **fields: Any) -> None:
        """What happened in this process. `user` has `id` and `name`; a `socket` has a person too.
        Fields that are None are left out."""
        said = _known({**_who(socket, user), **fields})
        _log(text, said)
        if self._watching() or self._hub.now() < self._watched_until:
            self._gather(_line(text, said))

    def told(self, text: str, fields: dict[str, Any]) -> None:
        """What the control log says, in every process."""
        said = _known(fields)
        _log(text, said)
        self._show([_line(text, said)])

    # -- Watching

    def watch(self, socket: Any) -> None:
        self._hub.addresses.join(socket, WATCHERS)
        self._hub.events.server_emit(ADMIN, "log:watched", None)

    def unwatch(self, socket: Any) -> bool:
        """False where the socket wasn't watching."""
        return self._hub.addresses.leave(socket, WATCHERS)

    async def say_watched(self) -> float:
        if self._watching():
            self._hub.events.server_emit(ADMIN, "log:watched", None)
        return WORD

    def watched_elsewhere(self) -> None:
        self._watched_until = self._hub.now() + COUNTS

    def heard(self, lines: list[Line]) -> None:
        """What happened in another process, which has logged it."""
        self._show(lines)

    def _watching(self) -> list[Any]:
        return self._hub.addresses.reached(Address(ADMIN, (WATCHERS,)))

    # -- To the watchers, a tick's lines at a time

    def _gather(self, line: Line) -> None:
        if len(self._waiting) < MOST:
            self._waiting.append(line)
        else:
            self._more += 1
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(TICK, self._flush)

    def _flush(self) -> None:
        lines, more = self._waiting, self._more
        self._waiting, self._more, self._flushing = [], 0, None
        if more:
            lines.append(_line("more lines than can be shown; they are in the server's log", {"lines": more}))
        self._show(lines)
        if self._hub.now() < self._watched_until:
            self._hub.events.server_emit(ADMIN, "log", lines)

    def _show(self, lines: list[Line]) -> None:
        watchers = self._watching()
        for line in lines if watchers else ():
            deliver(watchers, "log", line)


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


def _line(text: str, fields: dict[str, Any]) -> Line:
    return {"at": rfc3339(now()), "text": text, **fields}


def _log(text: str, fields: dict[str, Any]) -> None:
    logger.info(text, extra={"fields": fields})


def _who(socket: Any, user: Any) -> dict[str, Any]:
    person = user if socket is None else socket.user
    said: dict[str, Any] = {} if person is None else {"user": person.name, "id": person.id}
    if socket is not None:
        said |= {"namespace": f"/{socket.namespace_path}", "sid": socket.id}
    return said

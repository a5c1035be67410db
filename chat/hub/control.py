"""What other parts of the site tell every process, through the control log.

Its entries are numbered like any other room's, so none can be missed: a hint makes them fast,
the poll makes them certain.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .hub import Hub
    from .room import Room

logger = logging.getLogger("chat.hub")


class Control:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.room: Room | None = None
        self._doubtful: set[Any] = set()
        self._acts: dict[str, Callable[..., None]] = {
            "recheck": self._recheck,
            "reseat": self._reseat,
            "added": self._added,
        }

    def obey(self, data: dict[str, Any]) -> None:
        act = self._acts.get(data.get("act", ""))
        if act is None:
            logger.warning("the control log has an act that this version does not know: %r", data.get("act"))
            return
        act(**{key: value for key, value in data.items() if key not in ("act", "client_id")})

    def sweep(self) -> None:
        """Sockets whose rights were being read when some were lost are looked at again."""
        known = {socket for socket in self._doubtful if socket.user is not None}
        if known:
            self._hub.insist(partial(self._hub.recheck, known))
        self._doubtful = {socket for socket in self._doubtful - known if socket in self._hub.sockets}

    def _recheck(self, users: list[int]) -> None:
        """These people's rights changed: a ban, a logout, a new password, a revoked token, …"""
        self._doubtful |= {socket for socket in self._hub.sockets if socket.user is None}
        self._hub.insist(partial(self._hub.recheck, self._hub.sockets_of(users)))

    def _reseat(self, room: int) -> None:
        """Someone lost their place in this room, by a ban or a deletion."""
        if (open_room := self._hub.rooms.get(room)) is not None:
            self._hub.insist(partial(self._hub.reseat, open_room))

    def _added(self, user: int, namespace: str, room: str) -> None:
        """A person became a member without asking."""
        told = {"namespace": namespace, "event": "room:added", "data": {"room": room}, "user": user}
        self._hub.emit_here(told)

"""What other parts of the site tell every process, through the control log.

Its entries are numbered like any other room's, so none can be missed: a hint makes them fast,
the poll makes them certain.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ..delivery import pools
from ..errors import Close, EventError
from ..services import reports
from .addresses import Address, user_room

if TYPE_CHECKING:
    from .hub import Hub
    from .room import Room

logger = logging.getLogger("chat.hub")


class Control:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.room: Room | None = None
        self._doubtful: set[Any] = set()
        self._reporting = asyncio.Lock()
        self._acts: dict[str, Callable[..., None]] = {
            "recheck": self._recheck,
            "reseat": self._reseat,
            "added": self._added,
            "emit": self._emit,
            "move": self._move,
            "disconnect": self._disconnect,
            "kick": self._kick,
            "end": self._end,
            "role": self._role,
            "report": self._report,
            "forget": self._forget,
            "note": self._note,
            "presence": self._presence,
            "rules": self._rules,
            "news": self._news,
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
            self._hub.insist(partial(self._hub.rights.recheck, known))
        self._doubtful = {socket for socket in self._doubtful - known if socket in self._hub.sockets}

    def _recheck(self, users: list[int]) -> None:
        """These people's rights changed: a ban, a logout, a new password, a revoked token, …"""
        self._doubtful |= {socket for socket in self._hub.sockets if socket.user is None}
        self._hub.insist(partial(self._hub.rights.recheck, self._hub.sockets_of(users)))

    def _reseat(self, room: int) -> None:
        """Someone lost their place in this room, by a ban or a deletion."""
        if (open_room := self._hub.rooms.get(room)) is not None:
            self._hub.insist(partial(self._hub.rights.reseat, open_room))

    def _added(self, user: int, namespace: str, room: str) -> None:
        """A person became a member without asking."""
        self._emit(Address(namespace, (user_room(user),)).as_dict(), "room:added", {"room": room})

    def _role(self, user: int, namespace: str, room: str, role: str) -> None:
        """A person has another role in a room."""
        data = {"room": room, "role": role}
        self._emit(Address(namespace, (user_room(user),)).as_dict(), "room:role", data)

    def _report(self, report: int) -> None:
        """A report came in or was seen to. Its message is read here, not kept in the control log."""
        self._hub.insist(partial(self._tell_report, report))

    async def _tell_report(self, report: int) -> None:
        async with self._reporting:  # one after the other: the last told is the last that is true
            if (news := await pools.read(reports.news, report)) is not None:
                self._tell_news(*news)

    def _tell_news(self, told: dict[str, Any], leaders: dict[int, int]) -> None:
        self._emit(Address("admin", ("reports",)).as_dict(), "report", told)
        for user, count in leaders.items():
            data = {"room": told["room"], "open": count}
            self._emit(Address(told["namespace"], (user_room(user),)).as_dict(), "room:reports", data)

    def _emit(self, address: dict[str, Any], event: str, data: Any) -> None:
        """An event from a process that has no sockets, such as a command."""
        self._hub.events.emit_here({"address": address, "event": event, "data": data})

    def _move(self, address: dict[str, Any], join: list[str], leave: list[str]) -> None:
        """Sockets join or leave plain rooms."""
        for socket in self._hub.addresses.reached(Address(**address)):
            socket.leave(*leave)
            socket.join(*join)

    def _disconnect(self, address: dict[str, Any], code: int, error: dict[str, Any]) -> None:
        why = EventError(**{key: value for key, value in error.items() if key != "temporary"})
        for socket in self._hub.addresses.reached(Address(**address)):
            socket.close(code, why)

    def _kick(self, user: int | None = None, sid: str | None = None, reason: str = "") -> None:
        """A person's sockets, or the one of this id, are closed, in whichever namespace."""
        message = f"you were sent away: {reason}" if reason else "you were sent away"
        error = EventError("kicked", message, **({"reason": reason} if reason else {}))
        for socket in list(self._hub.sockets):
            if socket.id == sid if sid else socket.user is not None and socket.user.id == user:
                socket.close(Close.NOT_ALLOWED, error)

    def _end(self, user: int, tokens: bool, reason: str = "") -> None:
        """A person's browser sessions were ended, and with `tokens` those were revoked."""
        message = f"your session was ended: {reason}" if reason else "your session was ended"
        error = EventError("session_ended", message, **({"reason": reason} if reason else {}))
        for socket in self._hub.sockets_of([user]):
            if tokens or socket.rights.token is None:
                socket.close(Close.SESSION_ENDED, error)

    def _forget(self) -> None:
        """Someone goes by another name in all logs: what was read of them before is read anew."""
        for room in self._hub.rooms.values():
            room.forget()

    def _note(self, text: str, fields: dict[str, Any]) -> None:
        self._hub.activity.told(text, fields)

    def _news(self, room: int, news: list[list[Any]]) -> None:
        """What a command has made of a queue's orders: events for its watchers."""
        if (queue := self._hub.rooms.get(room)) is not None:
            queue.heard({"room": room, "news": news})

    def _rules(self) -> None:
        """The filtered words of a room changed."""
        self._hub.insist(self._hub.words.read)

    def _presence(self, came: list[dict[str, Any]], went: list[dict[str, Any]]) -> None:
        """People came online or went."""
        self._hub.presence.tell(came, went)

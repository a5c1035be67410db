"""Rights of those who are here: read again when something may have taken them away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..delivery import log, pools
from ..errors import Close, EventError
from ..services import people, rooms
from .queue import Queue

if TYPE_CHECKING:
    from .hub import Hub
    from .room import Room

RECHECK = 60.0  #: seconds in which every socket's rights are read again
CODES = {"banned": Close.NOT_ALLOWED, "session_ended": Close.SESSION_ENDED}


class Rights:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        hub.every(self._recheck_all)

    async def recheck(self, sockets: Iterable[Any]) -> None:
        """Read these sockets' rights again, in one go, and close those that have lost them."""
        some = [socket for socket in sockets if socket.rights is not None and socket.closed is None]
        if not some:
            return
        found = await pools.read(people.recheck, [socket.rights for socket in some])
        for socket, rights in zip(some, found, strict=True):
            if isinstance(rights, EventError):
                socket.close(CODES.get(rights.code, Close.NOT_ALLOWED), rights)
            elif rights != socket.rights:
                socket.rights = rights
                try:
                    socket.namespace.recheck(socket)
                except EventError as refusal:
                    socket.close(Close.NOT_ALLOWED, refusal)

    async def reseat(self, room: Room) -> None:
        """Remove who is no longer a member. A notice of it in the log comes first: it has the reason."""
        if isinstance(room, Queue):
            await self._hub.queues.reseat(room)
            return
        for joining in room.joining.values():
            joining.doubtful = True
        members = list(room.members.values())
        seats = await pools.read(rooms.find_seats, [(*room.key, member.user) for member in members])
        lost = [(m, seat) for m, seat in zip(members, seats, strict=True) if not isinstance(seat, rooms.Seat)]
        state = await pools.read(log.state, *room.key) if lost else None
        if state is not None and room.live:
            await room.reach(state.head)
        for member, why in lost:
            if room.members.get(member.user) is member:  # and did not come back meanwhile
                room.expel(member.user, "banned" if why is not None and why.code == "banned" else "kicked")

    async def _recheck_all(self) -> float:
        """Once a minute: finds what no signal told, such as `QuerySet.update()` and raw SQL."""
        await self.recheck(list(self._hub.sockets))
        for room in list(self._hub.rooms.values()):
            await self.reseat(room)
        return RECHECK

"""Who is connected to this process, and who of them the site has been told of.

A person's first socket and the end of their last one are only noted. About once a second what
has changed is written in one transaction, and with it the word to all processes; however many
sockets come back after a restart, they cost a few statements.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..delivery import pools
from ..services import presence
from .addresses import Address

if TYPE_CHECKING:
    from .hub import Hub

logger = logging.getLogger("chat.hub")

PAUSE = 1.0  #: seconds between two writes
CHECK = 5.0  #: seconds between two looks at whether the database still knows what was written


class Presence:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._sockets: dict[int, int] = {}  #: how many a person has here
        self._stored: set[int] = set()  #: whom the database has here
        self._came: set[int] = set()  #: and whom it should
        self._left: dict[int, float] = {}  #: when a person's last socket went; they may come back
        self._checked_at = 0.0
        self._news: deque[tuple[str, dict[str, Any]]] = deque()
        self._telling: asyncio.Task[None] | None = None
        hub.every(self._turn)

    def arrive(self, socket: Any) -> None:
        """A socket was let in."""
        user = socket.user and socket.user.id
        if user is None:
            return
        sockets = self._sockets.get(user, 0)
        self._sockets[user] = sockets + 1
        if not sockets:
            self._left.pop(user, None)
            if user not in self._stored:
                self._came.add(user)

    def leave(self, socket: Any) -> None:
        """A socket that had arrived is gone."""
        user = socket.user and socket.user.id
        if user is None:
            return
        self._sockets[user] -= 1
        if not self._sockets[user]:
            del self._sockets[user]
            self._left[user] = self._hub.now()

    def tell(self, came: list[dict[str, Any]], went: list[dict[str, Any]]) -> None:
        """What the control log says, to the sockets of `/users` here. Hundreds may come together:
        between one of them and the next everything else has its turn."""
        self._news.extend(("user:connected", person) for person in came)
        self._news.extend(("user:disconnected", person) for person in went)
        if self._telling is None or self._telling.done():
            self._telling = self._hub.spawn(self._tell())

    async def _tell(self) -> None:
        everyone = Address("users").as_dict()
        while self._news:
            event, person = self._news.popleft()
            self._hub.events.emit_here({"address": everyone, "event": event, "data": {"user": person}})
            await asyncio.sleep(0)

    async def _turn(self) -> float:
        try:
            if self._hub.now() - self._checked_at >= CHECK:
                await self._check()
            await self._write()
        except Exception as failure:
            logger.warning("who came and went can't be written now: %s", failure)
        return PAUSE

    async def _check(self) -> None:
        """After a restore, or when this process was taken for dead, rows are missing."""
        self._stored = await pools.read(presence.at, self._hub.process)
        self._checked_at = self._hub.now()
        self._came = self._sockets.keys() - self._stored
        for user in self._stored - self._sockets.keys() - self._left.keys():
            self._left[user] = self._hub.now()

    async def _write(self) -> None:
        went = self._gone()
        came = set(islice(self._came, presence.MOST - len(went)))
        if not came and not went:
            return
        if not await pools.write(presence.change, self._hub.process, came, went):
            await pools.write(presence.register, self._hub.process)
            await self._check()
            return
        self._came -= came
        self._stored = (self._stored | came).difference(went)
        for user in went:
            if user in self._sockets:  # since the transaction began
                self._came.add(user)
            else:
                del self._left[user]

    def _gone(self) -> list[int]:
        """Those who have not come back in time. They left in the order in which they are kept."""
        gone: list[int] = []
        for user, left in list(self._left.items()):
            if self._hub.now() - left < presence.GRACE or len(gone) == presence.MOST:
                break
            if user in self._stored:
                gone.append(user)
            else:  # nobody was told that they had come
                del self._left[user]
                self._came.discard(user)
        return gone

"""This process's place among the processes of the site."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..delivery import pools
from ..services import presence

if TYPE_CHECKING:
    from .hub import Hub

logger = logging.getLogger("chat.hub")

BEAT = 5.0  #: seconds between two beats
AGAIN = 1.0  #: and after one that failed
FRESH = 1.0  #: seconds for which it counts who was seen alive


class Processes:
    """Keeps the row that says that this process is alive."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._alive: set[str] = set()
        self._looked_at = -FRESH
        self._beat_at = -presence.TIMEOUT
        self._steady_since = 0.0
        self._ended = False
        hub.every(self._beat)

    async def alive(self) -> set[str]:
        """The ids of the processes that are alive, as of a second ago at most; during an outage
        of the database as of its beginning.

        Who takes something from a process that isn't alive asks `chat.services.presence.alive`
        instead, in the transaction that takes it.
        """
        if self._hub.now() - self._looked_at >= FRESH:
            try:
                await self._look()
            except Exception as failure:
                logger.warning("which processes are alive can't be read now: %s", failure)
        return self._alive | {self._hub.process}

    async def start(self) -> None:
        """Before the first socket is let in. Raises `unavailable`."""
        await pools.write(presence.register, self._hub.process)

    async def stop(self) -> None:
        self._ended = True
        await pools.write(presence.end, self._hub.process)

    async def _look(self) -> None:
        self._alive = await pools.read(presence.alive)
        self._looked_at = self._hub.now()

    async def _beat(self) -> float:
        if self._ended:
            return BEAT
        try:
            await pools.write(presence.beat, self._hub.process, len(self._hub.sockets))
            return AGAIN if await self._sweep() else BEAT
        except Exception as failure:
            logger.warning("this process can't say now that it is alive: %s", failure)
            return AGAIN

    async def _sweep(self) -> bool:
        """Forget the dead; True where more of their people are left. After an outage the others
        first get the time to say that they are not."""
        now, last = self._hub.now(), self._beat_at
        self._beat_at = now
        if now - last > 2 * BEAT:
            self._steady_since = now
        if now - self._steady_since < presence.GRACE or not await pools.read(presence.anyone_dead):
            return False
        return await pools.write(presence.sweep)

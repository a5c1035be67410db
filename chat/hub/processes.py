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


class Processes:
    """Keeps the row that says that this process is alive."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._alive: set[str] = set()
        self._ended = False
        hub.every(self._beat)

    def alive(self) -> set[str]:
        """The ids of the processes that are alive, as of the last beat.

        One that began since is missing. Who takes something from a process that isn't alive
        asks `chat.services.presence.alive` instead, in the transaction that takes it.
        """
        return self._alive | {self._hub.process}

    async def start(self) -> None:
        """Before the first socket is let in. Raises `unavailable`."""
        await pools.write(presence.register, self._hub.process)
        self._alive = await pools.read(presence.alive)

    async def stop(self) -> None:
        self._ended = True
        await pools.write(presence.end, self._hub.process)

    async def _beat(self) -> float:
        if self._ended:
            return BEAT
        try:
            await pools.write(presence.beat, self._hub.process)
            self._alive = await pools.read(presence.alive)
        except Exception as failure:
            logger.warning("this process can't say now that it is alive: %s", failure)
            return AGAIN
        return BEAT

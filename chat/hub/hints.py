"""Hints to the other processes, over the channel layer. The only module that names it.

A channel layer delivers at most once: at capacity it drops in silence, what is in flight when
Redis restarts is lost, memberships of groups lapse after a day. So a hint never carries what
could not be read elsewhere: a lost one costs latency, up to the next poll of heads.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from typing import Any

from channels.layers import InMemoryChannelLayer, get_channel_layer

logger = logging.getLogger("chat.hub")

#: Seconds after which groups are joined again.
REJOIN = 3600.0
#: Hints that wait to be published; past it they are dropped, and the polls make up for them.
BACKLOG = 1000

SITE = "chat.site"


def group(room_id: int) -> str:
    return f"chat.room.{room_id}"


class Hints:
    """This process's one channel, and the groups it is in.

    With the in-memory layer there is no other process that could hear, so nothing is sent.
    """

    def __init__(self, heard: Callable[[dict[str, Any]], None]) -> None:
        self._heard = heard
        self._layer: Any = get_channel_layer()
        self._alone = self._layer is None or isinstance(self._layer, InMemoryChannelLayer)
        self._me = uuid.uuid4().hex
        self._channel = ""
        self._groups: set[str] = set()
        self._queue: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue(BACKLOG)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        if self._alone or self._tasks:
            return
        self._channel = await self._layer.new_channel("chat.")
        await self.join(SITE)
        work = (self._receive, self._publish, self._rejoin)
        self._tasks = [asyncio.create_task(each()) for each in work]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def join(self, group: str) -> None:
        if not self._alone:
            self._groups.add(group)
            await self._try(self._layer.group_add(group, self._channel))

    async def leave(self, group: str) -> None:
        if not self._alone:
            self._groups.discard(group)
            await self._try(self._layer.group_discard(group, self._channel))

    def publish(self, group: str, hint: dict[str, Any]) -> None:
        if self._alone:
            return
        try:
            self._queue.put_nowait((group, {"type": "chat.hint", "from": self._me, **hint}))
        except asyncio.QueueFull:
            logger.debug("a hint was dropped; the polls make up for it")

    async def _publish(self) -> None:
        while True:
            group, hint = await self._queue.get()
            await self._try(self._layer.group_send(group, hint))

    async def _receive(self) -> None:
        while True:
            try:
                hint = await self._layer.receive(self._channel)
                if hint.get("from") != self._me:
                    self._heard(hint)
            except Exception as failure:
                logger.warning("no hints for now, the polls make up for them: %s", failure)
                await asyncio.sleep(1)

    async def _rejoin(self) -> None:
        while True:
            await asyncio.sleep(REJOIN)
            for group in list(self._groups):
                await self._try(self._layer.group_add(group, self._channel))

    async def _try(self, call: Any) -> None:
        try:
            await call
        except Exception as failure:
            logger.warning("the channel layer failed, the polls make up for it: %s", failure)

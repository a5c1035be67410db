"""Hints to the other processes, over the channel layer. The only module that names it.

A channel layer delivers at most once: at capacity it drops in silence, what is in flight when
Redis restarts is lost, memberships of groups lapse after a day. So a hint never carries what
could not be read elsewhere: a lost one costs latency, up to the next poll of heads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import InMemoryChannelLayer, get_channel_layer

from ..delivery import door
from ..delivery.entries import Appended

logger = logging.getLogger("chat.hub")

#: Seconds after which groups are joined again.
REJOIN = 3600.0
#: Hints that wait to be published; past it they are dropped, and the polls make up for them.
BACKLOG = 1000
#: Seconds that a command may spend on a hint.
OUTSIDE = 1.0
#: And that one may take to come back, when somebody asks whether it does.
ROUND_TRIP = 2.5

SITE = "chat.site"

Post = Callable[[str, dict[str, Any]], Awaitable[None]]


def group(room_id: int) -> str:
    return f"chat.room.{room_id}"


def about(appended: Appended) -> tuple[str, dict[str, Any]]:
    """Which group to tell of new entries, and what."""
    is_control = (appended.namespace, appended.slug) == door.CONTROL
    hint = {
        "room": appended.room_id,
        "epoch": appended.epoch,
        "first": appended.first,
        "last": appended.last,
    }
    return SITE if is_control else group(appended.room_id), hint


def publish_from_outside(appended: list[Appended]) -> None:
    """Tell the servers what a process without a hub has committed, such as a command."""
    layer = get_channel_layer()
    if is_alone(layer):
        return
    try:
        async_to_sync(_publish_all)(layer, [about(each) for each in appended])
    except Exception as failure:
        logger.debug("no hint was given, the polls make up for it: %s", failure)


async def _publish_all(layer: Any, hints: list[tuple[str, dict[str, Any]]]) -> None:
    async with asyncio.timeout(OUTSIDE):
        for target, hint in hints:
            await layer.group_send(target, {"type": "chat.hint", **hint})


def is_alone(layer: Any) -> bool:
    """Whether no other process can be reached through the layer."""
    return layer is None or isinstance(layer, InMemoryChannelLayer)


async def round_trip() -> float:
    """Seconds that a hint takes through the layer back to who gave it. Raises TimeoutError where
    it doesn't come, and what the layer raises where it can't be reached."""
    layer: Any = get_channel_layer()
    channel = await layer.new_channel("chat.")
    await layer.group_add(channel, channel)
    try:
        async with asyncio.timeout(ROUND_TRIP):
            while True:
                began = time.perf_counter()
                await layer.group_send(channel, {"type": "chat.hint"})
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(layer.receive(channel), ROUND_TRIP / 5)
                    return time.perf_counter() - began
    finally:
        await layer.group_discard(channel, channel)


class Hints:
    """This process's one channel, and the groups it is in.

    With the in-memory layer there is no other process that could hear, so nothing is sent.
    """

    def __init__(self, heard: Callable[[dict[str, Any]], None]) -> None:
        self._heard = heard
        self._layer: Any = get_channel_layer()
        self._alone = is_alone(self._layer)
        self._me = uuid.uuid4().hex
        self._channel = ""
        self._groups: set[str] = set()
        self._queue: asyncio.Queue[tuple[Post, str, dict[str, Any]]] = asyncio.Queue(BACKLOG)
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

    @property
    def alone(self) -> bool:
        """Whether no other process could hear."""
        return self._alone

    def publish(self, group: str, hint: dict[str, Any]) -> None:
        """To the processes that are in the group."""
        if not self._alone:
            self._post(self._layer.group_send, group, hint)

    def ask(self, group: str, hint: dict[str, Any]) -> None:
        """The same with where to answer."""
        self.publish(group, {**hint, "reply_to": self._channel})

    def answer(self, reply_to: str, hint: dict[str, Any]) -> None:
        """To the one process that asked."""
        self._post(self._layer.send, reply_to, hint)

    def _post(self, post: Post, target: str, hint: dict[str, Any]) -> None:
        try:
            self._queue.put_nowait((post, target, {"type": "chat.hint", "from": self._me, **hint}))
        except asyncio.QueueFull:
            logger.debug("a hint was dropped; the polls make up for it")

    async def _publish(self) -> None:
        while True:
            post, target, hint = await self._queue.get()
            await self._try(post(target, hint))

    async def _receive(self) -> None:
        while True:
            try:
                hint = await self._layer.receive(self._channel)
            except Exception as failure:
                logger.warning("no hints for now, the polls make up for them: %s", failure)
                await asyncio.sleep(1)
                continue
            if hint.get("from") != self._me:
                self._hear(hint)

    def _hear(self, hint: dict[str, Any]) -> None:
        try:
            self._heard(hint)
        except Exception:  # such as one of a newer version
            logger.exception("a hint could not be followed")

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

"""Threads for the database: a few readers, one writer (the journal's), one for the poll, one for search.

`database_sync_to_async` shares a single thread among all sockets, so that one slow query
holds up everyone; these do not.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from django.db import InterfaceError, OperationalError, connection

from ..errors import EventError
from .journal import journal

logger = logging.getLogger("chat.delivery")

READERS = 4
#: Transactions that wait for the journal's thread at a time, so that a message waits for no more of
#: them, however many others there are: an act of moderation takes as long as a batch of 500.
WRITES = 2

K = TypeVar("K")
V = TypeVar("V")

_readers = ThreadPoolExecutor(READERS, thread_name_prefix="chat-reader")
_poller = ThreadPoolExecutor(1, thread_name_prefix="chat-poll")
_searcher = ThreadPoolExecutor(1, thread_name_prefix="chat-search")
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


async def read(function: Callable[..., V], *args: Any) -> V:
    """Run a function that reads the database in one of the readers' threads. Raises
    `unavailable` where the database can't be reached, as `poll` and `write` do."""
    return await asyncio.get_running_loop().run_in_executor(_readers, _fresh, function, *args)


async def poll(function: Callable[..., V], *args: Any) -> V:
    """The same for the poll of heads, which no slow reader may hold up."""
    return await asyncio.get_running_loop().run_in_executor(_poller, _fresh, function, *args)


async def search(function: Callable[..., V], *args: Any) -> V:
    """The same for what may take longer than a look-up, and may hold up no other reader."""
    return await asyncio.get_running_loop().run_in_executor(_searcher, _fresh, function, *args)


async def write(function: Callable[..., V], *args: Any) -> V:
    """Run a function with a short write transaction of its own in the journal's thread, where
    it does not compete with the journal for SQLite's only writer. First come, first served."""
    turns = _turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(WRITES))
    async with turns:
        with _outage_as_unavailable():
            return await journal.run(function, *args)


def _fresh(function: Callable[..., V], *args: Any) -> V:
    """Drop a connection that an earlier call found broken or that has outlived its age."""
    connection.close_if_unusable_or_obsolete()
    with _outage_as_unavailable():
        return function(*args)


@contextmanager
def _outage_as_unavailable() -> Iterator[None]:
    """An outage passes: a client that is told so tries again, where `internal` would end it."""
    try:
        yield
    except (OperationalError, InterfaceError) as outage:
        logger.error("the database is unavailable: %s", outage)
        raise EventError("unavailable", "the database can't be reached now") from outage


class Together(Generic[K, V]):
    """Calls that arrive while one is under way are answered by the next one, in one go.

    `function` takes a list of keys and returns a list of as many answers; an answer that is
    an exception is raised to its caller. It runs by `run`: `read`, or `write` for a transaction.
    """

    def __init__(
        self,
        function: Callable[[list[K]], Sequence[V | Exception]],
        most: int = 500,
        run: Callable[..., Any] | None = None,
    ) -> None:
        self._function = function
        self._most = most
        self._run_in_thread = run or read
        self._waiting: list[tuple[K, asyncio.Future[V]]] = []
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, key: K) -> V:
        future: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        while self._waiting:
            some, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            try:
                answers: Sequence[V | Exception] = await self._run_in_thread(
                    self._function, [key for key, _ in some]
                )
            except Exception as failure:
                answers = [failure] * len(some)
            for (_, future), answer in zip(some, answers, strict=True):
                if future.done():
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)

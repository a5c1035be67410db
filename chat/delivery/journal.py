"""Group commit: one writer thread in a process, and a batch is what came in meanwhile.

There is no timer. An idle server commits a message at once; a busy one commits whatever
gathered during the last commit, up to `BATCH` drafts, in one transaction.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from asgiref.sync import AsyncToSync
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from ..errors import EventError
from . import log
from .entries import Appended, Draft, Receipt
from .histograms import SIZES, Histogram
from .log import Answer

logger = logging.getLogger("chat.delivery")

BATCH = 500
BATCH_BYTES = 4 * 2**20
#: What may wait for the writer; past it a draft is refused as unavailable.
WAITING_BYTES = 64 * 2**20
#: Tries of a batch after a deadlock or a lost connection.
TRIES = 3
#: How long the writer waits for one room that another process holds, on PostgreSQL.
LOCK_TIMEOUT_MS = 100
#: How long a transaction of someone else's may wait for a lock in the writer's thread, where
#: all messages of this process wait with it. Longer than PostgreSQL looks for a deadlock (1 s by
#: default), since that is worth another try.
JOB_LOCK_TIMEOUT_MS = 1500
LOCK_TIMED_OUT = "55P03"
#: How long a thread keeps the interpreter when another wants it. The default, 5 ms, is what
#: the writer would wait at each step while the event loop is busy.
SWITCH_INTERVAL = 0.0005

Listener = Callable[[list[Appended]], None]
How = Callable[[list[Draft]], tuple[list[Answer], list[Appended]]]


@dataclass(slots=True)
class _Write:
    draft: Draft
    future: asyncio.Future[Receipt]
    loop: asyncio.AbstractEventLoop


@dataclass(slots=True)
class _Job:
    """A short write transaction of someone else's, run between two batches."""

    run: Callable[[], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


#: None ends the writer.
_Item = _Write | _Job | None


class Journal:
    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[list[_Item]] = queue.SimpleQueue()
        self._gathering: dict[asyncio.AbstractEventLoop, list[_Item]] = {}
        self._thread: threading.Thread | None = None
        self._start_lock = threading.Lock()
        # Two counters with one writer each, instead of one with a lock.
        self._bytes_in = 0
        self._bytes_out = 0
        #: Of transactions that appended: how long they took and what they held.
        self.commit_seconds, self.commit_entries = Histogram(), Histogram(SIZES)
        #: Called on the event loop after each commit with what was appended: the local hub.
        self.listener: tuple[asyncio.AbstractEventLoop, Listener] | None = None

    # -- On the event loop

    def submit(self, draft: Draft) -> asyncio.Future[Receipt]:
        """Queue a draft; when this returns, its place behind earlier ones is taken.

        The future raises EventError. Not for synchronous code: see `door.send`.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Receipt] = loop.create_future()
        if self._bytes_in - self._bytes_out + draft.size > WAITING_BYTES:
            refusal = EventError("unavailable", "too many messages are waiting to be stored")
            if draft.lane is not None:
                draft.lane.answered(draft, refusal)
            future.set_exception(refusal)
            return future
        self._bytes_in += draft.size
        self._put(_Write(draft, future, loop))
        return future

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a short write transaction of its own in the writer thread."""
        refuse_synchronous_caller()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._put(_Job(lambda: function(*args), future, loop))
        return await future

    async def drain(self) -> None:
        """Return when all that is queued now has been committed and answered."""
        await self.run(lambda: None)

    def stop(self) -> None:
        """End the writer thread once it has written what is queued."""
        with self._start_lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put([None])
            thread.join()

    def _put(self, item: _Write | _Job) -> None:
        """Hand over at the end of the loop's turn: what came in together is one batch, and the
        writer is woken once, not for each draft in the middle of the loop's work."""
        gathered = self._gathering.get(item.loop)
        if gathered is None:
            self._gathering[item.loop] = [item]
            item.loop.call_soon(self._hand_over, item.loop)
        else:
            gathered.append(item)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        self._queue.put(self._gathering.pop(loop))
        if self._thread is None:
            with self._start_lock:
                if self._thread is None:
                    sys.setswitchinterval(SWITCH_INTERVAL)
                    self._thread = threading.Thread(target=self._work, name="chat-journal", daemon=True)
                    self._thread.start()

    # -- In the writer thread

    def _work(self) -> None:
        waiting: deque[_Item] = deque()
        while True:
            if not waiting:
                waiting += self._queue.get()
            while not self._queue.empty():
                waiting += self._queue.get()
            if waiting[0] is None:
                break
            if isinstance(waiting[0], _Job):
                self._run_job(waiting.popleft())  # type: ignore[arg-type]
            else:
                self._run_batch(_take_batch(waiting))
        connection.close()

    def _run_batch(self, writes: list[_Write]) -> None:
        """Rooms that someone else holds don't hold up the batch: they are tried again, each
        alone, once all others have their answers."""
        wanted = [write for write in writes if not write.future.cancelled()]
        answered, appended = self._commit(commit, wanted)
        self._bytes_out += sum(write.draft.size for write in writes)
        free: list[tuple[_Write, Answer]] = []
        busy: dict[tuple[str, str], list[_Write]] = {}
        for write, answer in answered:
            if isinstance(answer, log.RoomBusy):
                busy.setdefault((write.draft.namespace, write.draft.room), []).append(write)
            else:
                free.append((write, answer))
        self._answer(free, appended)
        for some in busy.values():
            self._answer(*self._commit(commit_when_free, some))

    def _commit(self, how: How, writes: list[_Write]) -> tuple[list[tuple[_Write, Answer]], list[Appended]]:
        began = time.monotonic()
        answered, appended = _commit(how, writes)
        if appended:
            self.commit_seconds.add(time.monotonic() - began)
            self.commit_entries.add(sum(len(each.entries) for each in appended))
        return answered, appended

    def _answer(self, answered: list[tuple[_Write, Answer]], appended: list[Appended]) -> None:
        """One call into each event loop, not one a draft; entries and acks travel together."""
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Receipt], Answer]]] = {}
        for write, answer in answered:
            by_loop.setdefault(write.loop, []).append((write.future, answer))
        listener = self.listener if appended else None
        if listener is not None:
            by_loop.setdefault(listener[0], [])
        for loop, answers in by_loop.items():
            notify = listener[1] if listener is not None and listener[0] is loop else None
            _call(loop, _settle, answers, notify, appended)

    def _run_job(self, job: _Job) -> None:
        if job.future.cancelled():
            return
        try:
            result, error = retrying(lambda: _run_impatiently(job.run)), None
        except BaseException as raised:
            result, error = None, raised
        _call(job.loop, _settle_job, job.future, result, error)


def _take_batch(waiting: deque[_Item]) -> list[_Write]:
    """The drafts at the front, up to a job, as many as one transaction should hold."""
    batch: list[_Write] = []
    size = 0
    while waiting and isinstance(waiting[0], _Write) and len(batch) < BATCH and size < BATCH_BYTES:
        write: Any = waiting.popleft()
        batch.append(write)
        size += write.draft.size
    return batch


def refuse_synchronous_caller() -> None:
    """Synchronous code, which may hold SQLite's writer or a room's row, would wait for a journal
    that waits for it. Below `async_to_sync` its transaction can't be seen from here, so none may."""
    if getattr(AsyncToSync.executors, "current", None) is not None:
        raise RuntimeError("synchronous code uses door.write(): the journal would wait for its transaction")


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *args: Any) -> None:
    try:
        loop.call_soon_threadsafe(function, *args)
    except RuntimeError:
        logger.debug("an event loop ended before its answers came")


def _settle(
    answers: list[tuple[asyncio.Future[Receipt], Answer]], notify: Listener | None, appended: list[Appended]
) -> None:
    for future, answer in answers:
        if future.done():
            continue
        if isinstance(answer, EventError):
            future.set_exception(answer)
        else:
            future.set_result(answer)
    if notify is not None:
        # After the acks, whose tasks the futures have just woken: their senders go on meanwhile.
        asyncio.get_running_loop().call_soon(notify, appended)


def _settle_job(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


# -- Committing a batch


def _commit(how: How, writes: list[_Write]) -> tuple[list[tuple[_Write, Answer]], list[Appended]]:
    drafts = [write.draft for write in writes]
    try:
        answers, appended = how(drafts)
        stamp(appended)
    except BaseException as bug:  # the writer outlives anything
        refusal = _internal(bug)
        answers, appended = [_refuse(draft, refusal) for draft in drafts], []
    return list(zip(writes, answers, strict=True)), appended


def stamp(appended: list[Appended]) -> None:
    """They have just been committed."""
    committed = time.monotonic()
    for each in appended:
        each.committed = committed


def commit(drafts: Sequence[Draft]) -> tuple[list[Answer], list[Appended]]:
    """Append drafts in transactions of their own; every draft gets its answer.

    An outage fails the batch at once as unavailable. What fails for its data is tried one by
    one, so that a poisoned draft fails alone. A draft whose room someone else holds is
    answered with `RoomBusy`.
    """
    try:
        answers, appended = retrying(lambda: _transaction(drafts))
    except (OperationalError, InterfaceError) as outage:
        return _unavailable(drafts, outage), []
    except Exception as failure:
        if len(drafts) == 1:
            return [_refuse(drafts[0], _internal(failure))], []
        return _one_by_one(drafts)
    return answers, appended


def commit_when_free(drafts: Sequence[Draft]) -> tuple[list[Answer], list[Appended]]:
    """Append drafts to one room that someone else holds, if it is let go soon."""
    try:
        with _waiting_at_most(LOCK_TIMEOUT_MS):
            return log.append(drafts)
    except (OperationalError, InterfaceError):
        return [_refuse(draft, log.RoomBusy()) for draft in drafts], []
    except Exception:
        return _one_by_one(drafts)


def _run_impatiently(function: Callable[[], Any]) -> Any:
    with _waiting_at_most(JOB_LOCK_TIMEOUT_MS):
        return function()


@contextmanager
def _waiting_at_most(milliseconds: int) -> Iterator[None]:
    """A transaction that waits no longer than this for a lock. SQLite has its busy timeout."""
    if connection.vendor == "sqlite":
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = {milliseconds}")
        yield


def _transaction(drafts: Sequence[Draft]) -> tuple[list[Answer], list[Appended]]:
    with transaction.atomic():
        return log.append(drafts, skip_locked=True)


def _one_by_one(drafts: Sequence[Draft]) -> tuple[list[Answer], list[Appended]]:
    answers: list[Answer] = []
    appended: list[Appended] = []
    for draft in drafts:
        some_answers, some_appended = commit([draft])
        answers += some_answers
        appended += some_appended
    return answers, appended


def retrying(function: Callable[[], Any]) -> Any:
    """Try again after a deadlock or a lost connection. What an ambiguous COMMIT had stored is
    found by its client_id the second time."""
    for attempt in range(1, TRIES + 1):
        try:
            return function()
        except (OperationalError, InterfaceError) as error:
            if not connection.in_atomic_block and not connection.is_usable():
                connection.close()
            if attempt == TRIES or not _may_pass(error):
                raise
    raise AssertionError("unreachable")


def _may_pass(error: DatabaseError | InterfaceError) -> bool:
    # SQLite has waited for its busy timeout already, as has who waited for a lock.
    return connection.vendor != "sqlite" and getattr(error.__cause__, "sqlstate", "") != LOCK_TIMED_OUT


def _unavailable(drafts: Sequence[Draft], outage: Exception) -> list[Answer]:
    logger.error("%d messages refused, the database is unavailable: %s", len(drafts), outage)
    refusal = EventError("unavailable", "the message could not be stored now")
    return [_refuse(draft, refusal) for draft in drafts]


def _internal(failure: BaseException) -> EventError:
    reference = uuid.uuid4().hex[:12]
    logger.error("[%s] a draft could not be stored", reference, exc_info=failure)
    return EventError("internal", "the message could not be stored", reference=reference)


def _refuse(draft: Draft, error: EventError) -> EventError:
    if draft.lane is not None:
        draft.lane.answered(draft, error)
    return error


journal = Journal()

"""The worker behind `manage.py work`: takes orders, runs the command for each, settles them.

One thread, the caller's, owns all state and speaks with the database. A thread for each
running command waits for its end and puts it into a queue; signals go into the same queue.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import queue
import signal
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from chat.delivery import leases
from chat.delivery.leases import Done, Extend, Fail, Leased, Order, Settled, Want
from chat.errors import EventError
from chat.hub.news import tell
from chat.models import Lease, Room

from .base import OUTAGE, first_line
from .outcomes import LATER, environment, reason, result, stdin
from .programs import Ended, Program

logger = logging.getLogger("chat.work")

#: Seconds between two looks at an idle queue, and between two tries in an outage.
POLL = 1.0
#: Seconds that it waits at least: what is due may be in another worker's hands.
LEAST = 0.05
#: Seconds between two attempts at most.
LONGEST_DELAY = 3600.0

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(slots=True, frozen=True)
class Policy:
    """`delay`: seconds before the second attempt, doubled for each later one; `later`: after
    exit status 75; `timeout`: seconds a command may take."""

    most: int = 1
    delay: float = 1.0
    later: float = 60.0
    timeout: float | None = None
    drain: bool = False

    def wait(self, ended: Ended, attempts: int) -> float:
        """Seconds until the next attempt."""
        if ended.status == LATER:
            return self.later
        return min(LONGEST_DELAY, self.delay * 2.0 ** min(attempts - 1, 30))


@dataclass(slots=True, eq=False)
class Job:
    """An order that this worker has leased, until it is settled."""

    leased: Leased
    program: Program
    began: float = field(default_factory=time.monotonic)
    took: float = 0.0
    ended: Ended | None = None
    lost: bool = False


class Worker:
    """`look` gives the queue, or raises EventError where it is not open to this worker."""

    def __init__(
        self,
        look: Callable[[], Room],
        user: int,
        command: Sequence[str],
        policy: Policy,
    ) -> None:
        self._look = look
        self._room = look()
        self._user = user
        self._command = command
        self._policy = policy
        self._holders = (f"work-{uuid.uuid4().hex}-{number}" for number in itertools.count(1))
        self._jobs: set[Job] = set()
        #: Holders of leases that are put back: of what was interrupted, or may have been given
        #: in a transaction whose end an outage hid.
        self._put_back: set[str] = set()
        self._news: queue.SimpleQueue[tuple[Job, Ended] | None] = queue.SimpleQueue()
        #: Orders that have changed and whose watchers have yet to hear of it.
        self._untold: list[Order] = []
        self._swept_at = self._extended_at = -math.inf
        #: Seconds until there is work, as of the last look; 0 also while nobody has looked.
        self._due: float | None = 0.0
        self._drained = False
        self._signals = 0
        self._down = False
        #: Why it takes no more orders, where nobody asked for that.
        self.refused = ""

    @property
    def interrupted(self) -> bool:
        return self._signals > 1

    # The loop

    def run(self) -> None:
        """Work until a signal, or until there is nothing to do where the policy says so."""
        before = {number: signal.signal(number, self._signalled) for number in SIGNALS}
        try:
            while self._goes_on():
                self._turn()
                self._wait()
        finally:
            for job in self._jobs:
                job.program.end()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _goes_on(self) -> bool:
        if self.interrupted and self._down:  # the leases lapse by themselves
            return any(job.ended is None for job in self._jobs)
        if self._jobs or self._put_back:
            return True
        return not (self._signals or self.refused or (self._drained and not self._down))

    def _turn(self) -> None:
        """What there is to ask of the database. After an outage it is asked again: a `done` that
        had been stored is then answered as a duplicate."""
        try:
            connection.close_if_unusable_or_obsolete()
            self._settle()
            self._give_back()
            self._extend()
            self._take()
            self._tell()
        except OUTAGE as outage:
            if not self._down:
                logger.error("the database fails, trying again: %s", first_line(outage))
            self._down = True
        else:
            if self._down:
                logger.info("the database is back")
            self._down = False

    def _wait(self) -> None:
        """Until a command has ended, a signal came, or something is due; at most `POLL`."""
        timeout = POLL
        if not self._down:
            to_extension = self._extended_at + self._room.lease_seconds / 3 - time.monotonic()
            timeout = min(POLL, max(LEAST, to_extension if self._jobs else POLL))
            if self._free and self._due is not None:
                timeout = min(timeout, max(LEAST, self._due))
        with contextlib.suppress(queue.Empty):
            self._hear(self._news.get(timeout=timeout))
            while True:
                self._hear(self._news.get_nowait())

    def _hear(self, news: tuple[Job, Ended] | None) -> None:
        if news is None:
            self._stop()
            return
        job, ended = news
        job.ended = ended
        job.took = time.monotonic() - job.began

    def _signalled(self, *_: object) -> None:
        self._signals += 1
        self._news.put(None)

    def _stop(self) -> None:
        """The first signal: no more orders. The second: the commands are ended."""
        if not self.interrupted:
            logger.info("stopping; another signal ends what runs")
            return
        for job in self._jobs:
            job.program.end()

    # Taking

    @property
    def _free(self) -> int:
        if self._signals or self.refused:
            return 0
        return self._policy.most - len(self._jobs)

    def _take(self) -> None:
        if not self._free:
            return
        try:
            self._room = self._look()
        except EventError as refusal:  # it was open to this worker when it began
            self.refused = refusal.message
            return
        self._sweep()
        if self._due != 0.0 and self._look_for_work() != 0.0:
            return
        wants = [Want(self._room.pk, self._user, next(self._holders), 1) for _ in range(self._free)]
        holders = {want.holder for want in wants}
        self._put_back |= holders
        taken = leases.take(wants)
        self._put_back -= holders
        for leased in taken:
            self._note(leased.order)
            self._start(leased)
        if self._free:
            self._look_for_work()

    def _look_for_work(self) -> float | None:
        """Seconds until there is some. Only reads: an idle worker holds up no writer."""
        self._due = leases.due([self._room.pk]).get(self._room.pk)
        # None may also mean that somebody else is at work in an ordered queue.
        queued = Lease.objects.filter(room=self._room, state=Lease.State.QUEUED)
        self._drained = self._policy.drain and self._due is None and not queued.exists()
        return self._due

    def _sweep(self) -> None:
        """What others left behind: no server may be running that does this."""
        if time.monotonic() - self._swept_at >= POLL:
            self._note(*leases.sweep())
            self._swept_at = time.monotonic()

    def _start(self, leased: Leased) -> None:
        try:
            program = Program(self._command, stdin(leased.order), environment(leased.order))
        except OSError as error:
            self.refused = f"{self._command[0]} can't be started: {error.strerror}"
            self._put_back.add(leased.holder)
            return
        if not self._jobs:
            self._extended_at = time.monotonic()
        job = Job(leased, program)
        self._jobs.add(job)
        threading.Thread(target=self._attend, args=[job], daemon=True).start()

    def _attend(self, job: Job) -> None:
        self._news.put((job, job.program.wait(self._policy.timeout)))

    # While commands run

    def _extend(self) -> None:
        running = [job for job in self._jobs if job.ended is None and not job.lost]
        if not running or time.monotonic() - self._extended_at < self._room.lease_seconds / 3:
            return
        answers = leases.settle([self._extension(job.leased) for job in running])
        self._extended_at = time.monotonic()
        for job, answer in zip(running, answers, strict=True):
            if isinstance(answer, EventError):
                job.lost = True
                job.program.end()

    def _extension(self, leased: Leased) -> Extend:
        return Extend(self._room.pk, leased.order.seq, leased.token, self._user, leased.holder)

    # Afterwards

    def _settle(self) -> None:
        ended = [job for job in self._jobs if job.ended is not None]
        if not ended:
            return
        acts = {job: act for job in ended if (act := self._act(job)) is not None}
        answers = dict(zip(acts, leases.settle(list(acts.values())), strict=True))
        self._note(*(answer.order for answer in answers.values() if isinstance(answer, Settled)))
        for job in ended:
            self._jobs.remove(job)
            self._report(job, answers.get(job))

    def _act(self, job: Job) -> Done | Fail | None:
        """What to say of a command that has ended; nothing where it was not let finish. One that
        did the work says so even if its lease was lost: while nobody else got it, it counts."""
        order, token, ended = job.leased.order, job.leased.token, job.ended
        assert ended is not None
        if ended.status == 0:
            return Done(self._room.pk, order.seq, token, self._user, result(ended))
        if job.lost:
            return None
        if self.interrupted:
            self._put_back.add(job.leased.holder)
            return None
        why, delay = reason(ended, self._policy.timeout), self._policy.wait(ended, order.attempts)
        return Fail(self._room.pk, order.seq, token, self._user, why, delay)

    def _give_back(self) -> None:
        if not self._put_back:
            return
        self._note(*leases.put_back(sorted(self._put_back)))
        self._put_back.clear()

    # Telling

    def _note(self, *orders: Order) -> None:
        self._untold += orders

    def _tell(self) -> None:
        """Those who watch: at most once, so it may come after what it tells of."""
        if self._untold:
            tell(self._untold)
            self._untold.clear()

    def _report(self, job: Job, answer: Settled | EventError | None) -> None:
        ended, order = job.ended, job.leased.order
        assert ended is not None
        about: dict[str, Any] = {"queue": order.queue, "seq": order.seq, "attempt": order.attempts}
        about |= {"seconds": round(job.took, 3), "status": ended.status}
        if isinstance(answer, Settled):
            outcome = "failed" if answer.order.state == "queued" else answer.order.state
            if ended.status == 0:
                about |= {"result": "cut"} if ended.cut else {}
            else:
                about["reason"] = reason(ended, self._policy.timeout)
        elif answer is None and not job.lost:
            outcome = "interrupted"
        else:
            outcome, about["reason"] = "lost", "the lease lapsed; another worker may have the order"
        logger.info("order %s", outcome, extra={"fields": about})

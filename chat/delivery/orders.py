"""Orders of a queue: what is asked of one, what became of it, and which change follows which.

Nothing here reads or writes the database: `leases.py` locks the rows and stores them.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ..errors import EventError
from ..models import Lease
from .entries import Entry, Person, rfc3339

State = Lease.State

REASON = 500  #: characters of a reason that are kept


@dataclass(slots=True, frozen=True)
class Order:
    """An order and where it stands. `reason`: why its last attempt that came to nothing did."""

    queue_id: int
    queue: str
    seq: int
    item: Any
    state: str
    attempts: int
    worker: Person | None
    at: str
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        shown = {
            "queue": self.queue,
            "seq": self.seq,
            "item": self.item,
            "state": self.state,
            "attempts": self.attempts,
            "worker": self.worker.as_dict() if self.worker else None,
            "at": self.at,
        }
        return {**shown, "reason": self.reason} if self.reason else shown


def created(queue_id: int, entry: Entry) -> Order:
    """The order that an entry of kind `item` has just become."""
    item = json.loads(entry.data["body"])
    return Order(queue_id, entry.room, entry.seq, item, str(State.QUEUED), 0, None, entry.at)


@dataclass(slots=True, frozen=True)
class Leased:
    """An order that a worker has until `lease_until`, or longer where they extend it."""

    order: Order
    token: str
    lease_until: str
    holder: str


@dataclass(slots=True, frozen=True)
class Want:
    """A worker who takes up to `most` orders of a queue, through `holder`: a socket or a command."""

    queue_id: int
    worker: int
    holder: str
    most: int


@dataclass(slots=True, frozen=True)
class Done:
    queue_id: int
    seq: int
    token: str
    worker: int
    result: Any = None


@dataclass(slots=True, frozen=True)
class Fail:
    """`delay`: seconds before the order may be leased again."""

    queue_id: int
    seq: int
    token: str
    worker: int
    reason: str
    delay: float = 0.0


@dataclass(slots=True, frozen=True)
class Extend:
    queue_id: int
    seq: int
    token: str
    worker: int
    holder: str


Act = Done | Fail | Extend


@dataclass(slots=True, frozen=True)
class Settled:
    """The answer to an act. `duplicate`: the same one had been answered before."""

    order: Order
    duplicate: bool = False
    lease_until: str | None = None


# -- One order's row, locked


@dataclass(slots=True)
class Row:
    room: int
    queue: str
    lease_seconds: float
    max_attempts: int
    seq: int
    state: str
    attempts: int
    visible_at: datetime
    worker: int | None
    worker_name: str | None
    token: str
    holder: str
    failed: bool
    reason: str
    body: str
    at: datetime
    result: str = ""
    #: What the row was when it was locked: the condition of its UPDATE.
    was: tuple[str, str] = field(init=False)
    changed: bool = False

    def __post_init__(self) -> None:
        self.was = (self.state, self.token)
        self.visible_at = aware(self.visible_at)

    @property
    def order(self) -> Order:
        worker = None if self.worker is None else Person(self.worker, self.worker_name or "")
        item = json.loads(self.body)
        at = rfc3339(self.at)
        return Order(
            self.room, self.queue, self.seq, item, str(self.state), self.attempts, worker, at, self.reason
        )

    @property
    def leased(self) -> Leased:
        return Leased(self.order, self.token, rfc3339(self.visible_at), self.holder)

    def lease(self, worker: Person, holder: str, at: datetime) -> None:
        self.state, self.failed, self.changed = State.LEASED, False, True
        self.attempts += 1
        self.token = secrets.token_hex(16)
        self.worker, self.worker_name, self.holder = worker.id, worker.name, holder
        self.visible_at = at + timedelta(seconds=self.lease_seconds)

    def give_back(self, reason: str, visible_at: datetime) -> None:
        """To the queue, or to the dead where no attempt is left."""
        self.state = State.DEAD if self.attempts >= self.max_attempts else State.QUEUED
        self.reason, self.visible_at, self.holder, self.changed = reason, visible_at, "", True

    def judge(self, state: State, at: datetime) -> None:
        """Revive a dead order, whose token is void from then on, or bury it."""
        if self.state != State.DEAD:
            raise EventError("conflict", f"order {self.seq} is {self.state}, not dead", state=self.state)
        self.state, self.visible_at, self.changed = state, at, True
        if state == State.QUEUED:
            self.attempts, self.token, self.failed, self.reason = 0, "", False, ""
            self.worker = self.worker_name = None

    def settle(self, act: Act, at: datetime) -> bool:
        """Do what the token's holder asks for; whether that had been done before."""
        if not act.token or (self.token, self.worker) != (act.token, act.worker):
            raise _stale(act)
        if isinstance(act, Done):
            return self._done(act)
        if isinstance(act, Fail):
            return self._fail(act, at)
        return self._extend(act, at)

    def _done(self, act: Done) -> bool:
        if self.state == State.DONE:
            return True
        self._check_counts(act)
        self.state, self.reason, self.holder, self.changed = State.DONE, "", "", True
        self.result = "" if act.result is None else json.dumps(act.result, ensure_ascii=False)
        return False

    def _fail(self, act: Fail, at: datetime) -> bool:
        if self.failed:
            return True
        self._check_counts(act)
        self.failed = True
        self.give_back(_clean(act.reason), at + timedelta(seconds=act.delay))
        return False

    def _extend(self, act: Extend, at: datetime) -> bool:
        if self.state != State.LEASED:
            raise _stale(act)
        self.visible_at = at + timedelta(seconds=self.lease_seconds)
        self.holder, self.changed = act.holder, True
        return False

    def _check_counts(self, act: Act) -> None:
        """After a mere lapse the last lease still counts: nobody else has got the order."""
        if self.failed or self.state not in (State.LEASED, State.QUEUED):
            raise _stale(act)


def _stale(act: Act) -> EventError:
    return EventError("stale_lease", f"this lease of order {act.seq} counts no more")


def _clean(reason: str) -> str:
    """What a text column takes. A reason too long is cut: to refuse it would leave the order
    with a worker who has given it up."""
    return reason.encode("utf-8", "replace").decode().replace("\0", "\ufffd")[:REASON]


def aware(at: datetime) -> datetime:
    """A time as SQLite gives it to a query written by hand has no zone; it is UTC."""
    return at if at.tzinfo else at.replace(tzinfo=UTC)

"""The one door: everything that writes an entry goes through `submit`, `send` or `write`."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

from ..errors import EventError
from ..models import Room
from . import log
from .entries import SYSTEM, Appended, Draft, Receipt
from .journal import journal, refuse_synchronous_caller, stamp

CONTROL = ("_control", "control")

#: Called after `write` has committed, in the thread that wrote: tells this process's hub, or
#: the servers where this process has none.
on_write: Callable[[list[Appended]], None] | None = None


#: Refusals that a lane remembers beside the first. More than a burst of events: a socket
#: that has as many refused at once is closed.
REFUSALS = 1000


class Lane:
    """One socket's order of writes in one room.

    The first write that is refused for now is remembered. Later ones are refused, too, until
    it has come again and been answered for good: otherwise a client that resends it would
    change the order in which it spoke.
    """

    __slots__ = ("_refused",)

    def __init__(self) -> None:
        #: Numbers and client_ids of refusals, ascending; the first holds back what follows. The
        #: others matter where they stand behind its second coming, and hold back after it.
        self._refused: tuple[tuple[int, str], ...] = ()

    @property
    def behind(self) -> str | None:
        """The client_id that has to come again first."""
        return self._refused[0][1] if self._refused else None

    def refuse(self, client_id: str, number: int) -> None:
        """Remember a temporary refusal; `number` is the packet's place on its socket."""
        with _lanes:
            refused = sorted({*self._refused, (number, client_id)})
            del refused[1:-REFUSALS]
            self._refused = tuple(refused)

    def check(self, draft: Draft) -> None:
        """Raise `unavailable` if a write before this one must come again first."""
        refused = self._refused
        if refused and refused[0][1] != draft.client_id and draft.number > refused[0][0]:
            raise EventError(
                "unavailable", "an earlier message has to be sent again first", behind=refused[0][1]
            )

    def answered(self, draft: Draft, refusal: EventError | None) -> None:
        """Note the answer: a temporary refusal holds back what follows, any other one frees it."""
        if refusal is not None and refusal.temporary:
            if "behind" not in refusal.more:
                self.refuse(draft.client_id, draft.number)
        elif self.behind == draft.client_id:
            # The refusals before its second coming come again after it, in order.
            with _lanes:
                self._refused = tuple(each for each in self._refused if each[0] > draft.number)


#: The event loop and the journal's thread both change lanes, when something was refused.
_lanes = threading.Lock()


def submit(draft: Draft) -> asyncio.Future[Receipt]:
    """Queue a draft on the event loop; its order is fixed when this returns. For the hot path:
    unlike `send` it does not look whether synchronous code waits behind it."""
    return journal.submit(draft)


async def send(draft: Draft) -> Receipt:
    """Append a draft. Returns after the commit; raises EventError.

    Raises RuntimeError below `async_to_sync`: synchronous code uses `write`.
    """
    refuse_synchronous_caller()
    return await journal.submit(draft)


def write(*drafts: Draft) -> list[Receipt]:
    """Append drafts on the caller's own connection and in its transaction, if it has one.

    For views, commands and services: a ban and the notice of it commit together. Raises the
    first refusal as EventError, and then nothing of the call is kept.
    """
    with transaction.atomic():
        answers, appended = log.append(drafts)
        for answer in answers:
            if isinstance(answer, EventError):
                raise answer
        transaction.on_commit(lambda: _written(appended))
    return [answer for answer in answers if isinstance(answer, Receipt)]


def _written(appended: list[Appended]) -> None:
    if on_write is not None and appended:
        stamp(appended)
        on_write(appended)


@contextmanager
def controlled() -> Iterator[None]:
    """A transaction that tells all processes and locks rooms or people as well: the control log
    first, then rooms by id, then people, so that no two of them wait for each other."""
    with transaction.atomic():
        hold_control()
        yield


def hold_control() -> None:
    """Lock the control log for the rest of the transaction, where there is one."""
    if connection.in_atomic_block:
        namespace, slug = CONTROL
        rows = Room.objects.select_for_update(no_key=True).filter(namespace=namespace, slug=slug)
        rows.values_list("pk").first()


def control(act: str, **data: Any) -> None:
    """Tell every process of the site, through its control log; commits with the caller.

    What the acts do: `chat/hub/control.py`. A caller that locks a room itself: see `controlled`.
    """
    write(
        Draft(
            namespace=CONTROL[0],
            room=CONTROL[1],
            sender=SYSTEM,
            client_id=uuid.uuid4().hex,
            kind="control",
            extra={"act": act, **data},
        )
    )

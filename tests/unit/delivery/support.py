"""The words in which the tests of delivery speak."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from chat.delivery import door, log
from chat.delivery.entries import SYSTEM, Draft, Entry, Receipt
from chat.delivery.journal import journal
from chat.errors import EventError
from chat.models import DeadLetter, Membership, Message, Room

Role = Membership.Role
Answer = Receipt | BaseException

on_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite's own")
on_postgres = pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL's own")

_numbers = count(1)


# Speaking


def draft(room: Room, user: User | None, body: str = "hello", **more: Any) -> Draft:
    """A message by this person, by the system where there is none."""
    client_id = more.pop("client_id", None) or f"c{next(_numbers)}"
    sender = SYSTEM if user is None else user.pk
    return Draft(room.namespace, room.slug, sender, client_id, more.pop("kind", "message"), body=body, **more)


def act(kind: str, room: Room, user: User | None, target: int, body: str = "", **more: Any) -> Draft:
    """An edit, a deletion or a reaction."""
    if kind == "react":
        more["extra"] = {"emoji": "👍", "on": True}
    return draft(room, user, body, kind=kind, target=target, **more)


def say(room: Room, user: User | None, body: str = "hello", **more: Any) -> int:
    """Append a message in a transaction of its own; returns its seq."""
    return door.write(draft(room, user, body, **more))[0].seq


def send(*drafts: Draft) -> list[Answer]:
    """Through the journal, in one batch; an answer for each."""
    return asyncio.run(submit(*drafts))


async def submit(*drafts: Draft) -> list[Answer]:
    return await asyncio.gather(*(door.submit(each) for each in drafts), return_exceptions=True)


def codes(answers: Iterable[Any]) -> list[str]:
    """For each answer `ok`, `duplicate` or the code of its error."""
    return [code(answer) for answer in answers]


def code(answer: Any) -> str:
    if isinstance(answer, EventError):
        return answer.code
    assert isinstance(answer, Receipt), answer
    return "duplicate" if answer.duplicate else "ok"


def refused(call: Callable[..., Any], *args: Any) -> EventError:
    with pytest.raises(EventError) as refusal:
        call(*args)
    return refusal.value


# Looking


def now(room: Room) -> Room:
    return Room.objects.get(pk=room.pk)


def place(room: Room, user: User) -> Membership:
    return Membership.objects.get(room=room, user=user)


def control_room() -> Room:
    return Room.objects.get(namespace=door.CONTROL[0], slug=door.CONTROL[1])


def entries(room: Room, after: int = 0) -> list[Entry]:
    return log.read(room.pk, after, 10**9, 10**9)


def bodies(room: Room) -> list[str]:
    return [entry.data.get("body", "") for entry in entries(room)]


def controls() -> list[dict[str, Any]]:
    rows = Message.objects.filter(kind="control").order_by("seq")
    return [json.loads(extra) for extra in rows.values_list("extra", flat=True)]


def dead_letters(room: Room, user: User) -> list[tuple[int, int, int, str]]:
    """First, last, attempts and reason of each."""
    rows = DeadLetter.objects.filter(room=room, user=user).order_by("first")
    return list(rows.values_list("first", "last", "attempts", "reason"))


def check_dense(room: Room) -> None:
    """The log is 1…head, without a gap and without a second of anything; its counts are true."""
    rows = list(Message.objects.filter(room=room).order_by("seq").values_list("seq", "kind", "ordinal"))
    room = now(room)
    assert [seq for seq, _, _ in rows] == list(range(1, room.head + 1))
    messages = 0
    for _, kind, ordinal in rows:
        messages += kind == "message"
        assert ordinal == messages
    assert room.messages == messages


# Others at work


@contextmanager
def others(count: int = 1) -> Iterator[ThreadPoolExecutor]:
    """Threads, each with a connection of its own that is closed in the end."""
    barrier = threading.Barrier(count)

    def close() -> None:
        barrier.wait(10)  # so that each thread gets one
        connection.close()

    with ThreadPoolExecutor(count) as threads:
        try:
            yield threads
        finally:
            for closed in [threads.submit(close) for _ in range(count)]:
                closed.result()


@contextmanager
def held(work: Callable[[], Any]) -> Iterator[threading.Event]:
    """Another connection did `work` in a transaction; it is open until the block ends or the
    event is set."""
    begun, end = threading.Event(), threading.Event()

    def transact() -> None:
        with contextlib.ExitStack() as whatever:
            whatever.callback(begun.set)
            with transaction.atomic():
                work()
                begun.set()
                assert end.wait(30)

    with others() as threads:
        done = threads.submit(transact)
        assert begun.wait(10)
        try:
            yield end
        finally:
            end.set()
            done.result()


def held_room(room: Room) -> contextlib.AbstractContextManager[threading.Event]:
    """Someone else holds the room's row; on SQLite that is its writer."""
    return held(lambda: Room.objects.select_for_update().get(pk=room.pk))


async def in_writer(work: Callable[[], Any]) -> Any:
    """Do something on the journal's own connection."""
    return await journal.run(work)


def execute(sql: str, *params: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else []


def wait_until_someone_waits_for_a_lock() -> int:
    """Returns who, as a process of PostgreSQL's. Asks on a connection of its own thread."""
    deadline = time.monotonic() + 10
    try:
        while time.monotonic() < deadline:
            waiting = execute(
                "SELECT pid FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            if waiting:
                return int(waiting[0][0])
    finally:
        connection.close()
    raise AssertionError("nobody waits")

"""Group commit: what a batch does when something goes wrong, on a real database."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import OperationalError, connection, transaction

from chat.delivery import door, log, pools
from chat.delivery import journal as journals
from chat.delivery.door import Lane
from chat.delivery.entries import Appended, Draft, Receipt
from chat.delivery.journal import journal
from chat.errors import EventError
from chat.models import Room
from chat.services import rooms

from .conftest import MakeRoom
from .support import (
    bodies,
    check_dense,
    code,
    codes,
    draft,
    entries,
    execute,
    held,
    held_room,
    in_writer,
    now,
    on_postgres,
    on_sqlite,
    others,
    say,
    send,
    submit,
    wait_until_someone_waits_for_a_lock,
)
from .wire import LosingAnswers

# A batch


class Heard:
    """What the journal tells the hub of its process, commit by commit."""

    def __init__(self) -> None:
        self.commits: list[list[Appended]] = []

    def __enter__(self) -> Heard:
        journal.listener = asyncio.get_running_loop(), self.commits.append
        return self

    def __exit__(self, *_: object) -> None:
        journal.listener = None


def test_what_came_in_together_is_committed_together(make_room: MakeRoom, alice: User, bob: User) -> None:
    one, two = make_room(), make_room()

    async def scenario() -> list[list[Appended]]:
        with Heard() as heard:
            await submit(draft(one, alice), draft(two, bob), draft(one, bob))
            await door.send(draft(two, alice))
        return heard.commits

    together, alone = asyncio.run(scenario())
    assert sorted((each.slug, each.first, each.last) for each in together) == [
        (one.slug, 1, 2),
        (two.slug, 1, 1),
    ]
    assert [(each.slug, each.first, each.last) for each in alone] == [(two.slug, 2, 2)]


def test_duplicates_in_a_batch_are_found_before_anything_is_inserted(room: Room, alice: User) -> None:
    """Found by the database, they would cost the batch its one transaction."""
    message = draft(room, alice)

    async def scenario() -> tuple[list[str], list[list[Appended]]]:
        with Heard() as heard:
            return codes(await submit(message, draft(room, alice), message)), heard.commits

    answers, commits = asyncio.run(scenario())
    assert answers == ["ok", "ok", "duplicate"]
    assert [(each.first, each.last) for each in commits[0]] == [(1, 2)]


def test_a_batch_is_bounded(room: Room, alice: User) -> None:
    async def scenario() -> list[list[Appended]]:
        with Heard() as heard:
            await submit(*(draft(room, alice) for _ in range(journals.BATCH + 1)))
            await submit(*(draft(room, alice, "x" * 2**20) for _ in range(5)))
        return heard.commits

    commits = asyncio.run(scenario())
    assert [sum(len(each.entries) for each in commit) for commit in commits] == [journals.BATCH, 1, 4, 1]
    check_dense(room)


def test_entries_are_numbered_in_the_order_in_which_they_were_queued(
    room: Room, alice: User, bob: User
) -> None:
    said = [str(number) for number in range(40)]
    answers = send(*(draft(room, (alice, bob)[number % 2], body) for number, body in enumerate(said)))
    assert [answer.seq for answer in answers if isinstance(answer, Receipt)] == list(range(1, 41))
    assert bodies(room) == said


def test_the_hub_hears_of_entries_only_after_they_are_committed(room: Room, alice: User) -> None:
    async def scenario() -> list[bool]:
        seen = []

        def look(appended: list[Appended]) -> None:
            with others() as threads:
                stored = threads.submit(log.read, appended[0].room_id, 0, 99).result()
            seen.append(stored == appended[0].entries)

        journal.listener = asyncio.get_running_loop(), look
        await door.send(draft(room, alice))
        await asyncio.sleep(0)  # told right after the answers
        journal.listener = None
        return seen

    assert asyncio.run(scenario()) == [True]


def test_short_transactions_of_others_take_their_turn_between_batches(room: Room, alice: User) -> None:
    async def scenario() -> tuple[int, int]:
        before = door.submit(draft(room, alice))
        head = asyncio.ensure_future(pools.write(lambda: now(room).head))
        await asyncio.sleep(0)
        door.submit(draft(room, alice))
        return (await before).seq, await head

    assert asyncio.run(scenario()) == (1, 1)


def test_a_drained_journal_has_answered_everything(room: Room, alice: User) -> None:
    async def scenario() -> bool:
        answer = door.submit(draft(room, alice))
        await journal.drain()
        return answer.done()

    assert asyncio.run(scenario())


# A draft that can't be stored fails alone

POISONS: dict[str, dict[str, Any]] = {
    "a lone surrogate in the body": {"body": "\ud800"},
    "a lone surrogate in the data": {"extra": {"text": "\ud800"}},
    "a lone surrogate in the client_id": {"client_id": "\ud800"},
    "data that is no JSON": {"extra": {"text": object()}},
    "a mention of someone who is gone": {"extra": {"mentions": [{"id": 10**6, "name": "gone"}]}},
    "a number too large to store": {"kind": "edit", "target": 2**64},
}


@pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS.keys())
def test_a_draft_that_cannot_be_stored_fails_alone(
    poison: dict[str, Any], room: Room, alice: User, bob: User
) -> None:
    answers = send(draft(room, alice, "one"), draft(room, bob, **poison), draft(room, alice, "two"))
    assert codes(answers)[::2] == ["ok", "ok"]
    refusal = answers[1]
    assert isinstance(refusal, EventError)
    assert refusal.code in ("internal", "not_found")
    assert not refusal.temporary
    assert bodies(room) == ["one", "two"]
    check_dense(room)


@on_postgres
def test_what_postgresql_cannot_hold_fails_alone(room: Room, alice: User) -> None:
    poisoned = draft(room, alice, "a NUL\0"), draft(room, alice, client_id="x" * 65)
    answers = send(draft(room, alice, "one"), *poisoned, draft(room, alice, "two"))
    assert codes(answers) == ["ok", "internal", "internal", "ok"]
    assert bodies(room) == ["one", "two"]


def test_an_internal_error_tells_where_the_server_wrote_what_happened(
    room: Room, alice: User, caplog: pytest.LogCaptureFixture
) -> None:
    (refusal,) = send(draft(room, alice, "\ud800"))
    assert isinstance(refusal, EventError)
    assert f"[{refusal.more['reference']}]" in caplog.text
    assert "surrogate" not in str(refusal.as_dict())


def test_a_poisoned_draft_holds_back_nothing_behind_it(room: Room, alice: User) -> None:
    lane = Lane()
    refused = draft(room, alice, "\ud800", lane=lane, number=1)
    lane.refuse(refused.client_id, 1)  # refused for now, at first; `internal` is for good
    answers = send(refused, draft(room, alice, lane=lane, number=2))
    assert codes(answers) == ["internal", "ok"]


# Whoever gave up, and what is too much


def test_what_nobody_waits_for_any_more_is_not_stored(room: Room, alice: User) -> None:
    async def scenario() -> None:
        given_up = [door.submit(draft(room, alice, "given up")) for _ in range(2)]
        for future in given_up:
            future.cancel()
        await journal.drain()
        given_up[0] = door.submit(draft(room, alice, "given up"))
        kept = door.submit(draft(room, alice, "kept"))
        given_up[0].cancel()
        await kept

    asyncio.run(scenario())
    assert bodies(room) == ["kept"]


def test_a_batch_that_nobody_waits_for_is_no_error(
    room: Room, alice: User, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        door.submit(draft(room, alice)).cancel()
        await journal.drain()

    asyncio.run(scenario())
    assert not caplog.records


def test_what_waits_for_the_writer_is_bounded(room: Room, alice: User) -> None:
    large, gate = "x" * 2**20, threading.Event()

    async def scenario() -> list[list[str]]:
        blocked = asyncio.ensure_future(in_writer(lambda: gate.wait(30)))
        await asyncio.sleep(0)
        lane = Lane()
        drafts = [draft(room, alice, large, lane=lane, number=number) for number in range(66)]
        waiting = [door.submit(each) for each in drafts]
        full = codes([each.exception() for each in waiting if each.done()])
        gate.set()
        await blocked
        answers = codes(await asyncio.gather(*waiting, return_exceptions=True))
        # It has room again; those that were refused come again, in their order.
        again = [
            draft(room, alice, lane=lane, number=100 + n, client_id=drafts[n].client_id)
            for n in range(60, 66)
        ]
        return [full, answers, codes(await submit(*again))]

    full, answers, again = asyncio.run(scenario())
    assert full == ["unavailable"] * 3  # 64 MiB is 63 of them and what they weigh beside their bodies
    assert answers == ["ok"] * 63 + full
    assert again == ["duplicate"] * 3 + ["ok"] * 3
    check_dense(room)


# The writer outlives anything


def test_the_writer_survives_a_bug(room: Room, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(drafts: list[Draft], **_: Any) -> None:
        raise SystemExit("no exception at all")

    lane = Lane()
    lane.refuse("c-held-back", 1)
    monkeypatch.setattr(log, "append", bug)
    assert codes(send(draft(room, alice, client_id="c-held-back", lane=lane, number=2))) == ["internal"]
    monkeypatch.undo()
    assert codes(send(draft(room, alice, lane=lane, number=3))) == ["ok"]


def test_the_writer_survives_a_loop_that_ended_before_its_answer(room: Room, alice: User) -> None:
    begun, gate = threading.Event(), threading.Event()

    def block() -> None:
        begun.set()
        gate.wait(30)

    async def leave() -> None:
        asyncio.ensure_future(in_writer(block))
        door.submit(draft(room, alice, "unanswered"))
        await asyncio.to_thread(begun.wait, 10)

    asyncio.run(leave())
    gate.set()
    assert codes(send(draft(room, alice, "answered"))) == ["ok"]


def test_an_error_in_another_ones_transaction_is_theirs_alone(room: Room, alice: User, charlie: User) -> None:
    async def scenario() -> list[str]:
        with pytest.raises(ZeroDivisionError):
            await pools.write(lambda: 1 // 0)
        with pytest.raises(EventError, match="forbidden"):
            await pools.write(door.write, draft(room, charlie))
        return codes(await submit(draft(room, alice)))

    assert asyncio.run(scenario()) == ["ok"]


# Waiting for the journal inside a transaction


@pytest.mark.parametrize("wait", [door.send, pools.write])
def test_waiting_for_the_journal_in_synchronous_code_is_refused(
    wait: Callable[..., Any], room: Room, alice: User
) -> None:
    """Its transaction holds what the journal needs: both would wait for ever."""
    what: Any = draft(room, alice) if wait is door.send else (lambda: None)
    started = time.monotonic()
    with transaction.atomic():
        Room.objects.select_for_update().get(pk=room.pk)
        with pytest.raises(RuntimeError, match=r"door\.write"):
            async_to_sync(wait)(what)
        assert door.write(draft(room, alice))[0].seq == 1
    assert time.monotonic() - started < 5


# A room that someone else holds


@on_postgres
def test_a_room_that_someone_holds_does_not_hold_up_the_others(
    make_room: MakeRoom, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "LOCK_TIMEOUT_MS", 30_000)
    free, busy = make_room(), make_room()
    with held_room(busy) as end:

        async def scenario() -> list[str]:
            behind = [door.submit(draft(where, alice)) for where in (busy, free, busy)]
            answer = await behind[1]  # of the same batch, while its other room is still held
            assert not behind[0].done()
            end.set()
            return codes([answer, await behind[0], await behind[2]])

        assert asyncio.run(scenario()) == ["ok"] * 3


@on_postgres
def test_a_room_that_is_let_go_soon_is_waited_for(
    room: Room, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "LOCK_TIMEOUT_MS", 30_000)
    with held_room(room) as end:

        async def scenario() -> list[str]:
            answers = asyncio.ensure_future(submit(draft(room, alice)))
            await asyncio.to_thread(wait_until_someone_waits_for_a_lock)
            end.set()
            return codes(await answers)

        assert asyncio.run(scenario()) == ["ok"]


@on_postgres
def test_a_room_that_is_held_for_too_long_is_unavailable(room: Room, alice: User, bob: User) -> None:
    with held_room(room):
        assert codes(send(draft(room, alice), draft(room, bob))) == ["unavailable"] * 2
    assert codes(send(draft(room, alice))) == ["ok"]


@on_postgres
def test_a_transaction_of_someone_elses_waits_for_a_held_room_but_not_for_long(
    make_room: MakeRoom, alice: User, charlie: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does so in the writer's thread: all messages wait with it."""
    monkeypatch.setattr(journals, "JOB_LOCK_TIMEOUT_MS", 50)
    free, busy = make_room(), make_room()

    async def scenario() -> list[str]:
        joining = asyncio.ensure_future(pools.write(rooms.take_seat, "chat", busy.slug, charlie.pk))
        await asyncio.sleep(0)
        behind = submit(draft(free, alice))
        return [code((await asyncio.gather(joining, return_exceptions=True))[0]), *codes(await behind)]

    with held_room(busy):
        assert asyncio.run(scenario()) == ["unavailable", "ok"]


@on_postgres
def test_refusals_of_a_busy_room_leave_nothing_behind(room: Room, alice: User) -> None:
    """An exception that is raised again and again would keep every frame that it passed."""
    with held_room(room):
        refusals = send(draft(room, alice, "x" * 1000), draft(room, alice)) + send(draft(room, alice))
        assert codes(refusals) == ["unavailable"] * 3
        assert len({id(each) for each in refusals}) == 3
        refusals.clear()
    gc.collect()
    assert [each for each in gc.get_objects() if isinstance(each, Draft)] == []


@on_sqlite
def test_a_database_that_is_busy_for_too_long_is_unavailable(
    make_room: MakeRoom, alice: User, bob: User, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = make_room(), make_room()

    async def scenario() -> list[str]:
        await in_writer(lambda: execute("PRAGMA busy_timeout = 50"))
        return codes(await submit(draft(one, alice), draft(two, bob)))

    with held_room(one):
        assert asyncio.run(scenario()) == ["unavailable"] * 2
    # Once, not for each draft:
    assert [record.getMessage()[:18] for record in caplog.records] == ["2 messages refused"]
    assert codes(send(draft(one, alice), draft(two, bob))) == ["ok"] * 2


@on_sqlite
def test_a_database_that_is_busy_for_a_moment_is_waited_for(room: Room, alice: User) -> None:
    with held_room(room) as end:

        async def scenario() -> list[str]:
            answers = asyncio.ensure_future(submit(draft(room, alice)))
            await asyncio.sleep(0.05)  # it is waiting by now; if not, the test still holds
            end.set()
            return codes(await answers)

        assert asyncio.run(scenario()) == ["ok"]


# Lost connections and deadlocks


@on_postgres
def test_a_connection_lost_in_the_middle_of_a_batch_is_tried_again(
    room: Room, alice: User, bob: User
) -> None:
    """The batch has inserted its entries and waits, in its COMMIT, for its sender's row."""
    with held(lambda: User.objects.select_for_update().get(pk=alice.pk)) as end:

        def cut() -> None:
            execute("SELECT pg_terminate_backend(%s)", wait_until_someone_waits_for_a_lock())
            wait_until_someone_waits_for_a_lock()  # the second try has come as far
            end.set()

        async def scenario() -> list[str]:
            answers = asyncio.ensure_future(submit(draft(room, bob, "one"), draft(room, alice, "two")))
            await asyncio.to_thread(cut)
            return codes(await answers)

        assert asyncio.run(scenario()) == ["ok", "ok"]
    assert bodies(room) == ["one", "two"]
    check_dense(room)


@on_postgres
def test_a_connection_lost_while_idle_costs_nothing(room: Room, alice: User) -> None:
    async def scenario() -> list[str]:
        pid = await in_writer(lambda: execute("SELECT pg_backend_pid()")[0][0])
        await asyncio.to_thread(in_thread, execute, "SELECT pg_terminate_backend(%s)", pid)
        return codes(await submit(draft(room, alice)))

    assert asyncio.run(scenario()) == ["ok"]


@on_postgres
def test_what_an_ambiguous_commit_had_stored_is_found_and_not_stored_twice(
    room: Room, alice: User, bob: User
) -> None:
    """The server commits, and its answer is lost with the connection."""
    host, port = connection.settings_dict["HOST"], connection.settings_dict["PORT"] or "5432"
    with LosingAnswers(host, port, of=b"COMMIT") as wire:

        def reconnect() -> None:
            connection.close()
            connection.settings_dict = connection.settings_dict | {"HOST": wire.directory}

        async def scenario() -> list[Any]:
            await in_writer(reconnect)
            wire.lose_next()
            return await submit(draft(room, alice, "one"), draft(room, bob, "two"))

        answers = asyncio.run(scenario())
        assert wire.lost == 1
    assert [answer.seq for answer in answers] == [1, 2]
    assert bodies(room) == ["one", "two"]
    check_dense(room)


@on_postgres
def test_a_deadlock_is_tried_again(room: Room, alice: User) -> None:
    """Someone holds the sender and wants the room; the batch holds the room and wants the sender."""
    started = threading.Event()

    def other() -> None:
        with transaction.atomic():
            User.objects.select_for_update().get(pk=alice.pk)
            started.set()
            with others() as threads:
                threads.submit(wait_until_someone_waits_for_a_lock).result()
            Room.objects.select_for_update().get(pk=room.pk)  # the batch waits for us

    with others() as threads:
        done: Future[None] = threads.submit(other)
        assert started.wait(10)

        async def scenario() -> list[str]:
            await in_writer(lambda: execute("SET deadlock_timeout = '100ms'"))
            return codes(await submit(draft(room, alice)))

        assert asyncio.run(scenario()) == ["ok"]
        done.result()
    check_dense(room)


@on_postgres
def test_an_outage_fails_the_batch_at_once_as_unavailable(
    room: Room, alice: User, bob: User, caplog: pytest.LogCaptureFixture
) -> None:
    def lose_the_server() -> None:
        connection.close()
        connection.settings_dict = connection.settings_dict | {"HOST": "/nonexistent"}

    async def scenario() -> list[str]:
        await in_writer(lose_the_server)
        return codes(await submit(*(draft(room, user) for user in (alice, bob, alice))))

    assert asyncio.run(scenario()) == ["unavailable"] * 3
    assert [record.getMessage()[:18] for record in caplog.records] == ["3 messages refused"]
    journal.stop()  # the server is back
    assert codes(send(draft(room, alice))) == ["ok"]


def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    with others() as threads:
        return threads.submit(function, *args).result()


def test_an_error_that_may_pass_is_tried_a_bounded_number_of_times() -> None:
    tries = []

    def fail() -> None:
        tries.append(1)
        raise OperationalError

    with pytest.raises(OperationalError):
        journals.retrying(fail)
    assert len(tries) == (1 if connection.vendor == "sqlite" else journals.TRIES)


def test_a_lane_that_was_judged_in_a_failed_try_is_as_it_was(room: Room, alice: User) -> None:
    """The first try of the batch judges all of it before the poisoned one is found."""
    lane = Lane()
    lane.refuse("first", 1)
    answers = send(
        draft(room, alice, "first", client_id="first", lane=lane, number=3),
        draft(room, alice, "\ud800"),
        draft(room, alice, "second", lane=lane, number=4),
    )
    assert codes(answers) == ["ok", "internal", "ok"]
    assert [entry.data["body"] for entry in entries(room)] == ["first", "second"]
    assert say(room, alice) == 3

"""A sender's order: the order in the log is the order in which the sender first spoke."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat.delivery import door
from chat.delivery import journal as journals
from chat.delivery.door import Lane
from chat.delivery.entries import Draft, Receipt
from chat.errors import EventError
from chat.models import Room

from .conftest import MakeRoom
from .support import Answer, bodies, check_dense, codes, draft, execute, held_room, in_writer, send, submit


def spoken(room: Room, user: User, lane: Lane, *numbers: int) -> list[Draft]:
    return [draft(room, user, client_id=f"m{n}", lane=lane, number=n) for n in numbers]


def again(first: Draft, number: int) -> Draft:
    """Sent once more: the same message in a later packet."""
    return Draft(
        first.namespace, first.room, first.sender, first.client_id, first.kind, first.body,
        target=first.target, lane=first.lane, number=number,
    )  # fmt: skip


@contextlib.contextmanager
def bounded_to(size: int) -> Iterator[None]:
    kept, journals.WAITING_BYTES = journals.WAITING_BYTES, size
    try:
        yield
    finally:
        journals.WAITING_BYTES = kept


def hurry() -> None:
    if connection.vendor == "sqlite":
        execute("PRAGMA busy_timeout = 1")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "LOCK_TIMEOUT_MS", 1)


def test_what_stands_behind_a_temporary_refusal_is_refused_too(room: Room, alice: User) -> None:
    lane = Lane()
    drafts = spoken(room, alice, lane, 1, 2, 3)
    lane.refuse("m1", 1)  # by the rate limit, before it reached the journal
    refusals = send(*drafts[1:])
    assert [each.as_dict()["behind"] for each in refusals if isinstance(each, EventError)] == ["m1", "m1"]
    assert codes(refusals) == ["unavailable"] * 2
    assert codes(send(*(again(each, 3 + each.number) for each in drafts))) == ["ok"] * 3
    assert bodies(room) == ["hello"] * 3


def test_what_finds_the_door_full_holds_back_what_follows(room: Room, alice: User) -> None:
    lane = Lane()
    one, two = spoken(room, alice, lane, 1, 2)

    async def scenario() -> list[Answer]:
        with bounded_to(0):
            full = door.submit(one)
        return list(await asyncio.gather(full, door.submit(two), return_exceptions=True))

    assert codes(asyncio.run(scenario())) == ["unavailable"] * 2
    assert codes(send(again(one, 3), again(two, 4))) == ["ok"] * 2


def test_what_finds_its_room_busy_holds_back_what_follows(room: Room, alice: User, impatient: None) -> None:
    lane = Lane()
    one, two = spoken(room, alice, lane, 1, 2)

    async def scenario() -> list[Answer]:
        await in_writer(hurry)
        with held_room(room):
            refused = await submit(one)
        return [*refused, *await submit(two)]

    assert codes(asyncio.run(scenario())) == ["unavailable"] * 2
    assert codes(send(again(one, 3), again(two, 4))) == ["ok"] * 2


def test_what_is_refused_while_the_first_comes_again_holds_back_in_its_turn(room: Room, alice: User) -> None:
    lane = Lane()
    one, two, three = spoken(room, alice, lane, 1, 2, 3)
    lane.refuse(one.client_id, 1)
    lane.refuse(two.client_id, 5)  # by the rate limit, while the first is on its way again as 4
    assert codes(send(again(one, 4), again(three, 6))) == ["ok", "unavailable"]
    assert codes(send(again(two, 7), again(three, 8))) == ["ok", "ok"]


def test_a_socket_whose_every_write_is_refused_stays_small() -> None:
    lane = Lane()
    for number in range(2 * door.REFUSALS):
        lane.refuse(f"m{number}", number)
    assert lane.behind == "m0"
    assert len(lane._refused) <= 1 + door.REFUSALS


def test_what_stood_before_a_refusal_is_not_held_back(room: Room, alice: User) -> None:
    lane = Lane()
    one, two = spoken(room, alice, lane, 1, 2)
    lane.refuse(two.client_id, two.number)  # while the first was on its way to the journal
    assert codes(send(one, *spoken(room, alice, lane, 3))) == ["ok", "unavailable"]


def test_of_two_refusals_the_earlier_has_to_come_first(room: Room, alice: User) -> None:
    lane = Lane()
    one, two = spoken(room, alice, lane, 1, 2)
    lane.refuse(two.client_id, two.number)
    lane.refuse(one.client_id, one.number)
    assert codes(send(again(two, 3))) == ["unavailable"]
    assert codes(send(again(one, 4), again(two, 5))) == ["ok", "ok"]


def test_an_answer_for_good_ends_the_waiting_whatever_it_is(room: Room, alice: User, charlie: User) -> None:
    lane = Lane()
    lane.refuse("m1", 1)
    outsider = draft(room, charlie, client_id="m1", lane=lane, number=2)
    assert codes(send(outsider, *spoken(room, alice, lane, 3))) == ["forbidden", "ok"]


def test_a_known_message_is_answered_even_behind_a_refusal(room: Room, alice: User) -> None:
    lane = Lane()
    (known,) = spoken(room, alice, lane, 1)
    assert codes(send(known)) == ["ok"]
    lane.refuse("m2", 2)
    assert codes(send(again(known, 3), *spoken(room, alice, lane, 4))) == ["duplicate", "unavailable"]


def test_a_refusal_holds_back_one_socket_in_one_room(room: Room, alice: User, bob: User) -> None:
    held_back = Lane()
    held_back.refuse("m1", 1)
    answers = send(*spoken(room, alice, held_back, 2), *spoken(room, bob, Lane(), 2), draft(room, alice))
    assert codes(answers) == ["unavailable", "ok", "ok"]


# Any mishaps


@dataclass
class Mishap:
    """What happens to one try of a message on its way."""

    pause: bool = False  #: it comes in a later turn of the loop than the one before it
    fate: str = "stored"  #: or "limited", before it reaches the door, or "full", at the door


MISHAPS = st.builds(Mishap, st.booleans(), st.sampled_from(["stored", "limited", "full"]))


class Sender:
    """A client that keeps its half: it waits for all answers, then resends from the first
    message that was not answered for good, in order."""

    def __init__(self, room: Room, user: User, busy: set[int]) -> None:
        self.room, self.user, self.busy = room, user, busy
        self.lane = Lane()
        self.number = 0
        self.round = 0

    async def say(self, messages: list[Draft], mishaps: list[Mishap], window: int) -> list[str]:
        """Returns the bodies that were stored, in the order in which they were first sent."""
        outbox, stored = list(messages), []
        pending = iter(mishaps)
        while outbox:
            self.round += 1
            sent = outbox[:window]
            answers = await self._round(sent, pending)
            outbox = outbox[window:]
            for each, answer in reversed(list(zip(sent, answers, strict=True))):
                if isinstance(answer, EventError) and answer.temporary:
                    outbox.insert(0, each)
            stored += [
                each.body for each, answer in zip(sent, answers, strict=True) if isinstance(answer, Receipt)
            ]
        return stored

    async def _round(self, sent: list[Draft], pending: Iterator[Mishap]) -> list[Answer]:
        with held_room(self.room) if self.round in self.busy else contextlib.nullcontext():
            return await asyncio.gather(
                *[await self._send(each, next(pending, Mishap())) for each in sent], return_exceptions=True
            )

    async def _send(self, message: Draft, mishap: Mishap) -> asyncio.Future[Receipt]:
        if mishap.pause:
            await asyncio.sleep(0)
        self.number += 1
        attempt = again(message, self.number)
        attempt.lane = self.lane
        if mishap.fate == "limited":
            self.lane.refuse(attempt.client_id, attempt.number)
            refused: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
            refused.set_exception(EventError("rate_limited"))
            return refused
        with bounded_to(0 if mishap.fate == "full" else journals.WAITING_BYTES):
            return door.submit(attempt)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(
    st.lists(st.booleans(), min_size=1, max_size=12),
    st.lists(MISHAPS, max_size=30),
    st.sets(st.integers(1, 5), max_size=3),
    st.integers(1, 12),
)
def test_the_log_has_the_order_in_which_a_sender_first_spoke(
    make_room: MakeRoom,
    alice: User,
    impatient: None,
    good: list[bool],
    mishaps: list[Mishap],
    busy: set[int],
    window: int,
) -> None:
    """Whatever is refused for now, by whom and when, with however many messages in flight."""
    room = make_room()
    messages = [
        draft(room, alice, str(n)) if fine else draft(room, alice, str(n), kind="react", target=99)
        for n, fine in enumerate(good)
    ]

    async def scenario() -> list[str]:
        await in_writer(hurry)
        return await Sender(room, alice, busy).say(messages, mishaps, window)

    stored = asyncio.run(scenario())
    assert stored == [str(n) for n, fine in enumerate(good) if fine]
    assert bodies(room) == stored
    check_dense(room)


def test_a_sender_with_several_messages_in_flight_keeps_their_order(room: Room, alice: User) -> None:
    async def scenario() -> list[Any]:
        lane = Lane()
        said = spoken(room, alice, lane, *range(200))
        answers = []
        for start in range(0, 200, 7):
            answers.append(asyncio.ensure_future(submit(*said[start : start + 7])))
            await asyncio.sleep(0)
        return [each for some in await asyncio.gather(*answers) for each in some]

    answers = asyncio.run(scenario())
    assert [answer.seq for answer in answers] == list(range(1, 201))

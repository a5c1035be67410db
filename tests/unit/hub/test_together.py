"""Reads that are asked for together are made together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from chat.delivery import pools
from chat.delivery.pools import Together


class Reader:
    def __init__(self) -> None:
        self.reads: list[list[int]] = []
        self.fails = False

    def read(self, keys: list[int]) -> Sequence[int | Exception]:
        self.reads.append(keys)
        if self.fails:
            raise OSError("the database is down")
        return [ValueError(f"{key}") if key < 0 else key * 2 for key in keys]


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    monkeypatch.setattr(pools, "_fresh", lambda function, *args: function(*args))  # needs no database
    return Reader()


async def test_what_is_asked_together_is_read_together(reader: Reader) -> None:
    together = Together(reader.read)
    assert await asyncio.gather(*(together(key) for key in range(100))) == [key * 2 for key in range(100)]
    assert reader.reads == [list(range(100))]


async def test_what_is_asked_during_a_read_is_read_by_the_next(reader: Reader) -> None:
    together = Together(reader.read, most=3)
    assert await asyncio.gather(*(together(key) for key in range(7))) == [0, 2, 4, 6, 8, 10, 12]
    assert reader.reads == [[0, 1, 2], [3, 4, 5], [6]]
    assert await together(7) == 14


async def test_a_refusal_is_for_its_own_caller(reader: Reader) -> None:
    together = Together(reader.read)
    answers = await asyncio.gather(together(1), together(-1), together(2), return_exceptions=True)
    assert [answers[0], answers[2]] == [2, 4]
    assert isinstance(answers[1], ValueError)


async def test_a_read_that_fails_fails_its_callers_and_nobody_after_them(reader: Reader) -> None:
    together = Together(reader.read)
    reader.fails = True
    answers = await asyncio.gather(together(1), together(2), return_exceptions=True)
    assert [type(answer) for answer in answers] == [OSError, OSError]
    reader.fails = False
    assert await together(3) == 6


async def test_a_caller_that_went_away_hurts_nobody(reader: Reader) -> None:
    together = Together(reader.read)
    gone, stays = asyncio.ensure_future(together(1)), asyncio.ensure_future(together(2))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == 4


async def test_what_writes_runs_where_it_is_told_to(reader: Reader) -> None:
    ran: list[int] = []

    async def write(function: Callable[..., Any], *args: Any) -> Any:
        ran.append(len(args[0]))
        return function(*args)

    together = Together(reader.read, run=write)
    assert await asyncio.gather(*(together(key) for key in range(3))) == [0, 2, 4]
    assert ran == [3]

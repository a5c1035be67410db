"""The database's threads, when the database is away."""

from __future__ import annotations

import asyncio

import pytest
from django.db import InterfaceError, OperationalError

from chat.delivery import pools
from chat.delivery.journal import journal
from chat.errors import EventError


def fail(error: Exception) -> None:
    raise error


@pytest.mark.django_db
@pytest.mark.parametrize("outage", [OperationalError("gone"), InterfaceError("closed")])
async def test_an_outage_is_told_as_unavailable_so_that_a_client_tries_again(outage: Exception) -> None:
    for run in (pools.read, pools.poll, pools.write):
        with pytest.raises(EventError) as refused:
            await run(fail, outage)
        assert refused.value.code == "unavailable" and refused.value.temporary


@pytest.mark.django_db
async def test_any_other_failure_stays_what_it_is() -> None:
    for run in (pools.read, pools.poll, pools.write):
        with pytest.raises(ZeroDivisionError):
            await run(fail, ZeroDivisionError())


@pytest.mark.django_db
async def test_what_goes_to_the_journal_itself_waits_for_few_of_many_transactions() -> None:
    done: list[int | str] = []
    many = [asyncio.create_task(pools.write(done.append, number)) for number in range(20)]
    await asyncio.sleep(0)
    await journal.run(done.append, "message")
    assert done.index("message") <= pools.WRITES
    await asyncio.gather(*many)
    assert [each for each in done if each != "message"] == list(range(20))

"""Which processes are alive, and who is online."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chat.models import LastSeen, Message, Presence, Process
from chat.services import presence

pytestmark = pytest.mark.django_db

A, B = "a" * 32, "b" * 32


@pytest.fixture(autouse=True)
def processes() -> None:
    presence.register(A)
    presence.register(B)


def silence(process: str, seconds: float) -> None:
    """The process's last beat was so long ago."""
    Process.objects.filter(pk=process).update(beat_at=Now() - timedelta(seconds=seconds))


# Processes


def test_a_process_is_alive_until_its_beats_stop() -> None:
    silence(A, presence.TIMEOUT - 1)
    assert presence.alive() == {A, B}
    silence(A, presence.TIMEOUT)
    assert presence.alive() == {B}


def test_a_beat_of_a_process_that_was_silent_makes_it_alive_again() -> None:
    silence(A, presence.TIMEOUT)
    assert presence.beat(A)
    assert presence.alive() == {A, B}


def test_a_process_whose_row_has_gone_gets_one_with_its_next_beat() -> None:
    Process.objects.filter(pk=A).delete()
    assert not presence.beat(A)
    assert presence.beat(A)
    assert presence.alive() == {A, B}


def test_a_process_that_registers_twice_has_one_row() -> None:
    silence(A, presence.TIMEOUT)
    presence.register(A)
    assert presence.alive() == {A, B}


def test_a_process_without_people_leaves_nothing_when_it_stops() -> None:
    presence.end(A)
    assert presence.alive() == {B}
    assert Process.objects.count() == 1


# People


def people(*names: str) -> list[int]:
    return [User.objects.create(username=name).pk for name in names]


def told() -> list[tuple[list[str], list[str]]]:
    """The names of who came and who went, as every process was told."""
    rows = Message.objects.filter(kind="control", extra__contains='"presence"').order_by("seq")
    entries = [json.loads(extra) for extra in rows.values_list("extra", flat=True)]
    return [
        ([person["name"] for person in entry["came"]], [person["name"] for person in entry["went"]])
        for entry in entries
    ]


def online() -> set[str]:
    return {user["name"] for user in presence.list_people()["users"] if user["online"]}


def last_seen(user: int) -> float:
    """Seconds ago."""
    return (timezone.now() - LastSeen.objects.get(user=user).at).total_seconds()


def statements(work: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as queries:
        work()
    return len(queries)


def test_who_is_at_two_processes_comes_once_and_goes_once() -> None:
    (alice,) = people("alice")
    presence.change(A, [alice], [])
    presence.change(B, [alice], [])
    presence.change(A, [], [alice])
    assert told() == [(["alice"], [])]
    assert online() == {"alice"}
    presence.change(B, [], [alice])
    assert told() == [(["alice"], []), ([], ["alice"])]
    assert online() == set()
    assert 0 <= last_seen(alice) < 5


def test_some_come_and_others_go_in_one_entry() -> None:
    alice, bob, charlie = people("alice", "bob", "charlie")
    presence.change(A, [alice, bob], [])
    presence.change(A, [charlie], [alice, bob])
    assert told() == [(["alice", "bob"], []), (["charlie"], ["alice", "bob"])]


def test_what_is_written_twice_is_told_once() -> None:
    (alice,) = people("alice")
    for _ in range(2):
        assert presence.change(A, [alice], [])
    for _ in range(2):
        assert presence.change(A, [], [alice])
    assert told() == [(["alice"], []), ([], ["alice"])]


def test_many_cost_as_many_statements_as_a_few() -> None:
    few, many = people("alice", "bob"), people(*(f"person{number}" for number in range(presence.MOST)))
    cost = statements(lambda: presence.change(A, few, []))
    assert statements(lambda: presence.change(A, many, [])) <= cost + 2  # SQLite inserts in parts
    cost = statements(lambda: presence.change(A, [], few))
    assert statements(lambda: presence.change(A, [], many)) <= cost + 2


def test_a_process_that_is_not_known_writes_nothing() -> None:
    (alice,) = people("alice")
    Process.objects.filter(pk=A).delete()
    assert not presence.change(A, [alice], [])
    assert told() == []
    assert online() == set()


def test_one_whose_account_is_off_or_gone_does_not_come() -> None:
    alice, bob = people("alice", "bob")
    User.objects.filter(pk=alice).update(is_active=False)
    assert presence.change(A, [alice, bob, 10**9], [])
    assert told() == [(["bob"], [])]


def test_a_process_is_asked_for_its_people() -> None:
    alice, bob = people("alice", "bob")
    presence.change(A, [alice, bob], [])
    presence.change(B, [bob], [])
    assert presence.at(A) == {alice, bob}
    assert presence.at(B) == {bob}


# The end of a process


def test_the_people_of_a_dead_process_go_but_for_those_who_are_elsewhere() -> None:
    alice, bob = people("alice", "bob")
    presence.change(A, [alice, bob], [])
    presence.change(B, [bob], [])
    silence(A, presence.TIMEOUT + presence.GRACE)
    assert presence.anyone_dead()
    assert not presence.sweep()
    assert told()[1:] == [([], ["alice"])]
    assert presence.TIMEOUT > last_seen(alice) >= presence.GRACE
    assert online() == {"bob"}
    assert not Process.objects.filter(pk=A).exists()
    assert not presence.anyone_dead()


def test_a_process_that_is_late_is_not_swept() -> None:
    alice, bob = people("alice", "bob")
    presence.change(A, [alice], [])
    presence.change(B, [bob], [])
    silence(A, presence.TIMEOUT + presence.GRACE - 1)
    assert not presence.anyone_dead()
    presence.sweep()
    assert online() == {"alice", "bob"}


def test_many_people_of_a_dead_process_go_a_part_at_a_time() -> None:
    users = people(*(f"person{number:04}" for number in range(presence.MOST + 3)))
    presence.change(A, users, [])
    silence(A, presence.TIMEOUT + presence.GRACE)
    assert presence.sweep()
    assert not presence.sweep()
    assert [len(went) for _, went in told()[1:]] == [presence.MOST, 3]
    assert not Process.objects.filter(pk=A).exists()


def test_a_process_that_stops_is_dead_at_once_and_its_people_have_time_to_come_back() -> None:
    alice, bob = people("alice", "bob")
    presence.change(A, [alice, bob], [])
    presence.end(A)
    assert presence.alive() == {B}
    presence.sweep()
    presence.change(B, [alice], [])
    assert online() == {"alice", "bob"}
    silence(A, presence.TIMEOUT + presence.GRACE)
    presence.sweep()
    assert told() == [(["alice", "bob"], []), ([], ["bob"])]
    assert Process.objects.count() == 1


def test_a_person_whose_account_is_deleted_goes_with_it() -> None:
    alice, bob = people("alice", "bob")
    presence.change(A, [alice], [])
    presence.change(B, [alice], [])
    for person in User.objects.filter(pk__in=[alice, bob]):
        person.delete()
    for process in (A, B):
        presence.change(process, [], [alice])
    assert told() == [(["alice"], []), ([], ["alice"])]
    assert not Presence.objects.exists()

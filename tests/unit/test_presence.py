"""Which processes are alive, and who is online."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from chat.models import Process
from chat.services import presence

pytestmark = pytest.mark.django_db

A, B = "a" * 32, "b" * 32


def silence(process: str, seconds: float) -> None:
    """The process's last beat was so long ago."""
    Process.objects.filter(pk=process).update(beat_at=Now() - timedelta(seconds=seconds))


# Processes


def test_a_process_is_alive_until_its_beats_stop() -> None:
    presence.register(A)
    presence.register(B)
    silence(A, presence.TIMEOUT - 1)
    assert presence.alive() == {A, B}
    silence(A, presence.TIMEOUT)
    assert presence.alive() == {B}


def test_a_beat_of_a_process_that_was_silent_makes_it_alive_again() -> None:
    presence.register(A)
    silence(A, presence.TIMEOUT)
    assert presence.beat(A)
    assert presence.alive() == {A}


def test_a_process_whose_row_has_gone_gets_one_with_its_next_beat() -> None:
    assert not presence.beat(A)
    assert presence.beat(A)
    assert presence.alive() == {A}


def test_a_process_that_registers_twice_has_one_row() -> None:
    presence.register(A)
    silence(A, presence.TIMEOUT)
    presence.register(A)
    assert presence.alive() == {A}


def test_a_process_without_people_leaves_nothing_when_it_stops() -> None:
    presence.register(A)
    presence.end(A)
    assert not Process.objects.exists()

"""A sender's order, where some of what was sent is refused for now."""

from __future__ import annotations

import pytest

from chat.delivery.door import Lane
from chat.delivery.entries import Draft
from chat.errors import EventError

NOW = EventError("rate_limited", retry_after=1)


def draft(client_id: str, number: int) -> Draft:
    return Draft("chat", "general", 1, client_id, "message", number=number)


def check_refused(lane: Lane, client_id: str, number: int, behind: str) -> None:
    with pytest.raises(EventError) as refused:
        lane.check(draft(client_id, number))
    assert (refused.value.code, refused.value.more) == ("unavailable", {"behind": behind})


@pytest.fixture
def lane() -> Lane:
    return Lane()


def test_nothing_is_held_back_where_nothing_was_refused(lane: Lane) -> None:
    lane.check(draft("a", 1))
    lane.answered(draft("a", 1), None)
    lane.answered(draft("b", 2), EventError("muted"))
    lane.check(draft("c", 3))


def test_what_follows_a_refusal_is_held_back_until_it_has_come_again(lane: Lane) -> None:
    lane.refuse("b", 2)
    lane.check(draft("a", 1))
    check_refused(lane, "c", 3, "b")
    lane.check(draft("b", 4))
    check_refused(lane, "c", 5, "b")
    lane.answered(draft("b", 4), None)
    lane.check(draft("c", 6))


@pytest.mark.parametrize("code", ["muted", "internal", "bad_data", "too_large"])
def test_a_refusal_for_good_is_an_answer_too(lane: Lane, code: str) -> None:
    lane.refuse("a", 1)
    lane.answered(draft("a", 2), EventError(code))
    lane.check(draft("b", 3))


def test_the_first_of_several_refusals_counts_whichever_is_told_first(lane: Lane) -> None:
    lane.refuse("c", 3)
    lane.refuse("a", 1)
    lane.refuse("b", 2)
    check_refused(lane, "d", 4, "a")


def test_being_held_back_is_no_refusal_of_its_own(lane: Lane) -> None:
    lane.refuse("a", 1)
    held_back = EventError("unavailable", behind="a")
    lane.answered(draft("b", 2), held_back)
    lane.answered(draft("a", 3), None)
    lane.check(draft("c", 4))


def test_refusals_from_before_it_came_again_are_forgotten_with_it(lane: Lane) -> None:
    """All of them come again behind it, since the client waited for all answers."""
    for number, client_id in enumerate("abc", 1):
        lane.answered(draft(client_id, number), NOW)
    lane.answered(draft("a", 4), None)
    lane.check(draft("b", 5))
    lane.check(draft("c", 6))


def test_a_refusal_behind_its_second_coming_holds_back_what_follows(lane: Lane) -> None:
    """`a` is under way again and not yet answered when `c`, sent behind it, is refused."""
    lane.refuse("a", 1)
    lane.check(draft("a", 10))
    lane.refuse("c", 12)
    lane.answered(draft("a", 10), None)
    lane.check(draft("b", 11))
    check_refused(lane, "d", 13, "c")
    lane.answered(draft("c", 20), None)
    lane.check(draft("d", 21))


def test_one_that_is_refused_again_goes_on_holding_back(lane: Lane) -> None:
    lane.refuse("a", 1)
    lane.answered(draft("a", 2), NOW)
    check_refused(lane, "b", 3, "a")
    lane.answered(draft("a", 4), None)
    lane.check(draft("b", 5))

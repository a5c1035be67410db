"""A set of numbers kept as ranges behaves as a set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chat.delivery.ranges import Ranges

NUMBERS = st.integers(1, 40)
PAIRS = st.lists(st.tuples(NUMBERS, st.integers(0, 8)).map(lambda pair: (pair[0], pair[0] + pair[1])))


def members(ranges: Ranges) -> set[int]:
    return {seq for first, last in ranges.pairs() for seq in range(first, last + 1)}


def union(pairs: list[tuple[int, int]]) -> set[int]:
    return {seq for first, last in pairs for seq in range(first, last + 1)}


@given(PAIRS)
def test_ranges_hold_what_was_added_and_nothing_else(pairs: list[tuple[int, int]]) -> None:
    ranges, model = Ranges(pairs), union(pairs)
    assert members(ranges) == model
    assert all((seq in ranges) == (seq in model) for seq in range(60))


@given(PAIRS)
def test_ranges_are_sorted_apart_and_as_few_as_can_be(pairs: list[tuple[int, int]]) -> None:
    ranges = Ranges(pairs)
    found = list(ranges.pairs())
    assert len(ranges) == len(found)
    assert all(first <= last for first, last in found)
    assert all(low[1] + 1 < high[0] for low, high in zip(found, found[1:], strict=False))


@given(PAIRS, PAIRS)
def test_two_sets_together_hold_what_either_held(
    some: list[tuple[int, int]], more: list[tuple[int, int]]
) -> None:
    ranges, other = Ranges(some), Ranges(more)
    ranges.update(other)
    assert members(ranges) == union(some) | union(more)
    assert members(other) == union(more)


@given(PAIRS)
def test_ranges_are_read_back_from_their_text(pairs: list[tuple[int, int]]) -> None:
    ranges = Ranges(pairs)
    assert Ranges.parse(str(ranges)) == ranges
    assert repr(ranges) == f"Ranges({ranges})"


def test_the_text_of_ranges_is_short() -> None:
    assert str(Ranges([(5, 9), (12, 12), (10, 10)])) == "5-10,12"
    assert str(Ranges()) == ""
    assert Ranges.parse("") == Ranges()


@given(PAIRS, st.integers(0, 50))
def test_the_cursor_absorbs_what_follows_it_without_a_gap(pairs: list[tuple[int, int]], cursor: int) -> None:
    ranges, model = Ranges(pairs), union(pairs)
    moved = cursor
    while moved + 1 in model:
        moved += 1
    assert ranges.absorb(cursor) == moved
    assert members(ranges) == {seq for seq in model if seq > moved}


@given(PAIRS, st.integers(0, 50), st.integers(0, 50))
def test_gaps_are_what_is_missing_between_two_bounds(
    pairs: list[tuple[int, int]], after: int, upto: int
) -> None:
    gaps = list(Ranges(pairs).gaps(after, upto))
    assert union(gaps) == set(range(after + 1, upto + 1)) - union(pairs)
    assert len(Ranges(gaps)) == len(gaps)


@given(PAIRS, st.integers(0, 50))
def test_what_lies_above_the_head_can_be_cut_off(pairs: list[tuple[int, int]], upto: int) -> None:
    ranges = Ranges(pairs)
    ranges.cut(upto)
    assert members(ranges) == {seq for seq in union(pairs) if seq <= upto}


@given(PAIRS, NUMBERS)
def test_a_copy_goes_its_own_way(pairs: list[tuple[int, int]], seq: int) -> None:
    ranges = Ranges(pairs)
    twin = ranges.copy()
    assert twin == ranges
    twin.add(seq)
    assert members(ranges) == union(pairs)
    assert members(twin) == union(pairs) | {seq}

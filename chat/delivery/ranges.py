"""Sets of sequence numbers, kept as ranges: what a member of an unordered room has acknowledged."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator


class Ranges:
    """A set of positive integers as sorted, disjoint, non-adjacent closed ranges."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in pairs:
            self.add(first, last)

    @classmethod
    def parse(cls, text: str) -> Ranges:
        """From "5-9,12"; the empty text is the empty set."""
        pairs = (part.partition("-") for part in text.split(",") if part)
        return cls((int(first), int(last or first)) for first, _, last in pairs)

    def __str__(self) -> str:
        return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in self.pairs())

    def __repr__(self) -> str:
        return f"Ranges({self})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and list(self.pairs()) == list(other.pairs())

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        """The number of ranges, not of integers."""
        return len(self._firsts)

    def __contains__(self, seq: int) -> bool:
        at = bisect_right(self._firsts, seq) - 1
        return at >= 0 and seq <= self._lasts[at]

    def pairs(self) -> Iterator[tuple[int, int]]:
        return zip(self._firsts, self._lasts, strict=True)

    def add(self, first: int, last: int | None = None) -> None:
        """Add first…last, both included."""
        last = first if last is None else last
        low = bisect_right(self._lasts, first - 2)  # the first range that touches or follows
        high = bisect_right(self._firsts, last + 1)  # one past the last range that touches
        if low < high:
            first = min(first, self._firsts[low])
            last = max(last, self._lasts[high - 1])
        self._firsts[low:high] = [first]
        self._lasts[low:high] = [last]

    def update(self, other: Ranges) -> None:
        for first, last in other.pairs():
            self.add(first, last)

    def cut(self, upto: int) -> None:
        """Drop what lies above `upto`."""
        while self._lasts and self._lasts[-1] > upto:
            if self._firsts[-1] <= upto:
                self._lasts[-1] = upto
            else:
                del self._firsts[-1], self._lasts[-1]

    def copy(self) -> Ranges:
        twin = Ranges()
        twin._firsts, twin._lasts = self._firsts.copy(), self._lasts.copy()
        return twin

    def absorb(self, cursor: int) -> int:
        """Drop what lies at or below `cursor` and what follows it without a gap.

        Returns the cursor moved past that: everything up to it is in the set or was below it.
        """
        while self._firsts and self._firsts[0] <= cursor + 1:
            cursor = max(cursor, self._lasts[0])
            del self._firsts[0], self._lasts[0]
        return cursor

    def gaps(self, after: int, upto: int) -> Iterator[tuple[int, int]]:
        """The ranges of (after, upto] that are not in the set."""
        start = after + 1
        for first, last in self.pairs():
            if first > upto:
                break
            if first > start:
                yield start, first - 1
            start = max(start, last + 1)
        if start <= upto:
            yield start, upto

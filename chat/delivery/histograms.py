"""How often a value fell into which class: counters that only grow, for quantiles and metrics."""

from __future__ import annotations

from bisect import bisect_left

#: Upper ends of classes: seconds, from 0.5 ms to a minute, and numbers of entries.
SECONDS = tuple(0.0005 * 1.5**step for step in range(30))
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class Histogram:
    """`counts` has one class more than `bounds`, for what is above them all."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float, times: int = 1) -> None:
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def as_dict(self) -> dict[str, list[int] | float]:
        return {"counts": list(self.counts), "total": self.total}

"""Rates: how much a person may send, and how often an address may connect."""

from __future__ import annotations

import time
from collections.abc import Hashable
from functools import cache
from typing import TYPE_CHECKING, Any

from django.conf import settings

from chat.errors import EventError

if TYPE_CHECKING:
    from chat.namespace import Next, Socket
    from chat.wire.packets import Event

FREE = (1000.0, 1000)  #: acks and `received` a second that cost nothing, and their burst
CONNECTIONS = (50.0, 2000)  #: new connections of an address a second, and their burst


class Bucket:
    """A token bucket that gives credit: what is taken beyond it is a debt, paid off by waiting."""

    __slots__ = ("_at", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self._tokens = float(burst)
        self._at = time.monotonic()

    @property
    def tokens(self) -> float:
        now = time.monotonic()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        return self._tokens

    def take(self) -> None:
        """Take a token. Raises `rate_limited` with the seconds after which there is one again."""
        tokens = self.tokens
        self._tokens = tokens - 1
        if tokens < 1:
            wait = (2 - tokens) / self.rate
            raise EventError("rate_limited", "Too much at once.", retry_after=round(wait, 3))

    def take_if_any(self) -> bool:
        if self.tokens < 1:
            return False
        self._tokens -= 1
        return True

    @property
    def in_debt(self) -> bool:
        """Whether a whole burst has been taken on credit."""
        return self._tokens <= -self.burst and self.tokens <= -self.burst


class Buckets:
    """A bucket for each key. A full one is as good as a new one, so those are forgotten."""

    def __init__(self, rate: float, burst: int) -> None:
        self._limit = rate, burst
        self._buckets: dict[Hashable, Bucket] = {}
        self._sweep_at = 1024

    def __getitem__(self, key: Hashable) -> Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= self._sweep_at:
                self._sweep()
            bucket = self._buckets[key] = Bucket(*self._limit)
        return bucket

    def __len__(self) -> int:
        return len(self._buckets)

    def _sweep(self) -> None:
        self._buckets = {key: each for key, each in self._buckets.items() if each.tokens < each.burst}
        self._sweep_at = max(1024, 2 * len(self._buckets))


class Meter:
    """What one person may still send."""

    __slots__ = ("_limit", "_who")

    def __init__(self, limit: RateLimit, who: Hashable) -> None:
        self._limit, self._who = limit, who

    @property
    def in_debt(self) -> bool:
        return self._limit.events[self._who].in_debt

    def take(self) -> None:
        self._limit.events[self._who].take()

    def take_free(self) -> None:
        """For acks and `received`: past what is free they cost as much as an event."""
        if not self._limit.free[self._who].take_if_any():
            self.take()


class RateLimit:
    """Events of a person, over all sockets of this process in the namespaces that share it."""

    def __init__(self, rate: float, burst: int) -> None:
        self.events = Buckets(rate, burst)
        self.free = Buckets(*FREE)

    async def connect(self, socket: Socket) -> None:
        socket.meter = Meter(self, socket.id if socket.user is None else socket.user.id)
        if socket.meter.in_debt:
            raise EventError("rate_limited", "Too much at once.", retry_after=1.0)

    async def __call__(self, socket: Socket, event: Event, next: Next) -> Any:
        if socket.meter is not None:
            socket.meter.take()
        return await next(socket, event)


class Unlimited:
    """In place of a limit where the site has turned them off."""


def rate_limit(limit: str | None = None) -> RateLimit | Unlimited:
    """`"30/s"` or, with a burst, `"30/s:200"`; None: the site's RATE_LIMIT, which namespaces share."""
    if settings.RATE_LIMIT is None:
        return Unlimited()
    return _site_limit(settings.RATE_LIMIT) if limit is None else RateLimit(*parse_rate(limit))


@cache
def _site_limit(limit: tuple[float, int]) -> RateLimit:
    return RateLimit(*limit)


def parse_rate(limit: str) -> tuple[float, int]:
    """Events a second and the burst, by default what ten seconds bring."""
    rate, _, burst = limit.partition("/s")
    return float(rate), int(burst.removeprefix(":") or 10 * float(rate))


_connections = Buckets(*CONNECTIONS)


def check_connection(address: Hashable) -> None:
    """Raise `rate_limited` where an address opens connections too fast."""
    if settings.RATE_LIMIT is not None:
        _connections[address].take()

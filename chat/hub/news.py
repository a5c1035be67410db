"""Telling those who watch a queue what was done to its orders outside of the servers: by a command,
or in the admin."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from ..delivery import door
from ..delivery.leases import Order
from .queue import NEWS
from .queues import EVENTS


def tell(orders: Iterable[Order], event: str = "") -> None:
    """Tell the watchers in every process which state each order is in now, or of an event."""
    by_queue: dict[int, list[tuple[str, Any]]] = defaultdict(list)
    for order in orders:
        by_queue[order.queue_id].append((event or EVENTS[order.state], order.as_dict()))
    for queue_id, news in by_queue.items():
        for start in range(0, len(news), NEWS):
            door.control("news", room=queue_id, news=news[start : start + NEWS])

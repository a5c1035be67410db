"""Telling those who watch a queue what a command did to its orders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from chat.delivery import door
from chat.delivery.leases import Order
from chat.hub.queue import NEWS
from chat.hub.queues import EVENTS


def tell(orders: Iterable[Order], event: str = "") -> None:
    """Tell the watchers in every process which state each order is in now, or of an event."""
    by_queue: dict[int, list[tuple[str, Any]]] = defaultdict(list)
    for order in orders:
        by_queue[order.queue_id].append((event or EVENTS[order.state], order.as_dict()))
    for queue_id, news in by_queue.items():
        for start in range(0, len(news), NEWS):
            door.control("news", room=queue_id, news=news[start : start + NEWS])

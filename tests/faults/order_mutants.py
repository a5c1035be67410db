"""The application with its work queues broken on purpose, by `MUTATION`: what the check has to find."""

from __future__ import annotations

import os
from typing import Any

from chatsite.asgi import application

__all__ = ["APP", "application", "mutant"]

APP = f"{__name__}:application"


def mutant(mutation: str) -> dict[str, Any]:
    """Options for a server with this mutation."""
    return {"app": APP, "env": {"MUTATION": mutation, "RATE_LIMIT": "off"}}


def break_token() -> None:
    """Any token will do."""
    from chat.delivery.orders import Row

    settle = Row.settle

    def settle_anyhow(self: Row, act: Any, at: Any) -> bool:
        self.token, self.worker = act.token, act.worker
        return settle(self, act, at)

    Row.settle = settle_anyhow  # type: ignore[method-assign]


def break_lease() -> None:
    """What one has is given to another, too, if it is the first who has it."""
    from chat.delivery import leases

    def next_orders(cursor: Any, queue_id: int, at: Any, most: int) -> Any:
        free = "(state = 'queued' AND visible_at <= %s OR state = 'leased' AND attempts = 1)"
        condition = f"room_id = %s AND {free} ORDER BY seq LIMIT %s"
        return leases.locked(cursor, condition, queue_id, leases.stored(at), most)

    leases._next = next_orders


def break_giving_back() -> None:
    """What comes back is taken for done."""
    from chat.delivery.orders import Row

    def give_back(self: Row, reason: str, visible_at: Any) -> None:
        self.state, self.holder, self.changed = "done", "", True

    Row.give_back = give_back  # type: ignore[method-assign]


def break_attempts() -> None:
    """A lapse or a lost worker is not counted."""
    from chat.delivery.orders import Row

    give_back = Row.give_back

    def give_back_for_free(self: Row, reason: str, visible_at: Any) -> None:
        give_back(self, reason, visible_at)
        if not self.failed:
            self.attempts -= 1

    Row.give_back = give_back_for_free  # type: ignore[method-assign]


def break_order() -> None:
    """An ordered queue is worked off as an unordered one."""
    from chat.delivery import leases

    leases._lock_ordered = lambda cursor, queue_ids: set()


MUTATIONS = {
    "token": break_token,
    "lease": break_lease,
    "giving back": break_giving_back,
    "attempts": break_attempts,
    "order": break_order,
}

if "MUTATION" in os.environ:
    MUTATIONS[os.environ["MUTATION"]]()

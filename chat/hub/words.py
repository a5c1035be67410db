"""The filtered words of rooms, as this process knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..delivery import pools
from ..services import words

if TYPE_CHECKING:
    from .hub import Hub

#: Seconds between two readings: what was changed past the services is found then.
AGAIN = 60.0


class Words:
    """Few rooms have any, so all of them are kept: to ask costs a message next to nothing."""

    def __init__(self, hub: Hub) -> None:
        self._filters: words.Filters = {}
        self._asked = self._known = 0
        hub.every(self._read_again)

    def of(self, namespace: str, room: Any) -> words.Filter | None:
        return self._filters.get((namespace, room)) if isinstance(room, str) else None

    async def read(self) -> None:
        """Two that overlap may end in any order: the one that began later counts."""
        self._asked += 1
        mine = self._asked
        found = await pools.read(words.filters)
        if mine > self._known:
            self._known, self._filters = mine, found

    async def _read_again(self) -> float:
        await self.read()
        return AGAIN

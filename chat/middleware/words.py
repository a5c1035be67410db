"""Filters of words, before anything is stored: the site's, and those that a room has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

from django.conf import settings
from msgspec import structs

from chat.services.words import Words

if TYPE_CHECKING:
    from chat.namespace import Next, Socket
    from chat.wire.packets import Event


LONG = 2000  #: characters from which on a text is looked through in a thread


class WordFilter:
    """Masks whole words in text fields of events, however they are cased or composed."""

    def __init__(self, words: Iterable[str], fields: Collection[str], events: Collection[str] | None) -> None:
        self._words = Words(words)
        self._fields, self._events = fields, events

    async def __call__(self, socket: Socket, event: Event, next: Next) -> Any:
        if isinstance(event.data, dict) and (self._events is None or event.name in self._events):
            event = await _changed(event, self._fields, self._words.mask)
        return await next(socket, event)


class NoWords:
    """In place of a filter where the site filters no words."""


class RoomWords:
    """Masks the words that the event's room filters, or refuses the event, as the room says."""

    def __init__(self, fields: Collection[str], events: Collection[str]) -> None:
        self._fields, self._events = fields, events

    async def __call__(self, socket: Socket, event: Event, next: Next) -> Any:
        if event.name in self._events and isinstance(event.data, dict):
            filtered = socket.namespace.hub.words.of(socket.namespace_path, event.data.get("room"))
            if filtered is not None:
                event = await _changed(event, self._fields, filtered.apply)
        return await next(socket, event)


def word_filter(
    fields: Collection[str] = ("body",),
    *,
    words: Iterable[str] | None = None,
    events: Collection[str] | None = None,
) -> WordFilter | NoWords:
    """Masks these words, by default the site's FILTERED_WORDS, in these fields of these events,
    by default of all that have them."""
    words = settings.FILTERED_WORDS if words is None else words
    return WordFilter(words, fields, events) if words else NoWords()


def room_words(fields: Collection[str] = ("body",), *, events: Collection[str]) -> RoomWords:
    """Does in these fields of these events what their `room` does about its filtered words."""
    return RoomWords(fields, events)


async def _changed(event: Event, fields: Collection[str], change: Callable[[str], str]) -> Event:
    changed = {}
    for field in fields:
        if isinstance(text := event.data.get(field), str):
            changed[field] = change(text) if len(text) < LONG else await asyncio.to_thread(change, text)
    return structs.replace(event, data={**event.data, **changed})

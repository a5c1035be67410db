"""A filter of words: masked with asterisks, before anything is stored."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Collection, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from msgspec import structs

if TYPE_CHECKING:
    from chat.namespace import Next, Socket
    from chat.wire.packets import Event


LONG = 2000  #: characters from which on a text is looked through in a thread


class WordFilter:
    """Masks whole words in text fields of events, however they are cased or composed."""

    def __init__(self, words: Iterable[str], fields: Collection[str], events: Collection[str] | None) -> None:
        self._words = frozenset(filter(None, map(_key, words)))
        self._fields, self._events = fields, events

    async def __call__(self, socket: Socket, event: Event, next: Next) -> Any:
        if isinstance(event.data, dict) and (self._events is None or event.name in self._events):
            texts = {field: event.data.get(field) for field in self._fields}
            masked = {field: await self._mask(text) for field, text in texts.items() if isinstance(text, str)}
            event = structs.replace(event, data={**event.data, **masked})
        return await next(socket, event)

    async def _mask(self, text: str) -> str:
        return self.mask(text) if len(text) < LONG else await asyncio.to_thread(self.mask, text)

    def mask(self, text: str) -> str:
        folded = _key(text)
        if not any(word in folded for word in self._words):  # as in nearly every text
            return text
        return _tokens().sub(self._masked, text)

    def _masked(self, token: re.Match[str]) -> str:
        return "*" * len(token[0]) if _key(token[0]) in self._words else token[0]


class NoWords:
    """In place of a filter where the site filters no words."""


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


def _key(text: str) -> str:
    """The same for all ways to write a word: composed or not, with what can't be seen or without."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _characters("Cf").sub("", folded)


@cache
def _tokens() -> re.Pattern[str]:
    """Letters and digits with their marks, which for `re` are no part of a word, and what is
    invisible between them. The underscore is markup here."""
    return re.compile(rf"(?:[^\W_]+|{_characters('Mn', 'Mc', 'Me', 'Cf').pattern}+)+")


@cache
def _characters(*categories: str) -> re.Pattern[str]:
    codes = (0xAD, *range(0x300, 0x10000))  # for more `re` would search a list
    found = "".join(chr(code) for code in codes if unicodedata.category(chr(code)) in categories)
    return re.compile(f"[{re.escape(found)}]")

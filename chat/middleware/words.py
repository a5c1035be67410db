"""A filter of words: masked with asterisks, before anything is stored."""

from __future__ import annotations

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


class WordFilter:
    """Masks whole words in text fields of events, however they are cased or composed."""

    def __init__(self, words: Iterable[str], fields: Collection[str], events: Collection[str] | None) -> None:
        self._words = frozenset(filter(None, map(_key, words)))
        self._fields, self._events = fields, events

    async def __call__(self, socket: Socket, event: Event, next: Next) -> Any:
        if isinstance(event.data, dict) and (self._events is None or event.name in self._events):
            masked = {
                field: self.mask(event.data[field])
                for field in self._fields
                if isinstance(event.data.get(field), str)
            }
            event = structs.replace(event, data={**event.data, **masked})
        return await next(socket, event)

    def mask(self, text: str) -> str:
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


def _key(word: str) -> str:
    """The same for all ways to write a word: composed or not, with what can't be seen or without."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", word).casefold())
    return "".join(each for each in folded if unicodedata.category(each) != "Cf")


@cache
def _tokens() -> re.Pattern[str]:
    """Letters and digits with their marks, which for `re` are no part of a word, and what is
    invisible between them. The underscore is markup here."""
    marks = "".join(
        chr(code)
        for code in (0xAD, *range(0x300, 0x20000))
        if unicodedata.category(chr(code)) in ("Mn", "Mc", "Me", "Cf")
    )
    return re.compile(rf"(?:[^\W_]|[{re.escape(marks)}])+")

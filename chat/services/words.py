"""Filtered words: the site's, and those of rooms, which mask them or refuse the message."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import groupby, islice

from django.conf import settings

from chat.errors import EventError
from chat.models import Room

#: Marks on one letter. No language has so many, nor has what Unicode calls stream-safe text.
MARKS = 30


class Words:
    """Finds whole words, however they are cased or composed."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = frozenset(filter(None, map(_key, words)))

    def mask(self, text: str) -> str:
        """The text with asterisks in place of these words."""
        if not self._may_have(text):
            return text
        return _tokens().sub(lambda token: "*" * len(token[0]) if self._has(token[0]) else token[0], text)

    def find(self, text: str) -> str | None:
        """The first of these words in a text, as it is written there."""
        tokens = _tokens().finditer(text) if self._may_have(text) else ()
        return next((token[0] for token in tokens if self._has(token[0])), None)

    def _may_have(self, text: str) -> bool:
        """Rules out nearly every text."""
        folded = _key(text)
        return any(word in folded for word in self._words)

    def _has(self, token: str) -> bool:
        return _key(token) in self._words


@dataclass(frozen=True, slots=True)
class Filter:
    """What a room does about its words."""

    words: Words
    refuse: bool

    def apply(self, text: str) -> str:
        """The text, masked. Raises `forbidden` where the room refuses it."""
        if not self.refuse:
            return self.words.mask(text)
        if (word := self.words.find(text)) is not None:
            raise EventError("forbidden", f"this room takes no message with {word!r} in it", field="body")
        return text


#: By namespace and slug.
Filters = dict[tuple[str, str], Filter]


def filters(*keys: tuple[str, str]) -> Filters:
    """Of the rooms that filter words: of these, else of all."""
    found = Room.objects.exclude(filtered_words="").exclude(closed_at__isnull=False)
    if keys:
        found = found.filter(slug__in=[slug for _, slug in keys])
    rows = found.values_list("namespace", "slug", "filtered_words", "filter_action")
    return {
        (namespace, slug): Filter(Words(words.splitlines()), action == Room.FilterAction.REFUSE)
        for namespace, slug, words, action in rows
    }


def apply(namespace: str, slug: str, text: str) -> str:
    """What a room takes of a text: the site's words and its own masked. Raises `forbidden`."""
    text = Words(settings.FILTERED_WORDS).mask(text)
    found = filters((namespace, slug)).get((namespace, slug))
    return found.apply(text) if found else text


def is_word(text: str) -> bool:
    """Whether a filter could find it: not what has spaces or other signs in it."""
    token = _tokens().match(text)
    return token is not None and token.end() == len(text)


def without_piles(text: str) -> str:
    """The text with `MARKS` marks on a letter at most. To bring them into their order, as whoever
    normalizes a text has to, takes the square of their number: seconds for 16 KiB."""
    if not _may_be_piled().search(text):
        return text
    runs = groupby(text, _is_mark)
    return "".join("".join(islice(run, MARKS) if marks else run) for marks, run in runs)


@lru_cache(maxsize=4096)
def _is_mark(character: str) -> bool:
    return unicodedata.combining(unicodedata.normalize("NFKD", character)[0]) > 0


@cache
def _may_be_piled() -> re.Pattern[str]:
    """Rules out nearly every text: marks are no part of a word for `re`, but for these two. It looks
    at each character once or twice, wherever a run of them ends."""
    sign = r"[\W\uff9e\uff9f]"
    return re.compile(f"(?<!{sign}){sign}{{{MARKS + 1}}}")


def _key(text: str) -> str:
    """The same for all ways to write a word: composed or not, with what can't be seen or without."""
    if text.isascii():
        return text.lower()
    bounded = without_piles(text)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", bounded).casefold())
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

"""The index of words that people search: what of the log holds all of some words.

Of each entry with a text (a message, an edit) it holds the words and, as one more word, the room:
so that what is not open to a person costs a search nothing, not even time. It changes in the
transaction that changes the log. On SQLite it is a table of FTS5, filled by `indexed` with one
statement for a whole batch (a trigger flushes it at every row, which takes three times as long) and
emptied by triggers; on PostgreSQL it is an index over an expression, which keeps itself.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.core.management.base import CommandError
from django.db import OperationalError, connection
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from ..models import Membership, Message, Room

_ROOM = Room._meta.db_table
_MEMBER = Membership._meta.db_table
_MESSAGE = Message._meta.db_table

#: SQLite's table, PostgreSQL's index.
INDEX = "chat_search"
MODULE = "fts5"

SEARCHED = "kind IN ('message', 'edit') AND body <> ''"

MARKS = re.compile("[\u0300-\u036f]+")
# As FTS5 does: marks on letters don't count, and all but letters and digits lies between words.
# (PostgreSQL's own parser would take "example.org/tea" for one word.)
_BARE = f"regexp_replace(normalize(body, NFD), '{MARKS.pattern}', '', 'g')"
_LETTERS = f"CASE WHEN octet_length(body) = length(body) THEN body ELSE {_BARE} END"
_WORDS = f"to_tsvector('simple', regexp_replace({_LETTERS}, '[^[:alnum:]]+', ' ', 'g'))"
_VECTOR = f"({_WORDS} || array_to_tsvector(ARRAY['room ' || room_id::text]))"

#: PostgreSQL hands out the hits of an index in no order, all of them: common words are looked for
#: in so many of the newest entries first. And so many hits are looked at in one go.
SPAN, AT_ONCE = 2_000, 1_000
LARGEST = 2**63 - 1


@dataclass(slots=True, frozen=True)
class Term:
    """Words that stand one after the other; with `prefix` the last one may go on."""

    words: tuple[str, ...]
    prefix: bool = False


@dataclass(slots=True, frozen=True)
class Hit:
    """A message whose present text matches, and the entry with this text: its own, or an edit."""

    message: int  # its id
    room_id: int
    entry: int  # the seq of what has the text


# -- Keeping the index


def create(editor: BaseDatabaseSchemaEditor) -> None:
    """Make the index and put in what there is."""
    if editor.connection.vendor != "sqlite":
        editor.execute(f"CREATE INDEX {INDEX} ON {_MESSAGE} USING gin ({_VECTOR}) WHERE {SEARCHED}")
        return
    try:
        editor.execute(
            f"CREATE VIRTUAL TABLE {INDEX} USING {MODULE}"
            " (body, room_id, content='', tokenize='unicode61 remove_diacritics 2')"
        )
    except OperationalError as error:
        if "no such module" not in str(error):
            raise
        raise CommandError(
            "search needs FTS5, which the SQLite of this Python lacks: use a Python whose SQLite"
            " has it (python.org's, Debian's and Homebrew's do), or PostgreSQL"
        ) from None
    editor.execute(_fill(""))
    # A row that was there before the index, or was put in by other hands, isn't in it.
    taken = f"old.body <> '' AND EXISTS (SELECT 1 FROM {INDEX} WHERE rowid = old.id)"
    take = (
        f"INSERT INTO {INDEX} ({INDEX}, rowid, body, room_id)"
        " VALUES ('delete', old.id, old.body, old.room_id)"
    )
    editor.execute(f"CREATE TRIGGER {INDEX}_gone AFTER DELETE ON {_MESSAGE} WHEN {taken} BEGIN {take}; END")
    editor.execute(
        f"CREATE TRIGGER {INDEX}_changed AFTER UPDATE OF body ON {_MESSAGE}"
        f" WHEN {taken} AND new.body <> old.body BEGIN {take};"
        f" INSERT INTO {INDEX} (rowid, body, room_id) SELECT new.id, new.body, new.room_id"
        " WHERE new.body <> ''; END"
    )


def drop(editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor != "sqlite":
        editor.execute(f"DROP INDEX {INDEX}")
        return
    for name in ("gone", "changed"):
        editor.execute(f"DROP TRIGGER {INDEX}_{name}")
    editor.execute(f"DROP TABLE {INDEX}")


@contextmanager
def indexed(cursor: Any) -> Iterator[None]:
    """Whoever inserts into the log does it in here. A transaction that writes is open."""
    if connection.vendor != "sqlite":
        yield
        return
    cursor.execute(f"SELECT COALESCE(MAX(id), 0) FROM {_MESSAGE}")
    (last,) = cursor.fetchone()
    yield
    cursor.execute(_fill("id > %s AND"), [last])


def _fill(which: str) -> str:
    return (
        f"INSERT INTO {INDEX} (rowid, body, room_id)"
        f" SELECT id, body, room_id FROM {_MESSAGE} WHERE {which} {SEARCHED}"
    )


# -- Searching

# Of hits `m`: their text is what the message says now, and they lie where the person may read.
# (With the plus SQLite looks for edits by their target, and not through all later entries.)
_STANDS = f"""
    AND r.id = m.room_id AND COALESCE(m.target, m.seq) >= r.first
    AND (%s OR NOT r.history_from_join OR COALESCE(m.target, m.seq) > COALESCE(p.joined_at_seq, r.head))
    AND NOT EXISTS (SELECT 1 FROM {_MESSAGE} e WHERE e.room_id = m.room_id
        AND e.target = COALESCE(m.target, m.seq) AND e.kind = 'edit' AND +e.seq > m.seq)"""
_ITSELF = f"SELECT t.id FROM {_MESSAGE} t WHERE t.room_id = m.room_id AND t.seq = m.target"
_HIT = f"SELECT COALESCE(({_ITSELF}), m.id), m.room_id, m.seq"
_PLACE = f"CROSS JOIN {_ROOM} r LEFT JOIN {_MEMBER} p ON p.room_id = r.id AND p.user_id = %s"


def find(
    terms: Sequence[Term], rooms: Sequence[int] | None, user_id: int | None, before: int | None, limit: int
) -> list[Hit]:
    """The newest hits below the id `before` in these rooms, in all where there is None.

    That they are open to this person is the caller's to know; from where on they may read is known
    here. Nobody (None) reads all.
    """
    if rooms is not None and not rooms:
        return []
    search = _find_lite if connection.vendor == "sqlite" else _find_in_spans
    with connection.cursor() as cursor:
        return search(cursor, terms, rooms, user_id, LARGEST if before is None else before, limit)


def _find_lite(
    cursor: Any,
    terms: Sequence[Term],
    rooms: Sequence[int] | None,
    user_id: int | None,
    before: int,
    limit: int,
) -> list[Hit]:
    match = f"body : ({' AND '.join(_quoted(term) for term in terms)})"
    if rooms is not None:
        match += f" AND room_id : ({' OR '.join(map(str, rooms))})"
    cursor.execute(
        f"{_HIT} FROM {INDEX} s CROSS JOIN {_MESSAGE} m {_PLACE}"
        f" WHERE s.{INDEX} MATCH %s AND s.rowid < %s AND m.id = s.rowid {_STANDS}"
        " ORDER BY s.rowid DESC LIMIT %s",
        [user_id, match, before, user_id is None, limit],
    )
    return [Hit(*row) for row in cursor.fetchall()]


def _quoted(term: Term) -> str:
    return f'"{" ".join(term.words)}"' + " *" * term.prefix


def _find_in_spans(
    cursor: Any,
    terms: Sequence[Term],
    rooms: Sequence[int] | None,
    user_id: int | None,
    before: int,
    limit: int,
) -> list[Hit]:
    """What the newest entries say is read from them, all else is asked of the index: with `id + 0`,
    for the planner would read millions of entries rather than sort the index's hits."""
    match, params = "to_tsquery('simple', %s)", [" & ".join(f"({_phrase(term)})" for term in terms)]
    if rooms is not None:
        match += " && %s::tsquery"
        params.append(" | ".join(f"'room {room}'" for room in rooms))
    cursor.execute(f"SELECT COALESCE(MAX(id), 0) + 1 FROM {_MESSAGE}")
    upto = min(before, cursor.fetchone()[0])
    found: list[Hit] = []
    for column, above in (("id", max(0, upto - SPAN)), ("id + 0", 0)):
        while upto > above and len(found) < limit:
            cursor.execute(
                f"SELECT id FROM {_MESSAGE} WHERE {SEARCHED} AND {_VECTOR} @@ ({match})"
                f" AND {column} >= %s AND {column} < %s ORDER BY {column} DESC LIMIT %s",
                [*params, above, upto, AT_ONCE],
            )
            ids = [row[0] for row in cursor.fetchall()]
            upto = ids[-1] if len(ids) == AT_ONCE else above
            cursor.execute(
                f"{_HIT} FROM {_MESSAGE} m {_PLACE} WHERE m.id = ANY(%s) {_STANDS}"
                " ORDER BY m.id DESC LIMIT %s",
                [user_id, ids, user_id is None, limit - len(found)],
            )
            found += [Hit(*row) for row in cursor.fetchall()]
    return found


def _phrase(term: Term) -> str:
    bare = [MARKS.sub("", unicodedata.normalize("NFD", word)) for word in term.words]
    return " <-> ".join(f"'{word}'" for word in bare) + ":*" * term.prefix

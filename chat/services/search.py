"""Finding messages by their words.

What a person may not read is left out by the index itself, so that neither the answer nor the time
it takes tells of it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from typing import Any

from django.db.models import Exists, OuterRef

from chat.delivery import search as index
from chat.delivery.search import Hit, Term
from chat.errors import EventError
from chat.models import Ban, Membership, Message, Room

from . import history, people, rooms
from .paging import LARGEST, clamp, fitting

LONGEST = 200  #: characters of a query
PREFIX = 2  #: of a word that may go on; what one begins with is too much to look through
WORD = re.compile(r"[^\W_](?:[^\W_]|[\u0300-\u036f])*")
TERM = re.compile(r'"([^"]*)"?|([^\s"]+)')
PLACE = re.compile(r"(.+):([0-9]{1,19})")


def search(
    namespace: str,
    user_id: int,
    query: str,
    room: str | None = None,
    before: str | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """`{"messages", "more", "next"?}`: messages with all of the words, newest first, as history
    shows them; of this person's rooms, or of the one that is named, if they may read it.

    Words in quotes stand one after the other, and the last word may go on. `next` is the `before`
    of the next page. Raises `bad_data` (`query`, `before`), `not_found` or `banned` (`room`).
    """
    terms = parse(query)
    slugs = _own_rooms(namespace, user_id) if room is None else _room(namespace, room, user_id)
    last = None if before is None else _entry(before, slugs)
    found = index.find(terms, list(slugs), user_id, last, clamp(limit) + 1)
    shown = _shown(found[: clamp(limit)], user_id)
    fit = fitting(message for _, message in shown)
    reply: dict[str, Any] = {"messages": fit, "more": len(found) > clamp(limit) or len(fit) < len(shown)}
    if reply["more"]:
        hit = shown[len(fit) - 1][0] if fit else found[-1]
        reply["next"] = f"{slugs[hit.room_id]}:{hit.entry}"
    return reply


def anywhere(query: str, room: int | None = None, limit: int = 1000) -> list[int]:
    """For the staff: the ids of the newest messages with all of the words, in a room or in all."""
    rooms = None if room is None else [room]
    return [hit.message for hit in index.find(parse(query), rooms, None, None, limit)]


# What is looked for


def parse(query: str) -> list[Term]:
    """Raises `bad_data` where there is nothing to look for, or too much."""
    if len(query) > LONGEST:
        raise EventError("bad_data", f"`query` has at most {LONGEST} characters", field="query")
    found = TERM.findall(unicodedata.normalize("NFC", query))
    terms = [Term(tuple(words)) for quoted, word in found if (words := WORD.findall(quoted or word))]
    if not terms:
        raise EventError("bad_data", "`query` needs a letter or a digit", field="query")
    if not query.rstrip().endswith('"') and len(terms[-1].words[-1]) >= PREFIX:
        terms[-1] = replace(terms[-1], prefix=True)
    return terms


# Where


def _own_rooms(namespace: str, user_id: int) -> dict[int, str]:
    bans = Ban.objects.filter(people.in_force(), user=user_id, room=OuterRef("room"))
    here = {"room__namespace": namespace, "room__kind": Room.Kind.FANOUT}
    rows = Membership.objects.filter(~Exists(bans), user=user_id, **here)
    return dict(rows.values_list("room_id", "room__slug"))


def _room(namespace: str, slug: str, user_id: int) -> dict[int, str]:
    return {rooms.look(namespace, slug, user_id).room.pk: slug}


def _entry(before: str, slugs: dict[int, str]) -> int:
    """The id of the entry that a page ended with; of a room that is looked through."""
    place = PLACE.fullmatch(before)
    ids = {slug: pk for pk, slug in slugs.items()}
    if place and place[1] in ids and int(place[2]) <= LARGEST:
        rows = Message.objects.filter(room=ids[place[1]], seq=int(place[2]))
        if entry := rows.values_list("id", flat=True).first():
            return entry
    raise EventError("bad_data", "`before` must be the `next` of an earlier answer", field="before")


# What is shown


def _shown(hits: list[Hit], user_id: int) -> list[tuple[Hit, dict[str, Any]]]:
    """But for what has gone with its room since."""
    rows = Message.objects.select_related("sender", "room").in_bulk([hit.message for hit in hits])
    there = [hit for hit in hits if hit.message in rows]
    return list(zip(there, history.as_they_stand([rows[hit.message] for hit in there], user_id), strict=True))

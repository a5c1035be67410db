"""What columns of several lists say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.text import Truncator

from chat.models import Message

LENGTH = 90  #: characters of a message in a list


def excerpt(message: Message) -> str:
    """The beginning of what it says, in one line."""
    if message.deleted:
        return "(deleted)"
    return Truncator(" ".join((message.body or message.extra).split())).chars(LENGTH) or "(trimmed)"


def messages_of(places: Iterable[tuple[int, int]]) -> dict[tuple[int, int], Message]:
    """Messages with their senders, by room and number, in one query."""
    by_room: dict[int, set[int]] = defaultdict(set)
    for room, seq in places:
        by_room[room].add(seq)
    which = Q(pk__in=[])
    for room, seqs in by_room.items():
        which |= Q(room=room, seq__in=seqs)
    found = Message.objects.filter(which).select_related("sender")
    return {(message.room_id, message.seq): message for message in found}


def with_messages(rows: Iterable[Any]) -> list[Any]:
    """Each row with the message that it is about as `said`: None where that was trimmed."""
    some = list(rows)
    found = messages_of((row.room_id, row.seq) for row in some)
    for row in some:
        row.said = found.get((row.room_id, row.seq))
    return some


def links(*lists: tuple[str, str, dict[str, Any]]) -> str:
    """Ways to other lists: what each is called, whose it is and what it is filtered by."""
    return format_html_join(
        " · ",
        '<a href="{}?{}">{}</a>',
        ((reverse(f"admin:{name}_changelist"), urlencode(filters), title) for title, name, filters in lists),
    )

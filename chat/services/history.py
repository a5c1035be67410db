"""A room's messages as they stand now, and who has them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import F, Max, Q, QuerySet

from chat.delivery.entries import Person, rfc3339
from chat.delivery.ranges import Ranges
from chat.errors import EventError
from chat.models import Membership, Message, Room

from . import rooms
from .paging import MOST, check_seq, clamp, fitting

Kind = Message.Kind
Place = tuple[int, int]  # of an entry: its room's id and its seq

# For each message, so that one of them always fits a frame.
EMOJI = 20
NAMED_PER_EMOJI, NAMED = 20, 100


def page(
    namespace: str,
    slug: str,
    user_id: int,
    before: int | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """`{"messages", "first", "head", "more", "next"?}`, ascending; both bounds exclusive.

    Without `after` the newest ones below `before`, else the oldest ones above `after`; `next`
    is that bound for the page behind. `head` is read before the messages: entries after it
    apply on top. `first` is the lowest entry that this person may see.

    A public room can be read before joining it (not by who is banned from it, and nothing of
    it where its members see nothing from before they joined).
    """
    check_seq("before", before)
    check_seq("after", after)
    room, membership = rooms.look(namespace, slug, user_id)
    first = first_shown(room, membership)
    shown = Message.objects.filter(room=room, target=None, seq__gte=first, seq__lte=room.head)
    if before is not None:
        shown = shown.filter(seq__lt=before)
    if after is not None:
        shown = shown.filter(seq__gt=after)
    order = "-seq" if after is None else "seq"
    rows = list(shown.select_related("sender", "room").order_by(order)[: clamp(limit) + 1])
    fit = fitting(as_they_stand(rows[: clamp(limit)], user_id))
    reply = {
        "messages": sorted(fit, key=lambda message: message["seq"]),
        "first": first,
        "head": room.head,
        "more": len(fit) < len(rows),
    }
    if reply["more"]:
        reply["next"] = fit[-1]["seq"]
    return reply


def first_shown(room: Room, membership: Membership | None) -> int:
    """The lowest entry that this person may see."""
    if not room.history_from_join:
        return room.first
    return max(room.first, (membership.joined_at_seq if membership else room.head) + 1)


# Messages as they stand


def as_they_stand(rows: list[Message], user_id: int) -> Iterator[dict[str, Any]]:
    """Messages and notices of any rooms, in their order, as this person sees them."""
    live = [(row.room_id, row.seq) for row in rows if row.kind == Kind.MESSAGE and not row.deleted]
    edits = _last_edits(live)
    reactions = _reactions(live, user_id)
    for row in rows:
        yield {
            "event": row.kind,
            "room": row.room.slug,
            "seq": row.seq,
            "at": rfc3339(row.at),
            "from": Person(row.sender_id, row.sender.get_username()).as_dict(),
            "data": _data(row, edits.get((row.room_id, row.seq)), reactions.get((row.room_id, row.seq))),
        }


def _data(row: Message, edit: Message | None, reactions: list[dict[str, Any]] | None) -> dict[str, Any]:
    data: dict[str, Any] = {"client_id": row.client_id}
    if row.deleted:
        return data | {"deleted": json.loads(row.deleted)}
    text = edit or row
    if row.kind == Kind.MESSAGE:
        data["body"] = text.body
    if text.html:
        data["html"] = text.html
    if row.extra:
        data |= json.loads(row.extra)
    if edit:
        data["edited_at"] = rfc3339(edit.at)
    if reactions:
        data["reactions"] = reactions
    return data


def _last_edits(places: list[Place]) -> dict[Place, Message]:
    edits = _upon(places, Kind.EDIT).values("room", "target")
    last = edits.annotate(last=Max("pk")).values("last")
    return {(row.room_id, row.target): row for row in Message.objects.filter(pk__in=last) if row.target}


def _reactions(places: list[Place], user_id: int) -> dict[Place, list[dict[str, Any]]]:
    """By message: its emoji in the order in which they came, and who stands behind each.

    The last of a person's entries for an emoji counts. Grouped by the database, so that
    someone who switches one on and off all day costs no more rows than two.
    """
    people: dict[Place, dict[str, dict[int, str]]] = defaultdict(lambda: defaultdict(dict))
    acts = (
        _upon(places, Kind.REACT)
        .values("room", "target", "sender", "extra", name=F("sender__username"))
        .annotate(last=Max("seq"))
        .order_by("last")
    )
    for act in acts:
        reaction = json.loads(act["extra"])
        behind = people[act["room"], act["target"] or 0][reaction["emoji"]]
        behind.pop(act["sender"], None)
        if reaction["on"]:
            behind[act["sender"]] = act["name"]
    return {place: list(_counted(emoji, user_id)) for place, emoji in people.items()}


def _counted(emoji: dict[str, dict[int, str]], user_id: int) -> Iterator[dict[str, Any]]:
    left = NAMED
    for each, people in [(each, people) for each, people in emoji.items() if people][:EMOJI]:
        users = _persons(list(people.items())[: min(NAMED_PER_EMOJI, left)])
        left -= len(users)
        yield {"emoji": each, "count": len(people), "users": users, "mine": user_id in people}


def _upon(places: list[Place], kind: str) -> QuerySet[Message]:
    """The entries of a kind that did something to what stands at these places."""
    by_room: dict[int, list[int]] = defaultdict(list)
    for room_id, seq in places:
        by_room[room_id].append(seq)
    rooms = (Q(room=room_id, target__in=seqs) for room_id, seqs in by_room.items())
    return Message.objects.filter(reduce(or_, rooms, Q(pk__in=[])), kind=kind)


# Who has it


def who(namespace: str, slug: str, user_id: int, seq: int) -> dict[str, Any]:
    """`{"received", "read", "pending", "received_count", "read_count"}`, for members.

    The people who have received and read the entry, the first 100 of each by name, and how
    many have yet to receive it. Who joined after it doesn't count. Cursors are written about
    once a second, so this may be that much behind.
    """
    room, _ = rooms.member(namespace, slug, user_id)
    if not room.first <= seq <= room.head:
        raise EventError("bad_data", f"`seq` must be from {room.first} to {room.head}", field="seq")
    there = Membership.objects.filter(room=room, joined_at_seq__lt=seq)
    received = there.filter(received__gte=seq)
    read = there.filter(read__gte=seq)
    apart = _received_apart(room, there.filter(received__lt=seq), seq)
    received_count = received.count() + len(apart)
    return {
        "received": _persons([*_names(received), *apart][:MOST]),
        "read": _persons(_names(read)),
        "pending": there.count() - received_count,
        "received_count": received_count,
        "read_count": read.count(),
    }


def _received_apart(room: Room, behind: QuerySet[Membership], seq: int) -> list[tuple[int, str]]:
    """Members of an unordered room who have this entry, but not yet all below it."""
    if room.ordering == Room.Ordering.ORDERED:
        return []
    sets = behind.exclude(acked="").values_list("user_id", "user__username", "acked")
    return [(pk, name) for pk, name, acked in sets if seq in Ranges.parse(acked)]


def _names(members: QuerySet[Membership]) -> list[tuple[int, str]]:
    return list(members.order_by("user__username").values_list("user_id", "user__username")[:MOST])


def _persons(rows: Iterable[tuple[int, str]]) -> list[dict[str, Any]]:
    return [Person(pk, name).as_dict() for pk, name in rows]

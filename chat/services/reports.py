"""Reports of messages: made by readers, seen to by the room's owners and moderators and the staff.

Whoever wrote a message has no part in the reports of it, unless they are of the staff. A report
that doesn't exist and one that isn't this person's to see are the same answer.
"""

from __future__ import annotations

import json
from typing import Any

from django.contrib.admin.models import ADDITION
from django.contrib.auth.models import User
from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery

from chat.delivery import door
from chat.delivery.entries import Person, now, rfc3339
from chat.errors import EventError
from chat.models import Ban, Membership, Message, Report, Room

from . import history, people, rooms
from .acts import CHAT, Act, active, checked_reason, is_staff
from .moderation import messages
from .paging import LARGEST, check_seq, clamp, fitting

State = Report.State
UNSETTLED = (State.OPEN, State.CLAIMED)
STATES = {
    **{state.value: (state,) for state in State},
    "unsettled": UNSETTLED,
    "all": tuple(State),
}
#: Reports of one person that nobody has settled: more would only bury those of others.
MOST = 50

# Making one


def report(namespace: str, slug: str, user_id: int, seq: int, reason: str) -> Report:
    """Someone who may read a message asks for it to be looked at. Asked again it is the same
    report with the new reason, open again if it was settled."""
    check_seq("seq", seq)
    reason = _checked(reason)
    room, membership = rooms.look(namespace, slug, user_id)
    _check_message(room, seq, history.first_shown(room, membership), user_id)
    made = Report.objects.filter(room=room, seq=seq, reporter=user_id).first()
    if made is None or made.state not in UNSETTLED:
        return _open(room, seq, user_id, reason)
    # Of another reason nobody is told: who reports all day makes no noise.
    made.reason = reason
    made.save(update_fields=["reason"])
    return made


def _open(room: Room, seq: int, user_id: int, reason: str) -> Report:
    with door.controlled():
        reporter = active(user_id)
        _check_few(user_id)
        news = {"state": State.OPEN, "reason": reason, "handled_by": None, "handled_at": None, "outcome": ""}
        made, _ = Report.objects.update_or_create(room=room, seq=seq, reporter=reporter, defaults=news)
        _tell(Act(reporter, room), "a message was reported", made, flag=ADDITION, reason=reason)
    return made


def _checked(reason: str) -> str:
    reason = checked_reason(reason)
    if not reason:
        raise EventError("bad_data", "`reason` says in a few words what is wrong with it", field="reason")
    return reason


def _check_message(room: Room, seq: int, first: int, user_id: int) -> None:
    found = messages().filter(room=room, seq=seq).first() if seq >= first else None
    if found is None:
        raise EventError("not_found", f"there is no message {seq} in {room.slug!r}", field="seq")
    if found.sender_id == user_id:
        raise EventError("forbidden", "this is your own message: you may delete it")


def _check_few(user_id: int) -> None:
    if Report.objects.filter(reporter=user_id, state__in=UNSETTLED).count() >= MOST:
        raise EventError(
            "forbidden", f"nobody has seen to your last {MOST} reports yet: wait until they have"
        )


# Seeing to them


def claim(by: int, report: int) -> dict[str, Any]:
    """It is this person's to see to. Raises `conflict` where another has it, or it is settled."""
    return _handle(by, report, State.CLAIMED, "a report was claimed")


def resolve(by: int, report: int, outcome: str = "") -> dict[str, Any]:
    """Something was done about the message."""
    return _handle(by, report, State.RESOLVED, "a report was resolved", outcome)


def dismiss(by: int, report: int, outcome: str = "") -> dict[str, Any]:
    """Nothing had to be done."""
    return _handle(by, report, State.DISMISSED, "a report was dismissed", outcome)


def _handle(by: int, report: int, state: State, what: str, outcome: str = "") -> dict[str, Any]:
    outcome = checked_reason(outcome, "outcome")
    _find(by, report)  # who may not is refused before anything is locked
    with door.controlled():
        person, found = _find(by, report)
        _check_free(found, person, state)
        if (found.state, found.handled_by_id) != (State.CLAIMED, by) or state != State.CLAIMED:
            found.state, found.handled_by, found.handled_at = state, person, now()
            found.outcome = outcome
            found.save(update_fields=["state", "handled_by", "handled_at", "outcome"])
            _tell(Act(person, found.room), what, found, outcome=outcome)
    return _as_dicts([found])[0]


def _find(by: int, report: int) -> tuple[User, Report]:
    """Who acts, and the report. Raises `not_found` where it is not theirs to see."""
    person = active(by)
    found = _seen_by(person).filter(pk=report).first() if 0 < report <= LARGEST else None
    if found is None:
        raise EventError("not_found", f"there is no report {report}, or it is not yours to see")
    return person, found


def _check_free(report: Report, person: User, state: State) -> None:
    if report.state not in UNSETTLED:
        raise EventError("conflict", f"report {report.pk} is {report.state} already", state=report.state)
    others = report.state == State.CLAIMED and report.handled_by_id != person.pk
    if others and (state == State.CLAIMED or not is_staff(person)):
        raise EventError("conflict", f"{report.handled_by} sees to report {report.pk}", state=report.state)


def _tell(act: Act, what: str, report: Report, **more: Any) -> None:
    """On record, and to those who see to reports, in every process."""
    act.record(what, act.place, seq=report.seq, report=report.pk, **more)
    door.control("report", report=report.pk)


# Looking at them


def list_reports(
    by: int,
    *,
    room: str | None = None,
    namespace: str = CHAT,
    state: str = "open",
    before: int | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """`{"reports", "more", "next"?}`, the newest first: of one room or, for the staff, of all.
    `state` is one of `STATES`, `before` the id of the last one of the page before."""
    check_seq("before", before)
    states = STATES[rooms.checked_choice("state", state, list(STATES))]
    person = active(by)
    found = _seen_by(person).filter(state__in=states)
    if room is not None:
        found = found.filter(room=_led(person, namespace, room))
    elif not is_staff(person):
        raise EventError("forbidden", "reports of all rooms are for the staff alone: name a `room`")
    if before is not None:
        found = found.filter(pk__lt=before)
    rows = list(found.order_by("-pk")[: clamp(limit) + 1])
    fit = fitting(_as_dicts(rows[: clamp(limit)]))
    reply: dict[str, Any] = {"reports": fit, "more": len(fit) < len(rows)}
    if reply["more"]:
        reply["next"] = fit[-1]["id"]
    return reply


def news(report: int) -> tuple[dict[str, Any], dict[int, int]] | None:
    """A report as it stands, and for each of the room's owners and moderators how many are open.
    None where it has gone."""
    found = _whole().filter(pk=report).first()
    if found is None:
        return None
    by_sender = (
        open_in(found.room_id)
        .annotate(sender=Subquery(_its_message().values("sender")))
        .values_list("sender")
        .annotate(count=Count("pk"))
    )
    counts = dict(by_sender)
    leaders = Membership.objects.filter(room=found.room_id, role__in=rooms.LEADERS)
    total = sum(counts.values())
    left = {user: total - counts.get(user, 0) for user in leaders.values_list("user", flat=True)}
    return _as_dicts([found])[0], left


def open_in(room: Any) -> QuerySet[Report]:
    return Report.objects.filter(room=room, state=State.OPEN)


def by_others(reports: QuerySet[Report], user_id: int) -> QuerySet[Report]:
    """Those of messages that are not this person's own."""
    return reports.exclude(Exists(_its_message().filter(sender=user_id)))


def _led(person: User, namespace: str, slug: str) -> Room:
    if is_staff(person):
        return rooms.find(namespace, slug)
    room, membership = rooms.member(namespace, slug, person.pk)
    rooms.check_role(room, membership.role)
    return room


def _seen_by(person: User) -> QuerySet[Report]:
    """Those that this person sees to."""
    if is_staff(person):
        return _whole()
    led = Membership.objects.filter(user=person, role__in=rooms.LEADERS).values("room")
    bans = Ban.objects.filter(people.in_force(), user=person, room=OuterRef("room"))
    return by_others(_whole().filter(~Exists(bans), room__in=led), person.pk)


def _whole() -> QuerySet[Report]:
    """With what is said of them: the message, and the last edit of it."""
    message = _its_message().filter(seq__gte=OuterRef("room__first"))
    edits = Message.objects.filter(room=OuterRef("room"), target=OuterRef("seq"), kind=Message.Kind.EDIT)
    return Report.objects.select_related("room", "reporter", "handled_by").annotate(
        message=Subquery(message.values("pk")),
        edit=Subquery(edits.order_by("-seq").values("pk")[:1]),
    )


def _its_message() -> QuerySet[Message]:
    return Message.objects.filter(room=OuterRef("room"), seq=OuterRef("seq"))


def _as_dicts(reports: list[Any]) -> list[dict[str, Any]]:
    wanted = {pk for report in reports for pk in (report.message, report.edit) if pk is not None}
    entries = Message.objects.select_related("sender").in_bulk(wanted)
    return [
        {
            "id": each.pk,
            "room": each.room.slug,
            "namespace": each.room.namespace,
            "seq": each.seq,
            "reporter": _person(each.reporter),
            "reason": each.reason,
            "state": each.state,
            "handled_by": each.handled_by and _person(each.handled_by),
            "handled_at": each.handled_at and rfc3339(each.handled_at),
            "outcome": each.outcome,
            "at": rfc3339(each.at),
            "message": _message(entries.get(each.message), entries.get(each.edit)),
        }
        for each in reports
    ]


def _message(message: Message | None, edit: Message | None) -> dict[str, Any] | None:
    """As it stands now; None once it is no longer kept."""
    if message is None:
        return None
    text = edit or message
    shown: dict[str, Any] = {"from": _person(message.sender)}
    if message.deleted:
        return shown | {"deleted": json.loads(message.deleted)}
    shown["body"] = text.body
    return shown | ({"html": text.html} if text.html else {})


def _person(user: User) -> dict[str, Any]:
    return Person(user.pk, user.get_username()).as_dict()

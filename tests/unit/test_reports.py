"""Reports: who may make and see them, how they are settled, and what they show."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chat.delivery import door
from chat.delivery.entries import SYSTEM, Draft
from chat.models import Ban, Membership, Report, Room
from chat.services import listing, moderation, reports, rooms
from tests.support.refusals import refusal

from .conftest import member

pytestmark = pytest.mark.django_db

Role = Membership.Role


@pytest.fixture
def alice(general: Room) -> User:
    return member(general, "alice")


@pytest.fixture
def bob(general: Room) -> User:
    return member(general, "bob")


@pytest.fixture
def insult(bob: User) -> int:
    return say(bob, "you <b>fool</b>", html="<p>you fool</p>")


@pytest.fixture
def reported(alice: User, insult: int) -> Report:
    return reports.report("chat", "general", alice.pk, insult, "an insult")


def say(user: User, body: str, room: str = "general", **more: Any) -> int:
    return door.write(Draft("chat", room, user.pk, uuid.uuid4().hex, "message", body=body, **more))[0].seq


def write(user: User, kind: str, target: int, **more: Any) -> int:
    draft = Draft("chat", "general", user.pk, uuid.uuid4().hex, kind, target=target, **more)
    return door.write(draft)[0].seq


def ids(by: User, **more: Any) -> list[int]:
    return [each["id"] for each in reports.list_reports(by.pk, **more)["reports"]]


# Making one


def test_a_report_says_what_was_reported_by_whom_and_why(
    staff: User, alice: User, bob: User, insult: int, reported: Report
) -> None:
    (shown,) = reports.list_reports(staff.pk)["reports"]
    assert shown.pop("at").endswith("Z")
    assert shown == {
        "id": reported.pk,
        "room": "general",
        "namespace": "chat",
        "seq": insult,
        "reporter": {"id": alice.pk, "name": "alice"},
        "reason": "an insult",
        "state": "open",
        "handled_by": None,
        "handled_at": None,
        "outcome": "",
        "message": {
            "from": {"id": bob.pk, "name": "bob"},
            "body": "you <b>fool</b>",
            "html": "<p>you fool</p>",
        },
    }
    entry = LogEntry.objects.get()
    assert entry.user == alice and entry.change_message.startswith("a message was reported room=general")


def test_the_message_is_shown_as_it_stands(
    staff: User, bob: User, insult: int, reported: Report, general: Room
) -> None:
    write(bob, "edit", insult, body="you dear")
    write(bob, "edit", insult, body="you darling")
    (shown,) = reports.list_reports(staff.pk)["reports"]
    assert shown["message"]["body"] == "you darling" and "html" not in shown["message"]
    moderation.delete_message(staff.pk, "general", insult, reason="rude")
    (shown,) = reports.list_reports(staff.pk)["reports"]
    assert shown["message"]["deleted"]["reason"] == "rude" and "body" not in shown["message"]
    Room.objects.filter(pk=general.pk).update(first=insult + 1)
    assert reports.list_reports(staff.pk)["reports"][0]["message"] is None


def test_a_second_report_by_the_same_person_takes_the_place_of_the_first(
    staff: User, alice: User, owner: User, insult: int, reported: Report
) -> None:
    again = reports.report("chat", "general", alice.pk, insult, "a bad insult")
    assert again.pk == reported.pk and Report.objects.get().reason == "a bad insult"
    assert LogEntry.objects.count() == 1  # who reports all day makes no noise
    reports.dismiss(staff.pk, reported.pk, "it is not")
    reports.report("chat", "general", alice.pk, insult, "it is")
    fresh = Report.objects.get()
    assert (fresh.state, fresh.handled_by, fresh.handled_at, fresh.outcome) == ("open", None, None, "")
    assert reports.report("chat", "general", owner.pk, insult, "I think so, too").pk != reported.pk


def test_only_messages_of_others_that_stand_can_be_reported(
    alice: User, bob: User, owner: User, insult: int
) -> None:
    assert refusal(reports.report, "chat", "general", bob.pk, insult, "mine").code == "forbidden"
    edit = write(bob, "edit", insult, body="another")
    rooms.update("chat", "general", owner.pk, topic="manners")
    notice = Room.objects.get(slug="general").head
    for seq in (0, edit, notice, 99, 2**63 - 1):
        assert refusal(reports.report, "chat", "general", alice.pk, seq, "x").code == "not_found"
    assert refusal(reports.report, "chat", "general", alice.pk, 2**63, "x").code == "bad_data"
    write(bob, "delete", insult)
    assert refusal(reports.report, "chat", "general", alice.pk, insult, "x").code == "not_found"


def test_a_report_needs_a_reason_of_one_line(alice: User, insult: int) -> None:
    for reason in ("", "  ", "two\nlines", "x" * 301):
        error = refusal(reports.report, "chat", "general", alice.pk, insult, reason)
        assert (error.code, error.more["field"]) == ("bad_data", "reason")


def test_whoever_may_read_a_message_may_report_it_and_nobody_else(
    general: Room, bob: User, insult: int
) -> None:
    charlie = User.objects.create(username="charlie")
    assert reports.report("chat", "general", charlie.pk, insult, "rude").pk
    Room.objects.filter(pk=general.pk).update(history_from_join=True)
    dora = member(Room.objects.get(pk=general.pk), "dora")
    for who in (charlie, dora):
        assert refusal(reports.report, "chat", "general", who.pk, insult, "rude").code == "not_found"
    Room.objects.filter(pk=general.pk).update(private=True, history_from_join=False)
    hidden = refusal(reports.report, "chat", "general", charlie.pk, insult, "rude")
    absent = refusal(reports.report, "chat", "absent", charlie.pk, insult, "rude")
    assert hidden.code == absent.code == "not_found"
    assert hidden.message.replace("general", "absent") == absent.message
    Ban.objects.create(user=dora, room=general)
    assert refusal(reports.report, "chat", "general", dora.pk, insult, "rude").code == "not_found"


def test_nobody_buries_the_reports_of_others_under_their_own(
    alice: User, bob: User, staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "MOST", 2)
    first, *rest = [
        reports.report("chat", "general", alice.pk, say(bob, "hi"), "I dislike him") for _ in range(2)
    ]
    seq = say(bob, "hi")
    assert refusal(reports.report, "chat", "general", alice.pk, seq, "again").code == "forbidden"
    reports.dismiss(staff.pk, first.pk)
    assert reports.report("chat", "general", alice.pk, seq, "again").pk


# Seeing to them


def test_a_report_is_claimed_and_settled(moderator: User, owner: User, reported: Report) -> None:
    claimed = reports.claim(moderator.pk, reported.pk)
    assert claimed["state"] == "claimed" and claimed["handled_by"]["name"] == "moderator"
    assert reports.claim(moderator.pk, reported.pk) == claimed
    for act in (reports.claim, reports.resolve, reports.dismiss):
        error = refusal(act, owner.pk, reported.pk)
        assert (error.code, error.more["state"]) == ("conflict", "claimed") and "moderator" in error.message
    settled = reports.resolve(moderator.pk, reported.pk, "talked to him")
    assert (settled["state"], settled["outcome"]) == ("resolved", "talked to him")
    for act in (reports.claim, reports.resolve, reports.dismiss):
        assert refusal(act, moderator.pk, reported.pk).more["state"] == "resolved"
    said = [entry.change_message.split(" room=")[0] for entry in LogEntry.objects.filter(user=moderator)]
    assert sorted(said) == ["a report was claimed", "a report was resolved"]


def test_the_staff_settle_what_another_has_claimed(staff: User, moderator: User, reported: Report) -> None:
    reports.claim(moderator.pk, reported.pk)
    assert refusal(reports.claim, staff.pk, reported.pk).code == "conflict"
    assert reports.dismiss(staff.pk, reported.pk, "fine")["handled_by"]["name"] == "staff"


def test_a_report_that_is_not_ones_own_to_see_is_as_if_there_were_none(
    alice: User, bob: User, reported: Report
) -> None:
    outsider = User.objects.create(username="outsider")
    rooms.create("chat", outsider.pk, "elsewhere")
    for act in (reports.claim, reports.resolve, reports.dismiss):
        for by in (alice, bob, outsider):
            absent, hidden = refusal(act, by.pk, 10**6), refusal(act, by.pk, reported.pk)
            assert hidden.code == absent.code == "not_found" and hidden.more == absent.more
            assert hidden.message.replace(str(reported.pk), "1000000") == absent.message
        assert refusal(act, outsider.pk, 2**70).code == "not_found"


def test_nobody_has_a_part_in_reports_of_their_own_messages(
    owner: User, moderator: User, alice: User, staff: User, general: Room
) -> None:
    seq = say(moderator, "you fool")
    made = reports.report("chat", "general", alice.pk, seq, "abuse of power")
    assert refusal(reports.dismiss, moderator.pk, made.pk).code == "not_found"
    assert (ids(moderator, room="general"), ids(owner, room="general")) == ([], [made.pk])
    assert listing.describe(general.pk, moderator.pk)["open_reports"] == 0
    assert listing.describe(general.pk, owner.pk)["open_reports"] == 1
    told = reports.news(made.pk)
    assert told is not None and told[1] == {owner.pk: 1, moderator.pk: 0}
    assert reports.claim(owner.pk, made.pk)["state"] == "claimed"
    by_staff = say(alice, "and you")
    assert reports.report("chat", "general", owner.pk, by_staff, "rude")


def test_who_lost_the_role_or_is_banned_from_the_site_sees_to_nothing(
    owner: User, moderator: User, reported: Report
) -> None:
    moderation.set_role(owner.pk, moderator.pk, "general", "member")
    assert refusal(reports.claim, moderator.pk, reported.pk).code == "not_found"
    assert refusal(reports.list_reports, moderator.pk, room="general").code == "forbidden"
    ban = Ban.objects.create(user=owner, room=reported.room)
    assert refusal(reports.claim, owner.pk, reported.pk).code == "not_found"
    ban.delete()
    Ban.objects.create(user=owner)
    assert refusal(reports.claim, owner.pk, reported.pk).code == "forbidden"


# Lists


def test_reports_are_listed_by_state_and_room_the_newest_first(
    staff: User, owner: User, alice: User, bob: User
) -> None:
    rooms.create("chat", bob.pk, "other")
    first, second = [reports.report("chat", "general", alice.pk, say(bob, "x"), "r") for _ in range(2)]
    elsewhere = reports.report("chat", "other", alice.pk, say(bob, "x", "other"), "r")
    assert ids(staff) == [elsewhere.pk, second.pk, first.pk]
    assert ids(staff, room="general") == ids(owner, room="general") == [second.pk, first.pk]
    reports.claim(owner.pk, first.pk)
    reports.resolve(owner.pk, second.pk)
    assert ids(owner, room="general") == []
    assert (
        ids(owner, room="general", state="unsettled")
        == ids(owner, room="general", state="claimed")
        == [first.pk]
    )
    assert ids(owner, room="general", state="resolved") == [second.pk]
    page = reports.list_reports(staff.pk, state="all", limit=2)
    assert page["more"] and ids(staff, state="all", before=page["next"]) == [first.pk]


def test_the_list_is_for_who_sees_to_reports(owner: User, alice: User, general: Room) -> None:
    assert refusal(reports.list_reports, owner.pk).code == "forbidden"
    assert refusal(reports.list_reports, alice.pk, room="general").code == "forbidden"
    assert refusal(reports.list_reports, owner.pk, room="general", state="lost").more["field"] == "state"
    charlie = User.objects.create(username="charlie")
    Room.objects.filter(pk=general.pk).update(private=True)
    assert refusal(reports.list_reports, charlie.pk, room="general").code == "not_found"


def test_a_list_takes_as_many_queries_for_many_reports_as_for_one(
    staff: User, alice: User, bob: User, reported: Report
) -> None:
    def count() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            reports.list_reports(staff.pk)
        return len(queries)

    one = count()
    for _ in range(5):
        reports.report("chat", "general", alice.pk, say(bob, "x"), "r")
    assert count() == one


def test_the_system_sees_to_reports_for_commands(reported: Report) -> None:
    assert reports.dismiss(SYSTEM, reported.pk)["handled_by"]["id"] == SYSTEM

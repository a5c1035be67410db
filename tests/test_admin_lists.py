"""The admin's lists: as many queries for many rows as for few, and none that counts a log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from chat.delivery import door
from chat.delivery.entries import SYSTEM, Draft
from chat.models import Ban, DeadLetter, Lease, Login, Membership, Message, Report, Room, Token
from chat.services import moderation, rooms

from .support.pages import browser

pytestmark = pytest.mark.django_db

MESSAGES = "/admin/chat/message/"


@pytest.fixture
def boss() -> User:
    return User.objects.create_superuser("boss", password="x")


@pytest.fixture
def staff(boss: User) -> Client:
    return browser(boss)


def say(room: str, *bodies: str, sender: int = SYSTEM) -> list[int]:
    drafts = [Draft("chat", room, sender, f"c{id(body)}", "message", body=body) for body in bodies]
    return [receipt.seq for receipt in door.write(*drafts)]


def shown(staff: Client, **query: Any) -> list[str]:
    page = staff.get(MESSAGES, query)
    return [message.body for message in page.context["cl"].result_list]


# As many queries for many rows as for few


def grow(boss: User, number: int) -> None:
    """One more of each thing, each of other people and in another room."""
    person = User.objects.create(username=f"person{number}", is_staff=True)
    room = rooms.create("chat", person.pk, f"room{number}")
    queue = Room.objects.create(namespace="orders", slug=f"queue{number}", kind=Room.Kind.QUEUE)
    seq = say(room.slug, "hello", sender=person.pk)[0]
    door.write(Draft("orders", queue.slug, SYSTEM, f"o{number}", "item", body="{}"))
    Lease.objects.filter(room=queue).update(worker=person, state="dead")
    Membership.objects.filter(user=person).update(muted_until=datetime(2999, 1, 1, tzinfo=UTC))
    Ban.objects.create(user=person, room=room, by=boss)
    DeadLetter.objects.create(room=room, user=person, first=1, last=2, reason="expired")
    DeadLetter.objects.create(room=queue, first=1, last=1, reason="max_attempts")
    Report.objects.create(room=room, seq=seq, reporter=boss, reason="rude", handled_by=person)
    Token.objects.create(user=person, digest=str(number))
    Login.objects.create(user=person, session_key=str(number))
    Group.objects.create(name=f"group{number}")
    LogEntry.objects.create(user=person, action_flag=2, object_repr="x")


def queries(staff: Client) -> dict[str, int]:
    counts = {}
    for model in admin.site._registry:
        path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        with CaptureQueriesContext(connection) as caught:
            page = staff.get(path)
        rows = list(page.context["cl"].result_list)
        counts[f"{path} {'with rows' if rows else 'empty'}"] = len(caught)
    with CaptureQueriesContext(connection) as caught:
        staff.get("/admin/")
    return counts | {"/admin/": len(caught)}


def test_a_list_takes_as_many_queries_for_many_rows_as_for_few(staff: Client, boss: User) -> None:
    grow(boss, 0)
    queries(staff)  # content types are looked up once
    few = queries(staff)
    for number in range(1, 4):
        grow(boss, number)
    assert queries(staff) == few
    assert max(few.values()) <= 15
    assert [path for path in few if path.endswith("empty")] == ["/admin/axes/accessattempt/ empty"]


def test_nothing_counts_or_sorts_all_the_messages(staff: Client) -> None:
    rooms.create("chat", SYSTEM, "tea")
    say("tea", "one", "two")
    room = Room.objects.get(slug="tea").pk
    year = timezone.now().year
    for query in ("", "?kind=react", f"?at__year={year}", f"?room__id__exact={room}", "?p=2"):
        with CaptureQueriesContext(connection) as caught:
            assert staff.get(MESSAGES + query).status_code == 200
        about = [each["sql"] for each in caught if 'FROM "chat_message"' in each["sql"]]
        assert about and not any("COUNT(" in sql for sql in about), query
        if connection.vendor == "sqlite":
            plans = [row[3] for sql in about for row in plan(sql)]
            whole = [step for step in plans if step in ("SCAN chat_message", "USE TEMP B-TREE FOR ORDER BY")]
            assert whole == [], (query, plans)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="asks for SQLite's plan")
def test_a_messages_page_reads_no_room_to_its_end(staff: Client) -> None:
    rooms.create("chat", SYSTEM, "tea")
    seq = say("tea", "one")[0]
    pk = Message.objects.get(room__slug="tea", seq=seq).pk
    with CaptureQueriesContext(connection) as caught:
        staff.get(reverse("admin:chat_message_change", args=[pk]))
    about = [each["sql"] for each in caught if 'FROM "chat_message"' in each["sql"]]
    steps = [row[3] for sql in about for row in plan(sql) if "chat_message" in row[3]]
    assert steps and not any("SCAN" in step or "(room_id=?)" in step for step in steps), steps


def plan(sql: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        return cursor.fetchall()


# Finding messages


def test_the_newest_messages_come_first_and_nothing_else_unless_one_asks(staff: Client) -> None:
    rooms.create("chat", SYSTEM, "tea")
    rooms.create("chat", SYSTEM, "coffee")
    for body in ("one", "two", "three"):
        say("coffee" if body == "two" else "tea", body)
    door.write(Draft("chat", "tea", SYSTEM, "r", "react", target=1, extra={"emoji": "👍", "on": True}))
    assert shown(staff) == ["three", "two", "one"]
    reactions = staff.get(MESSAGES, {"kind": "react"}).context["cl"].result_list
    assert [entry.kind for entry in reactions] == ["react"]


def test_messages_are_found_by_room_sender_and_word(staff: Client) -> None:
    alice, bob = (User.objects.create(username=name) for name in ("alice", "bob"))
    for slug in ("tea", "coffee"):
        rooms.create("chat", alice.pk, slug)
        rooms.take_seat("chat", slug, bob.pk)
        say(slug, f"milk in {slug}", sender=alice.pk)
        say(slug, f"sugar in {slug}", sender=bob.pk)
    tea = Room.objects.get(slug="tea").pk
    assert shown(staff, room__id__exact=tea) == ["sugar in tea", "milk in tea"]
    assert sorted(shown(staff, sender__id__exact=bob.pk)) == ["sugar in coffee", "sugar in tea"]
    assert shown(staff, sender__id__exact=bob.pk, room__id__exact=tea) == ["sugar in tea"]
    assert sorted(shown(staff, q="milk")) == ["milk in coffee", "milk in tea"]
    assert shown(staff, q="milk", room__id__exact=tea) == ["milk in tea"]
    assert shown(staff, q="salt") == []


def test_odd_words_and_filters_are_refused_in_a_line(staff: Client) -> None:
    page = staff.get(MESSAGES, {"q": '"*'})
    assert "needs a letter or a digit" in page.content.decode()
    assert staff.get(MESSAGES, {"q": "tea\0 OR x" * 100}).status_code == 200
    for query in ({"room__id__exact": "x"}, {"sender__id__exact": "1" * 40}, {"at__year": "x"}, {"p": "-1"}):
        assert staff.get(MESSAGES, query, follow=True).status_code == 200, query


def test_the_dates_lead_down_to_a_day_and_back(staff: Client) -> None:
    rooms.create("chat", SYSTEM, "tea")
    seqs = say("tea", "old", "new")
    for seq, day in zip(
        seqs, (datetime(2024, 11, 30, 9, tzinfo=UTC), datetime(2025, 2, 3, tzinfo=UTC)), strict=True
    ):
        Message.objects.filter(room__slug="tea", seq=seq).update(at=day)
    Message.objects.exclude(room__slug="tea").update(at=datetime(2025, 1, 1, tzinfo=UTC))

    def dates(**query: Any) -> tuple[list[str], Any]:
        found = staff.get(MESSAGES, query).context["cl"].dates()
        return [each["title"] for each in found["choices"]], found["back"] and found["back"]["title"]

    assert dates() == (["2024", "2025"], None)
    assert dates(at__year=2025) == (["January 2025", "February 2025"], "All dates")
    assert dates(at__year=2024, at__month=11) == (["November 30"], "2024")
    assert dates(at__year=2024, at__month=11, at__day=30) == (["November 30"], "November 2024")
    assert shown(staff, at__year=2024) == ["old"]
    assert shown(staff, at__year=2025, at__month=2, at__day=3) == ["new"]
    for query in ({"at__year": 2025, "at__month": 13}, {"at__year": 99999}, {"at__year": 0}):
        assert staff.get(MESSAGES, query, follow=True).status_code == 200


# A message's own page


def test_a_message_is_shown_as_the_chat_shows_it_and_nothing_in_it_runs(staff: Client, boss: User) -> None:
    rooms.create("chat", boss.pk, "tea")
    seq = say("tea", "**milk** <script>alert(1)</script>", sender=boss.pk)[0]
    door.write(
        Draft(
            "chat",
            "tea",
            boss.pk,
            "e",
            "edit",
            target=seq,
            body="*sugar* <b>x</b>",
            html="<p><em>sugar</em></p>",
        )
    )
    message = Message.objects.get(room__slug="tea", seq=seq)
    page = staff.get(reverse("admin:chat_message_change", args=[message.pk])).content.decode()
    assert '<div class="message-preview"><p><em>sugar</em></p></div>' in page
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page
    assert "*sugar* &lt;b&gt;" in page


def test_a_tombstone_says_who_deleted_it_and_why(staff: Client, boss: User) -> None:
    rooms.create("chat", boss.pk, "tea")
    seq = say("tea", "milk")[0]
    moderation.delete_message(boss.pk, "tea", seq, reason="spilt")
    message = Message.objects.get(room__slug="tea", seq=seq)
    page = staff.get(reverse("admin:chat_message_change", args=[message.pk])).content.decode()
    assert "spilt" in page and "milk" not in page

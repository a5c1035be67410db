"""What the staff do in Django's admin: by lists, dialogs and forms, and never beside the services."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from chat.delivery import door, leases
from chat.delivery.entries import SYSTEM, Draft
from chat.models import Ban, DeadLetter, Lease, Login, Membership, Message, Report, Room, Token
from chat.services import moderation, people, rooms, tokens
from chat.services.acts import FOR_GOOD

from .support.pages import browser

pytestmark = pytest.mark.django_db

DAY = 24 * 3600


@pytest.fixture
def boss() -> User:
    return User.objects.create_superuser("boss", password="x")


@pytest.fixture
def staff(boss: User) -> Client:
    return browser(boss)


@pytest.fixture
def alice() -> User:
    """One of the staff who may do everything but what a superuser may."""
    person = User.objects.create_user("alice", is_staff=True)
    person.user_permissions.set(Permission.objects.all())
    return person


@pytest.fixture
def bob() -> User:
    return User.objects.create_user("bob")


@pytest.fixture
def room(bob: User, boss: User) -> Room:
    """With bob in it, and three messages of his."""
    made = rooms.create("chat", boss.pk, "general")
    rooms.take_seat("chat", "general", bob.pk)
    for number in range(3):
        door.write(Draft("chat", "general", bob.pk, f"m{number}", "message", body=f"message {number}"))
    return Room.objects.get(pk=made.pk)


def url(model: Any, page: str, *arguments: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=arguments)


def run(client: Client, model: Any, action: str, rows: Iterable[Any], **fields: Any) -> list[str]:
    """An action of a list on some of its rows; returns what is said."""
    client.cookies.pop("messages", None)  # what no page has shown yet
    ticked = {"action": action, "_selected_action": [row.pk for row in rows]}
    return said(client.post(url(model, "changelist"), {**ticked, **fields}))


def dialog(client: Client, row: Any, action: str, **fields: Any) -> HttpResponse:
    """What a dialog answers when it is sent."""
    return client.post(
        url(row, action, row.pk), {"_form_submitted": "1", **fields}, headers={"HX-Request": "true"}
    )


def is_done(answer: HttpResponse) -> bool:
    return answer.headers.get("HX-Refresh") == "true"


def said(answer: HttpResponse) -> list[str]:
    return [str(message) for message in get_messages(answer.wsgi_request)]  # type: ignore[attr-defined]


def errors(answer: Any) -> str:
    return str(answer.context["adminform"].form.errors)


def last_act() -> str:
    entry = LogEntry.objects.latest("pk")
    return f"{entry.user} {entry.change_message}"


def control() -> list[str]:
    rows = Message.objects.filter(kind=Message.Kind.CONTROL).order_by("pk")
    return list(rows.values_list("extra", flat=True))


# Messages


def test_deleted_messages_leave_tombstones_and_a_line_each_in_the_log(staff: Client, room: Room) -> None:
    two = Message.objects.filter(kind="message").order_by("seq")[:2]
    told = run(staff, Message, "delete_all", two, reason="spam")
    assert told == ["2 messages deleted."]
    rows = Message.objects.filter(kind="message").order_by("seq")
    assert [row.body for row in rows] == ["", "", "message 2"]
    assert '"reason":"spam"' in rows[0].deleted.replace(" ", "")
    assert last_act().startswith("boss a message was deleted") and "reason=spam" in last_act()


def test_what_could_not_be_deleted_is_said_with_the_reason(staff: Client, room: Room) -> None:
    every = list(Message.objects.filter(room=room, kind="message"))
    moderation.delete_message(SYSTEM, "general", every[0].seq)
    told = run(staff, Message, "delete_all", every)
    assert told == ["2 messages deleted.", f"there is no message {every[0].seq} in 'general'."]


def test_an_action_is_about_what_was_ticked_alone(staff: Client, room: Room) -> None:
    one = Message.objects.filter(kind="message")[:1]
    run(staff, Message, "delete_all", one, select_across="1")
    assert Message.objects.filter(kind="message").exclude(body="").count() == 2


# Bans and mutes


def test_a_ban_by_its_form_is_the_services_ban(staff: Client, room: Room, bob: User) -> None:
    staff.post(url(Ban, "add"), {"user": bob.pk, "room": room.pk, "term": str(DAY), "reason": "rude"})
    ban = Ban.objects.get()
    assert (ban.user, ban.room, ban.reason, ban.by.username) == (bob, room, "rude", "boss")  # type: ignore[union-attr]
    assert ban.until is not None and abs(ban.until - timezone.now() - timedelta(days=1)) < timedelta(hours=1)
    assert not Membership.objects.filter(user=bob).exists()
    assert LogEntry.objects.filter(change_message__startswith="a user was banned").count() == 1
    assert LogEntry.objects.count() == 1


def test_a_ban_from_the_site_has_no_room(staff: Client, bob: User) -> None:
    staff.post(url(Ban, "add"), {"user": bob.pk, "room": "", "term": "", "reason": "rude"})
    assert people.site_bans([bob.pk])[bob.pk].until is None


def test_a_refused_ban_is_an_error_of_the_form_and_changes_nothing(
    staff: Client, boss: User, alice: User
) -> None:
    page = staff.post(url(Ban, "add"), {"user": boss.pk, "room": "", "term": "", "reason": ""})
    assert "boss is the last superuser" in errors(page)
    page = browser(alice).post(url(Ban, "add"), {"user": boss.pk, "room": "", "term": "", "reason": ""})
    assert "only another superuser may do this" in errors(page)
    page = staff.post(url(Ban, "add"), {"user": alice.pk, "room": "", "term": "", "reason": "a\x1bb"})
    assert "one line without control characters" in errors(page)
    page = staff.post(url(Ban, "add"), {"user": 4711, "room": "", "term": "7", "reason": "x" * 301})
    assert all(field in errors(page) for field in ("user", "term", "reason"))
    assert not Ban.objects.exists()


def test_people_are_banned_and_unbanned_from_their_list(
    staff: Client, boss: User, bob: User, alice: User
) -> None:
    told = run(staff, User, "ban_all", [boss, bob, alice], term=str(DAY), reason="rude")
    assert told[0] == "2 users banned." and "last superuser" in told[1]
    assert people.site_bans([bob.pk, alice.pk]).keys() == {bob.pk, alice.pk}
    assert run(staff, User, "unban_all", [bob]) == ["1 user unbanned."]
    assert people.site_bans([bob.pk]) == {}


def test_a_ban_is_lifted_by_its_dialog_and_one_that_ran_out_goes_quietly(staff: Client, bob: User) -> None:
    ban = moderation.ban(SYSTEM, "bob")
    assert is_done(dialog(staff, ban, "unban"))
    assert not Ban.objects.exists()
    over = Ban.objects.create(user=bob, until=timezone.now() - timedelta(days=1))
    assert run(staff, Ban, "unban_all", [over]) == ["1 ban lifted."]
    assert not Ban.objects.exists()


def test_a_mute_by_its_form_ends_by_its_dialog(staff: Client, room: Room, bob: User) -> None:
    page = reverse("admin:chat_mute_add")
    staff.post(page, {"user": bob.pk, "room": room.pk, "term": "", "reason": "loud"})
    membership = Membership.objects.get(user=bob)
    assert membership.muted_until == FOR_GOOD
    answer = staff.post(reverse("admin:chat_mute_unmute", args=[membership.pk]), {"_form_submitted": "1"})
    assert answer.status_code == 302
    membership.refresh_from_db()
    assert membership.muted_until is None


def test_who_is_no_member_can_not_be_muted(staff: Client, room: Room, alice: User) -> None:
    page = staff.post(
        reverse("admin:chat_mute_add"), {"user": alice.pk, "room": room.pk, "term": "", "reason": ""}
    )
    assert "alice is not a member of" in errors(page)


# Members and rooms


def test_members_are_muted_removed_banned_and_given_roles(staff: Client, room: Room, bob: User) -> None:
    membership = Membership.objects.get(user=bob)
    assert is_done(dialog(staff, membership, "role", role="moderator"))
    assert run(staff, Membership, "mute_all", [membership], term=str(DAY)) == ["1 membership muted."]
    membership.refresh_from_db()
    assert membership.role == "moderator" and membership.muted_until
    assert run(staff, Membership, "kick_all", [membership], reason="enough") == ["1 membership ended."]
    assert not Membership.objects.filter(user=bob).exists()
    rooms.take_seat("chat", "general", bob.pk)
    assert is_done(dialog(staff, Membership.objects.get(user=bob), "ban", term=str(DAY), reason="enough"))
    assert Ban.objects.get().room == room


def test_a_member_who_left_meanwhile_is_told_in_the_dialog(staff: Client, room: Room, bob: User) -> None:
    membership = Membership.objects.get(user=bob)
    moderation.kick(SYSTEM, "bob", "general")
    answer = dialog(staff, membership, "kick")
    assert "There is no such row any more." in answer.content.decode()


def room_form(staff: Client, room: Room) -> dict[str, Any]:
    form = staff.get(url(room, "change", room.pk)).context["adminform"].form
    values = {name: form.initial.get(name) for name in form.fields}
    return {name: value for name, value in values.items() if value is not None and value is not False}


def test_the_name_and_the_rules_of_a_room_are_acts_its_members_are_told(staff: Client, room: Room) -> None:
    changes = {"name": "Everyone", "slow_mode": "30", "filtered_words": "tea\ncoffee", "retain_entries": "9"}
    answer = staff.post(url(room, "change", room.pk), {**room_form(staff, room), **changes})
    assert answer.status_code == 302
    room.refresh_from_db()
    assert (room.name, room.slow_mode, room.filtered_words.split()) == ("Everyone", 30, ["tea", "coffee"])
    assert room.retain_entries == 9
    notices = Message.objects.filter(room=room, kind="notice").values_list("extra", flat=True)
    assert any("called" in text for text in notices) and any("Slow mode" in text for text in notices)
    assert any('"act":"rules"' in text.replace(" ", "") for text in control())


def test_a_refused_rule_leaves_the_whole_room_as_it_was(staff: Client, room: Room) -> None:
    changes = {"name": "Everyone", "filtered_words": "tea-time"}
    page = staff.post(url(room, "change", room.pk), {**room_form(staff, room), **changes})
    assert "filtered_words" in errors(page)
    room.refresh_from_db()
    assert (room.name, room.filtered_words) == ("", "")


def test_a_form_that_was_open_for_long_moves_no_cursor_of_the_room(staff: Client, room: Room) -> None:
    old = room_form(staff, room)
    door.write(Draft("chat", "general", SYSTEM, "later", "message", body="later"))
    staff.post(url(room, "change", room.pk), {**old, "topic": "New"})
    head = Room.objects.get(pk=room.pk).head
    assert head == Message.objects.filter(room=room).count()


def test_rooms_are_closed_and_opened_again(staff: Client, room: Room) -> None:
    assert run(staff, Room, "close_all", [room], reason="moved") == ["1 room closed."]
    assert run(staff, Room, "close_all", [room]) == ["'general' is closed already."]
    assert is_done(dialog(staff, room, "reopen"))
    room.refresh_from_db()
    assert room.closed_at is None


# People


def test_sessions_and_tokens_end(staff: Client, bob: User) -> None:
    tokens.create(bob)
    browser(bob)
    told = run(staff, Token, "revoke_all", Token.objects.all())
    assert told == ["1 token revoked."]
    assert Token.objects.get().revoked_at is not None
    assert is_done(dialog(staff, bob, "end_sessions", reason="lost laptop"))
    assert not Login.objects.filter(user=bob).exists()
    browser(bob)
    assert run(staff, Login, "end", Login.objects.filter(user=bob)) == ["1 session ended."]


def test_an_account_is_switched_off_and_on(staff: Client, boss: User, bob: User) -> None:
    told = run(staff, User, "switch_off", [boss, bob])
    assert told[0] == "1 user switched off." and "last superuser" in told[1]
    bob.refresh_from_db()
    assert not bob.is_active
    assert any('"recheck"' in text for text in control())
    run(staff, User, "switch_on", [bob])
    bob.refresh_from_db()
    assert bob.is_active


async def whole(answer: Any) -> bytes:
    return b"".join([piece async for piece in answer])


def test_to_delete_a_person_one_has_to_give_their_name(staff: Client, room: Room, bob: User) -> None:
    answer = dialog(staff, bob, "delete_person", name="bobby")
    assert "this is not their name." in answer.content.decode()
    assert is_done(dialog(staff, bob, "delete_person", name="bob", erase="on"))
    bob.refresh_from_db()
    assert bob.username.startswith("deleted-")
    assert not Message.objects.filter(sender=bob, kind="message").exclude(body="").exists()


def test_a_persons_data_is_taken_as_a_file_and_that_is_on_record(
    staff: Client, alice: User, room: Room, bob: User
) -> None:
    answer = staff.get(url(bob, "take_data", bob.pk))
    assert 'filename="bob.jsonl"' in answer["Content-Disposition"]
    assert b"message 1" in asyncio.run(whole(answer))
    assert last_act() == "boss a user's data was taken"
    for permission in ("view_user", "view_message"):
        alice.user_permissions.remove(Permission.objects.get(codename=permission))
        assert browser(alice).get(url(bob, "take_data", bob.pk)).status_code == 403
    assert staff.get(url(bob, "take_data", 4711)).status_code == 404


def person_form(client: Client, person: User) -> dict[str, Any]:
    page = client.get(url(person, "change", person.pk))
    form = page.context["adminform"].form
    values = {name: form.initial.get(name) for name in form.fields if name != "password"}
    management = {}
    for inline in page.context["inline_admin_formsets"]:
        management |= {f"{inline.formset.prefix}-{name}_FORMS": "0" for name in ("TOTAL", "INITIAL")}
    return {name: value for name, value in values.items() if value not in (None, False)} | management


def test_the_last_superuser_can_not_be_demoted_or_switched_off_by_the_form(staff: Client, boss: User) -> None:
    for right in ("is_superuser", "is_active", "is_staff"):
        data = person_form(staff, boss)
        data.pop(right)
        page = staff.post(url(boss, "change", boss.pk), data)
        assert "boss is the last superuser" in errors(page), right
    User.objects.create_superuser("other", password="x")
    data = person_form(staff, boss)
    data.pop("is_superuser")
    assert staff.post(url(boss, "change", boss.pk), data).status_code == 302


def test_the_last_superuser_keeps_a_password(staff: Client, boss: User) -> None:
    page = staff.post(
        reverse("admin:auth_user_password_change", args=[boss.pk]), {"usable_password": "false"}
    )
    assert page.status_code == 200 and "last superuser" in page.content.decode()
    boss.refresh_from_db()
    assert boss.has_usable_password()


def test_only_a_superuser_makes_staff_or_changes_one_of_them(alice: User, boss: User, bob: User) -> None:
    staff = browser(alice)
    data = {**person_form(staff, bob), "is_staff": "on", "is_superuser": "on", "email": "bob@example.org"}
    assert staff.post(url(bob, "change", bob.pk), data).status_code == 302
    bob.refresh_from_db()
    assert (bob.is_staff, bob.is_superuser, bob.email) == (False, False, "bob@example.org")
    carol = User.objects.create_user("carol", is_staff=True)
    for other in (boss, carol):
        assert staff.post(url(other, "change", other.pk), {"username": "x"}).status_code == 403
        page = reverse("admin:auth_user_password_change", args=[other.pk])
        assert staff.post(page, {"password1": "a-new-one-1", "password2": "a-new-one-1"}).status_code == 403
        assert "only a" in run(staff, User, "switch_off", [other])[0]
        assert not is_done(dialog(staff, other, "delete_person", name=other.username))
    assert staff.get("/admin/auth/group/add/").status_code == 403


def test_a_new_name_is_one_that_people_may_have(staff: Client, bob: User) -> None:
    data = {**person_form(staff, bob), "username": "b0b system"}
    assert "username" in errors(staff.post(url(bob, "change", bob.pk), data))
    assert staff.post(url(bob, "change", bob.pk), {**data, "username": "robert"}).status_code == 302
    assert any('"forget"' in text for text in control())
    secret = {"password1": "a-new-one-1", "password2": "a-new-one-1", "usable_password": "true"}
    assert "username" in errors(staff.post(url(User, "add"), {"username": "admin", **secret}))
    assert staff.post(url(User, "add"), {"username": "dave", **secret}).status_code == 302
    assert User.objects.get(username="dave").check_password("a-new-one-1")


# Reports and dead letters


def test_reports_are_claimed_resolved_and_dismissed(staff: Client, room: Room, boss: User) -> None:
    seqs = Message.objects.filter(room=room, kind="message").values_list("seq", flat=True)
    one, two = (Report.objects.create(room=room, seq=seq, reporter=boss, reason="rude") for seq in seqs[:2])
    assert is_done(dialog(staff, one, "claim"))
    assert is_done(dialog(staff, one, "resolve", outcome="talked to them"))
    assert run(staff, Report, "dismiss_all", [one, two], reason="it was a joke") == [
        "1 report dismissed.",
        f"report {one.pk} is resolved already.",
    ]
    one.refresh_from_db(), two.refresh_from_db()
    assert (one.state, one.outcome, two.state, two.outcome) == (
        "resolved",
        "talked to them",
        "dismissed",
        "it was a joke",
    )


def test_a_reported_message_is_deleted_from_its_report(staff: Client, room: Room, boss: User) -> None:
    message = Message.objects.filter(room=room, kind="message").first()
    assert message
    report = Report.objects.create(room=room, seq=message.seq, reporter=boss, reason="rude")
    assert is_done(dialog(staff, report, "delete_reported", reason="rude"))
    message.refresh_from_db()
    assert message.body == "" and message.deleted


@pytest.fixture
def letters(room: Room, bob: User) -> list[DeadLetter]:
    """Of two orders that failed for good, and of a member."""
    fields = {"kind": "queue", "ordering": "unordered", "max_attempts": 1}
    queue = Room.objects.create(namespace="orders", slug="kitchen", **fields)
    for number in range(2):
        door.write(Draft("orders", "kitchen", SYSTEM, f"o{number}", "item", body='{"dish":"soup"}'))
    for lease in leases.take([leases.Want(queue.pk, SYSTEM, "a command", 2)]):
        leases.settle([leases.Fail(queue.pk, lease.order.seq, lease.token, SYSTEM, "burnt")])
    DeadLetter.objects.create(room=room, user=bob, first=1, last=2, reason=DeadLetter.Reason.EXPIRED)
    return list(DeadLetter.objects.order_by("pk"))


def test_dead_letters_are_revived_and_buried(staff: Client, letters: list[DeadLetter]) -> None:
    assert is_done(dialog(staff, letters[0], "revive"))
    told = run(staff, DeadLetter, "revive_all", [letters[2]])
    assert "is a room" in told[0]
    assert run(staff, DeadLetter, "bury_all", letters[1:]) == ["2 dead letters buried."]
    assert list(Lease.objects.order_by("seq").values_list("state", flat=True)) == ["queued", "buried"]
    assert not DeadLetter.objects.exists()
    assert any('"order:revived"' in text for text in control())

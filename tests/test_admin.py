"""Django's admin: its pages, and which of the staff may do what there."""

from __future__ import annotations

import re
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.test import Client, RequestFactory
from django.urls import reverse

from chat.admin.navigation import GROUPS, links
from chat.delivery import door
from chat.delivery.entries import Draft
from chat.models import Ban, DeadLetter, Lease, Login, Membership, Message, Mute, Report, Room, Token
from chat.services import moderation, rooms, tokens

from .support.pages import browser

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss() -> User:
    return User.objects.create_superuser("boss", password="x")


@pytest.fixture
def alice() -> User:
    """Of the staff, with what permissions a test gives her."""
    return User.objects.create_user("alice", is_staff=True)


@pytest.fixture
def bob() -> User:
    return User.objects.create_user("bob")


def allow(person: User, *names: str) -> Client:
    """This person's browser, once they have these permissions, `APP.DO_MODEL`."""
    for name in names:
        app, codename = name.split(".")
        person.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return browser(User.objects.get(pk=person.pk))


@pytest.fixture
def rows(boss: User, bob: User) -> list[Any]:
    """One of each model."""
    room = rooms.create("chat", boss.pk, "general")
    rooms.take_seat("chat", "general", bob.pk)
    seq = door.write(Draft("chat", "general", bob.pk, "one", "message", body="Hello"))[0].seq
    queue = Room.objects.create(namespace="orders", slug="kitchen", kind=Room.Kind.QUEUE)
    door.write(Draft("orders", "kitchen", boss.pk, "two", "item", body='{"dish": "soup"}'))
    tokens.create(bob)
    browser(bob)
    moderation.mute(boss.pk, "bob", "general", reason="loud")
    return [
        moderation.ban(boss.pk, "bob", reason="rude"),
        DeadLetter.objects.create(room=room, user=bob, first=1, last=2, reason=DeadLetter.Reason.EXPIRED),
        Lease.objects.get(room=queue),
        LogEntry.objects.first(),
        Login.objects.get(user=bob),
        Membership.objects.get(user=bob),
        Message.objects.get(room=room, seq=seq),
        Mute.objects.get(user=bob),
        Report.objects.create(room=room, seq=seq, reporter=boss, reason="rude"),
        room,
        Token.objects.get(),
        bob,
        Group.objects.create(name="moderators"),
    ]


def url(row: Any, page: str, *arguments: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{page}", args=arguments)


# Pages


def test_every_list_and_every_row_opens(boss: User, rows: list[Any]) -> None:
    staff = browser(boss)
    assert {type(row) for row in rows} == admin.site._registry.keys() - {AccessAttempt}
    for row in rows:
        assert staff.get(url(row, "changelist")).status_code == 200, row
        page = staff.get(url(row, "change", row.pk))
        assert page.status_code == 200, row
    assert staff.get(url(AccessAttempt, "changelist")).status_code == 200


def test_every_form_opens(boss: User) -> None:
    for model in (Ban, Mute, User, Group):
        assert browser(boss).get(url(model, "add")).status_code == 200


def test_every_dialog_opens(boss: User, rows: list[Any]) -> None:
    staff = browser(boss)
    for row in rows:
        for name in admin.site._registry[type(row)].actions_row or ():
            page = staff.get(url(row, name, row.pk))
            assert page.status_code == 200 and b"_form_submitted" in page.content, name


def test_a_dialog_about_nothing_says_so(boss: User) -> None:
    for number in ("4711", "x"):
        address = reverse("admin:auth_user_ban", args=[number])
        page = browser(boss).post(address, {"_form_submitted": "1"})
        assert page.status_code == 200 and b"here is no " in page.content


def test_the_sidebar_leads_to_every_list(boss: User, rows: list[Any]) -> None:
    listed = {model for _, items in GROUPS for _, _, model in items}
    assert listed == {f"{model._meta.label_lower}" for model in admin.site._registry}
    page = browser(boss).get("/admin/").content.decode()
    for model in admin.site._registry:
        assert f'href="{url(model, "changelist")}"' in page


def test_the_sidebar_shows_what_one_may_look_at(alice: User) -> None:
    allow(alice, "chat.view_report")
    request = RequestFactory().get("/admin/")
    request.user = User.objects.get(pk=alice.pk)
    titles = [item["title"] for group in links(request) for item in group["items"]]
    assert titles == ["Dashboard", "Console", "Reports"]


def test_the_dashboard_shows_how_the_site_is(boss: User, rows: list[Any]) -> None:
    page = browser(boss).get("/admin/")
    shown = {figure["title"]: figure["value"] for figure in page.context["figures"]}
    assert shown == {
        "Sockets now": 0,
        "Messages a minute": 0,
        "Deepest lag": Room.objects.get(slug="general").head,
        "Dead letters": 1,
        "Open reports": 1,
    }
    assert page.context["minutes"][-1] == 1
    assert "Hello" in page.content.decode() and "a user was banned" in page.content.decode()


def test_the_dashboard_tells_only_what_one_may_look_at(alice: User, rows: list[Any]) -> None:
    page = browser(alice).get("/admin/").content.decode()
    assert "Open reports" in page
    assert "Hello" not in page and "a user was banned" not in page


# Who may come in


def test_the_admin_is_for_the_staff(bob: User, rows: list[Any]) -> None:
    ways = Client().get("/admin/", follow=True).redirect_chain
    assert ways[-1] == ("/accounts/login/?next=/admin/", 302)
    Ban.objects.all().delete()
    for row in rows:
        assert browser(bob).get(url(row, "changelist"), follow=True).status_code == 403


def test_there_is_one_way_to_sign_in(boss: User) -> None:
    assert Client().get("/admin/login/?next=/admin/chat/ban/")["Location"] == (
        "/accounts/login/?next=/admin/chat/ban/"
    )
    assert Client().get("/admin/login/?next=//evil.example/")["Location"].startswith("/accounts/login/")
    assert browser(boss).get("/admin/login/")["Location"] == "/admin/"


def test_nothing_inline_runs_in_the_admin(boss: User, rows: list[Any]) -> None:
    for path in ("/admin/", url(rows[6], "changelist"), url(rows[6], "change", rows[6].pk)):
        page = browser(boss).get(path)
        policy = page["Content-Security-Policy"]
        assert "script-src 'self' 'unsafe-eval';" in f"{policy};"
        for script in re.findall(r"<script[^>]*>", page.content.decode()):
            assert "src=" in script or "json" in script, script
        assert not re.search(r"\son[a-z]+=", page.content.decode())
    assert "unsafe" not in browser(boss).get("/")["Content-Security-Policy"]


# Which of the staff may do what


def test_one_of_the_staff_without_permissions_sees_nothing(alice: User, rows: list[Any]) -> None:
    for row in rows:
        assert browser(alice).get(url(row, "changelist")).status_code == 403, row
        assert browser(alice).get(url(row, "change", row.pk)).status_code == 403, row


def test_what_one_may_look_at_one_may_not_change(alice: User, rows: list[Any]) -> None:
    staff = allow(alice, *(f"{row._meta.app_label}.view_{row._meta.model_name}" for row in rows))
    for row in rows:
        assert staff.get(url(row, "change", row.pk)).status_code == 200, row
        assert staff.post(url(row, "change", row.pk), {}).status_code == 403, row
        assert staff.post(url(row, "delete", row.pk), {"post": "yes"}).status_code == 403, row
        assert not staff.get(url(row, "changelist")).context["action_form"], row
        for name in admin.site._registry[type(row)].actions_row or ():
            assert staff.post(url(row, name, row.pk), {"_form_submitted": "1"}).status_code == 403, name


def test_what_delivery_writes_cannot_be_changed(boss: User, rows: list[Any]) -> None:
    staff = browser(boss)
    for row in rows:
        if type(row) not in (Room, User, Group):
            assert staff.post(url(row, "change", row.pk), {"body": "x"}).status_code == 403, row
        if type(row) is not Group:
            assert staff.post(url(row, "delete", row.pk), {"post": "yes"}).status_code == 403, row
    room = rows[9]
    fields = staff.get(url(room, "change", room.pk)).context["adminform"].form.fields
    assert not fields.keys() & {*Room.DELIVERY_FIELDS, "slug", "namespace", "kind", "ordering", "closed_at"}


@pytest.mark.parametrize(
    ("permission", "model", "action"),
    [
        ("chat.delete_message", Message, "delete_message"),
        ("chat.add_ban", User, "ban"),
        ("chat.delete_ban", Ban, "unban"),
        ("chat.add_mute", Membership, "mute"),
        ("chat.delete_mute", Mute, "unmute"),
        ("chat.delete_membership", Membership, "kick"),
        ("chat.change_membership", Membership, "role"),
        ("chat.change_room", Room, "close"),
        ("chat.change_token", Token, "revoke"),
        ("chat.delete_login", User, "end_sessions"),
        ("chat.change_deadletter", DeadLetter, "bury"),
        ("chat.change_report", Report, "resolve"),
        ("auth.change_user", User, "send_away"),
        ("auth.delete_user", User, "delete_person"),
    ],
)
def test_an_act_needs_its_permission(
    alice: User, rows: list[Any], permission: str, model: Any, action: str
) -> None:
    row = next(each for each in rows if type(each) is model)
    assert browser(alice).get(url(row, action, row.pk)).status_code == 403
    assert allow(alice, permission).get(url(row, action, row.pk)).status_code == 200


def test_a_token_and_a_session_are_never_shown(boss: User, rows: list[Any]) -> None:
    staff, token, login = browser(boss), rows[10], rows[4]
    for row in (token, login):
        for path in (url(row, "changelist"), url(row, "change", row.pk)):
            page = staff.get(path).content.decode()
            assert token.digest not in page and login.session_key not in page

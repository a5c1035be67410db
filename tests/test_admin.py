"""Django's admin: every page opens for staff, and what delivery writes is read-only."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from chat.delivery import door
from chat.delivery.entries import Draft
from chat.models import Ban, DeadLetter, Message, Report, Room, Token
from chat.services import rooms, tokens

pytestmark = pytest.mark.django_db

MODELS = [Ban, DeadLetter, Message, Report, Room, Token]


@pytest.fixture
def boss() -> User:
    return User.objects.create_superuser("boss", password="x")


@pytest.fixture
def rows(boss: User) -> list[Any]:
    """One of each model."""
    room = rooms.create("chat", boss.pk, "general")
    door.write(Draft("chat", "general", boss.pk, "one", "message", body="Hello"))
    tokens.create(boss)
    here = {"room": room, "user": boss}
    return [
        Ban.objects.create(**here),
        DeadLetter.objects.create(**here, first=1, last=2, reason=DeadLetter.Reason.EXPIRED),
        Message.objects.get(room=room),
        Report.objects.create(room=room, seq=1, reporter=boss, reason="rude"),
        Room.objects.get(pk=room.pk),
        Token.objects.get(),
    ]


def url(row: Any, page: str, *arguments: Any) -> str:
    return reverse(f"admin:chat_{row._meta.model_name}_{page}", args=arguments)


def test_every_model_is_registered_and_its_pages_open(client: Client, boss: User, rows: list[Any]) -> None:
    client.force_login(boss, "django.contrib.auth.backends.ModelBackend")
    assert [type(row) for row in rows] == MODELS
    for row in rows:
        assert type(row) in admin.site._registry
        assert client.get(url(row, "changelist")).status_code == 200
        assert client.get(url(row, "change", row.pk)).status_code == 200


def test_what_delivery_writes_cannot_be_changed(client: Client, boss: User, rows: list[Any]) -> None:
    client.force_login(boss, "django.contrib.auth.backends.ModelBackend")
    _, letter, message, _, room, _ = rows
    for row in (letter, message):
        assert client.post(url(row, "change", row.pk), {"body": "x"}).status_code == 403
        assert client.post(url(row, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert client.post(url(room, "delete", room.pk), {"post": "yes"}).status_code == 403
    fields = client.get(url(room, "change", room.pk)).context["adminform"].form.fields
    assert not fields.keys() & {*Room.DELIVERY_FIELDS, "slug", "namespace"}


def test_a_token_is_revoked_by_its_action_and_never_shown(
    client: Client, boss: User, rows: list[Any]
) -> None:
    client.force_login(boss, "django.contrib.auth.backends.ModelBackend")
    token = rows[-1]
    client.post(url(token, "changelist"), {"action": "revoke_all", "_selected_action": [token.pk]})
    token.refresh_from_db()
    assert token.revoked_at is not None
    assert token.digest not in client.get(url(token, "change", token.pk)).content.decode()


def test_the_admin_is_for_staff(client: Client, rows: list[Any]) -> None:
    client.force_login(User.objects.create_user("alice"), "django.contrib.auth.backends.ModelBackend")
    for row in rows:
        assert client.get(url(row, "changelist")).status_code == 302

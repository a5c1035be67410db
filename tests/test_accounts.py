"""Signing up, in and out, and changing one's password."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.signals import post_save
from django.test import Client
from django.urls import reverse

from chat.models import Login
from chat.services import people
from chat.services.people import Claim

PASSWORD = "correct horse battery"
BACKEND = "django.contrib.auth.backends.ModelBackend"

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice", password=PASSWORD)


def sign_up(client: Client, name: str, **more: str) -> Any:
    data = {"username": name, "password1": PASSWORD, "password2": PASSWORD, **more}
    return client.post(reverse("signup"), data)


def sign_in(client: Client, name: str, password: str = PASSWORD, **more: str) -> Any:
    return client.post(reverse("login"), {"username": name, "password": password, **more})


def signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


# Signing up


def test_who_signs_up_is_signed_in_and_comes_to_the_rooms(client: Client) -> None:
    answer = sign_up(client, "Dora")
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert client.session["_auth_user_id"] == str(User.objects.get(username="Dora").pk)


@pytest.mark.parametrize("name", ["alice", "Alice", "ALICE", "a1ice", "aIice", "system", "System"])
def test_a_name_that_is_taken_or_reads_like_one_is_refused(client: Client, alice: User, name: str) -> None:
    people = User.objects.count()
    assert sign_up(client, name).context["form"].errors["username"]
    assert User.objects.count() == people


@pytest.mark.parametrize(
    "name", ["", "two words", "al\nice", "аlice", "@alice", ".alice", "a" * 41, "admin", "Staff"]
)
def test_a_name_that_is_no_plain_word_is_refused_with_the_reason_beside_the_field(
    client: Client, name: str
) -> None:
    people = User.objects.count()
    answer = sign_up(client, name)
    assert User.objects.count() == people
    assert answer.context["form"].errors["username"]
    assert b'aria-describedby="id_username_error"' in answer.content
    assert b'id="id_username_error"' in answer.content


def test_a_weak_password_is_refused(client: Client) -> None:
    answer = sign_up(client, "dora", password1="12345678", password2="12345678")
    assert answer.context["form"].errors["password2"]
    assert not signed_in(client)


# Signing in and out


def test_signing_in_changes_the_session_key(client: Client, alice: User) -> None:
    session = client.session
    session["planted"] = True
    session.save()
    planted = session.session_key
    sign_in(client, "alice")
    assert signed_in(client)
    assert client.session.session_key != planted


def test_signing_out_needs_a_post(client: Client, alice: User) -> None:
    client.force_login(alice, BACKEND)
    assert client.get(reverse("logout")).status_code == 405
    assert signed_in(client)
    assert client.post(reverse("logout")).status_code == 302
    assert not signed_in(client)


@pytest.mark.parametrize("name", ["login", "signup", "logout", "password_change"])
def test_a_form_without_its_token_is_refused(alice: User, name: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice, BACKEND)
    assert client.post(reverse(name), {"username": "alice"}).status_code == 403


@pytest.mark.parametrize(
    "away",
    [
        "https://evil.example/",
        "//evil.example/",
        r"\\evil.example",
        "javascript:alert(1)",
        "http:evil.example",
    ],
)
def test_next_never_leads_to_another_site(client: Client, alice: User, away: str) -> None:
    assert sign_in(client, "alice", next=away)["Location"] == "/"
    assert client.get(reverse("login"), {"next": away})["Location"] == "/"
    client.post(reverse("logout"), {"next": away})
    assert sign_up(client, "dora", next=away)["Location"] == "/"


def test_next_leads_on_within_the_site(client: Client, alice: User) -> None:
    there = "/rooms/general/"
    assert sign_in(client, "alice", next=there)["Location"] == there
    client.post(reverse("logout"))
    assert f'value="{there}"' in client.get(reverse("signup"), {"next": there}).content.decode()
    assert sign_up(client, "dora", next=there)["Location"] == there


def test_guessed_passwords_lock_the_name_for_that_address_alone(client: Client, alice: User) -> None:
    for _ in range(9):
        assert sign_in(client, "alice", "guess").status_code == 200
    locked = sign_in(client, "alice", "guess")
    assert locked.status_code == 429
    assert "Too many attempts" in locked.content.decode()
    assert sign_in(client, "alice").status_code == 429

    elsewhere = Client(REMOTE_ADDR="192.0.2.7")
    assert sign_in(elsewhere, "alice").status_code == 302


# Changing the password


def change_password(client: Client, old: str = PASSWORD, new: str = "another good one") -> Any:
    data = {"old_password": old, "new_password1": new, "new_password2": new}
    return client.post(reverse("password_change"), data)


def test_a_changed_password_keeps_this_session_and_ends_the_others(client: Client, alice: User) -> None:
    other = Client()
    for browser in (client, other):
        browser.force_login(alice, BACKEND)
    assert change_password(client).status_code == 302
    assert client.get(reverse("password_change_done")).status_code == 200
    assert other.get(reverse("password_change_done")).status_code == 302


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_whoever_looks_while_a_password_changes_finds_this_session_going_on(
    client: Client, alice: User
) -> None:
    """Sockets are looked up again as soon as the change is committed."""
    client.force_login(alice, BACKEND)
    key = client.session.session_key or ""
    (before,) = people.read_rights([Claim("session", key)])
    assert isinstance(before, people.Rights)
    login = Login.objects.get(session_key=key)
    seen: list[Any] = []

    def look_after_commit(**kwargs: Any) -> None:
        transaction.on_commit(lambda: seen.extend(people.recheck([before])))

    post_save.connect(look_after_commit, sender=User)
    try:
        change_password(client)
    finally:
        post_save.disconnect(look_after_commit, sender=User)
    assert seen == [before]
    login.refresh_from_db()
    assert login.session_key == client.session.session_key != key


def test_the_old_password_is_asked_for(client: Client, alice: User) -> None:
    client.force_login(alice, BACKEND)
    answer = change_password(client, old="guess")
    assert answer.context["form"].errors["old_password"]
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


def test_the_admins_password_page_is_the_sites_own(client: Client, alice: User) -> None:
    assert client.get("/admin/password_change/")["Location"] == reverse("password_change")


# Headers


@pytest.mark.parametrize("path", ["/accounts/login/", "/admin/login/", "/healthz", "/nowhere"])
def test_every_page_comes_with_a_strict_policy(client: Client, path: str) -> None:
    answer = client.get(path)
    policy = answer["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_healthz_needs_no_database_and_no_session(client: Client, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        answer = client.get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"ok\n")


# Taking one's data away


def test_a_person_downloads_their_data_and_nobody_elses(client: Client, alice: User) -> None:
    bob = User.objects.create(username="bob")
    client.force_login(alice, BACKEND)
    answer = client.get(reverse("personal_data"), {"user": bob.pk})
    lines = [json.loads(line) for line in asyncio.run(body(answer)).splitlines()]
    assert answer["Content-Disposition"] == 'attachment; filename="alice.jsonl"'
    assert "no-store" in answer["Cache-Control"]
    assert [line["name"] for line in lines if line["line"] == "person"] == ["alice"]
    assert lines[-1] == {"line": "end", "lines": len(lines) - 1}


async def body(answer: Any) -> bytes:
    return b"".join([piece async for piece in answer])


def test_who_is_not_signed_in_has_no_data_to_download(client: Client) -> None:
    assert client.get(reverse("personal_data")).status_code == 302

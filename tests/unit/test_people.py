"""Who is speaking: tokens, sessions, bans, and what is left of them later."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal

import pytest
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from chat.errors import EventError
from chat.models import Ban, Login, Room, Token
from chat.services import people, tokens
from chat.services.people import Claim, Rights

pytestmark = pytest.mark.django_db
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice", password="a long password")


@pytest.fixture
def bob() -> User:
    return User.objects.create_user("bob", is_staff=True)


def session_of(user: User) -> Claim:
    browser = Client()
    browser.force_login(user, MODEL_BACKEND)
    return Claim("session", browser.cookies[settings.SESSION_COOKIE_NAME].value)


def token_of(user: User) -> Claim:
    return Claim("token", tokens.create(user))


def rights(claim: Claim) -> Rights:
    (found,) = people.read_rights([claim])
    assert isinstance(found, Rights)
    return found


def refusal(found: list[Rights | EventError]) -> EventError:
    (error,) = found
    assert isinstance(error, EventError)
    return error


def test_a_token_says_who_speaks(bob: User) -> None:
    claim = token_of(bob)
    assert rights(claim) == Rights(bob.pk, "bob", True, token=Token.objects.get().pk)


def test_a_session_says_who_speaks_and_which_login_it_is(alice: User) -> None:
    claim = session_of(alice)
    found = rights(claim)
    assert found == Rights(alice.pk, "alice", False, login=Login.objects.get(session_key=claim.value).pk)
    assert rights(claim) == found


def test_a_token_is_kept_as_a_digest_alone(alice: User) -> None:
    raw = tokens.create(alice)
    assert raw not in str(list(Token.objects.values()))
    assert Token.objects.get().digest == tokens.digest(raw)


@pytest.mark.parametrize("value", ["", "nothing", "x" * 5000, "' OR 1=1 --", "\0", "ü"])
@pytest.mark.parametrize("kind", ["token", "session"])
def test_an_unknown_claim_is_refused(kind: Literal["token", "session"], value: str) -> None:
    assert refusal(people.read_rights([Claim(kind, value)])).code == "unauthenticated"


def revoke(user: User) -> None:
    tokens.revoke(user.tokens.get())


def deactivate(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def delete(user: User) -> None:
    User.objects.filter(pk=user.pk).delete()


def change_password(user: User) -> None:
    user.set_password("another password")
    user.save()


def log_out(user: User) -> None:
    Session.objects.all().delete()


def let_expire(user: User) -> None:
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))


@pytest.mark.parametrize("end", [revoke, deactivate, delete])
def test_a_token_that_has_ended_lets_nobody_in_and_ends_open_sockets(
    alice: User, end: Callable[[User], None]
) -> None:
    claim = token_of(alice)
    held = rights(claim)
    assert people.recheck([held]) == [held]
    end(alice)
    assert refusal(people.read_rights([claim])).code == "unauthenticated"
    assert refusal(people.recheck([held])).code == "session_ended"


@pytest.mark.parametrize("end", [deactivate, delete, change_password, log_out, let_expire])
def test_a_session_that_has_ended_lets_nobody_in_and_ends_open_sockets(
    alice: User, end: Callable[[User], None]
) -> None:
    claim = session_of(alice)
    held = rights(claim)
    assert people.recheck([held]) == [held]
    end(alice)
    assert refusal(people.read_rights([claim])).code == "unauthenticated"
    assert refusal(people.recheck([held])).code == "session_ended"


def test_a_login_goes_on_where_its_session_got_a_new_key(alice: User) -> None:
    claim = session_of(alice)
    held = rights(claim)
    session = Session.objects.get(session_key=claim.value)
    Session.objects.create(
        session_key="b" * 32, session_data=session.session_data, expire_date=session.expire_date
    )
    session.delete()
    people.move_login(claim.value, "b" * 32)
    assert people.recheck([held]) == [held]


def test_a_session_without_a_login_row_gets_one(alice: User) -> None:
    claim = session_of(alice)
    Login.objects.all().delete()
    assert rights(claim).login == Login.objects.get(session_key=claim.value, user=alice).pk


def test_a_session_of_a_backend_that_is_not_used_any_more_is_refused(alice: User) -> None:
    claim = session_of(alice)
    store = Session.get_session_store_class()(claim.value)
    store["_auth_user_backend"] = "some.other.Backend"
    store.save()
    assert refusal(people.read_rights([claim])).code == "unauthenticated"


def test_a_session_with_a_foreign_user_value_is_refused(alice: User) -> None:
    claim = session_of(alice)
    store = Session.get_session_store_class()(claim.value)
    store[SESSION_KEY] = "not a number"
    store.save()
    assert refusal(people.read_rights([claim])).code == "unauthenticated"


def test_a_session_signed_with_the_key_before_the_last_one_still_counts(alice: User, settings: Any) -> None:
    claim = session_of(alice)
    held = rights(claim)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new one"
    # The session's data is signed as well; Django reads it with the fallback keys, too.
    assert rights(claim) == held


def test_new_rights_show_at_the_next_check(alice: User) -> None:
    held = rights(token_of(alice))
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    (now,) = people.recheck([held])
    assert isinstance(now, Rights) and now.staff


def test_who_is_banned_from_the_site_is_told_why_and_until_when(alice: User) -> None:
    claim, until = token_of(alice), timezone.now() + timedelta(hours=1)
    held = rights(claim)
    Ban.objects.create(user=alice, reason="spam", until=until)
    for found in (people.read_rights([claim]), people.recheck([held])):
        error = refusal(found).as_dict()
        assert error["code"] == "banned" and not error["temporary"]
        assert error["reason"] == "spam" and error["until"].startswith(until.strftime("%Y-%m-%dT%H:%M"))


def test_a_ban_from_a_room_or_one_that_ran_out_keeps_nobody_off_the_site(alice: User, bob: User) -> None:
    Ban.objects.create(user=alice, room=Room.objects.create(namespace="chat", slug="r"))
    Ban.objects.create(user=bob, until=timezone.now() - timedelta(seconds=1))
    assert rights(token_of(alice)) and rights(token_of(bob))


def test_many_claims_are_read_in_a_few_queries(django_assert_max_num_queries: Any) -> None:
    users = [User.objects.create(username=f"p{number}", password="!") for number in range(40)]
    claims = [make(user) for user in users for make in (token_of, session_of)]
    with django_assert_max_num_queries(8):
        held = people.read_rights([*claims, Claim("token", "nobody")])
    assert [found.user for found in held if isinstance(found, Rights)] == [
        user.pk for user in users for _ in "ab"
    ]
    assert isinstance(held[-1], EventError)
    with django_assert_max_num_queries(6):
        assert people.recheck([each for each in held if isinstance(each, Rights)]) == held[:-1]


def test_more_claims_than_a_query_takes_are_read_in_slices(alice: User) -> None:
    claim = token_of(alice)
    found = people.read_rights([claim, *[Claim("token", str(number)) for number in range(1200)], claim])
    assert len(found) == 1202 and found[0] == found[-1] == rights(claim)


def test_people_are_found_by_id_or_name(alice: User) -> None:
    assert people.find(alice.pk) == people.find("alice") == alice


@pytest.mark.parametrize("user", [0, "system", -1, 2**80, "nobody", "", "1", "gone", "a\0b"])
def test_nobody_else_is_found(user: int | str) -> None:
    User.objects.create(username="gone", is_active=False)
    with pytest.raises(EventError) as refused:
        people.find(user)
    assert refused.value.code == "not_found"

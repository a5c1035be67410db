"""Rights that are lost end what is open, soon, and say why."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.utils import timezone

from chat.errors import Close
from chat.models import Ban, Membership, Room, Token
from chat.services import tokens
from tests.conftest import Connect
from tests.support import Client, Refused, Server

HERE, ELSEWHERE = 1.0, 2.0  #: seconds until a process knows what it did itself, and what another did
SECRET = "correct horse battery"


async def is_refused(connect: Connect, client: Client, error: str, **how: Any) -> None:
    again = await connect(client, **how)
    assert not again.hello
    assert (await again.expect_error())["code"] == error
    assert (await again.closed() or 0) >= 4500


# By save() and delete(), in another process


def ban(user: int) -> None:
    Ban.objects.create(user_id=user, reason="spam")


def revoke(user: int) -> None:
    tokens.revoke(Token.objects.get(user=user))


def deactivate(user: int) -> None:
    person = User.objects.get(pk=user)
    person.is_active = False
    person.save()


def delete(user: int) -> None:
    User.objects.get(pk=user).delete()


def end_session(user: int) -> None:
    for session in Session.objects.all():
        if session.get_decoded().get("_auth_user_id") == str(user):
            session.delete()


def change_password(user: int) -> None:
    person = User.objects.get(pk=user)
    person.set_password("another one entirely")
    person.save()


@pytest.mark.each_server
@pytest.mark.parametrize(
    ("act", "by", "code", "error", "later"),
    [
        (ban, "token", Close.NOT_ALLOWED, "banned", "banned"),
        (ban, "cookie", Close.NOT_ALLOWED, "banned", "banned"),
        (revoke, "token", Close.SESSION_ENDED, "session_ended", "unauthenticated"),
        (deactivate, "token", Close.SESSION_ENDED, "session_ended", "unauthenticated"),
        (deactivate, "cookie", Close.SESSION_ENDED, "session_ended", "unauthenticated"),
        (delete, "token", Close.SESSION_ENDED, "session_ended", "unauthenticated"),
        (delete, "cookie", Close.SESSION_ENDED, "session_ended", "unauthenticated"),
    ],
)
async def test_a_person_who_may_no_longer_be_here_is_sent_away_and_stays_out(
    server: Server,
    connect: Connect,
    act: Callable[[int], None],
    by: str,
    code: Close,
    error: str,
    later: str,
) -> None:
    alice, bystander = await connect("alice", by=by), await connect("bystander", by=by)
    server.django(act, alice.id)
    told = await alice.ends(code, error, ELSEWHERE)
    if act is ban:
        assert told["reason"] == "spam"
    if by == "token":
        await is_refused(connect, alice, later)
    assert await bystander.call("rooms") and bystander.close_code is None


@pytest.mark.parametrize("act", [end_session, change_password])
async def test_the_end_of_a_session_ends_its_sockets_and_no_others(
    server: Server, connect: Connect, act: Callable[[int], None]
) -> None:
    browser = await connect("alice", by="cookie")
    program = await connect(browser, by="token")
    server.django(act, browser.id)
    await browser.ends(Close.SESSION_ENDED, "session_ended", ELSEWHERE)
    assert await program.call("rooms") and program.close_code is None


async def test_a_member_whose_membership_is_deleted_is_removed_from_the_room_alone(
    server: Server, alice: Client, bob: Client
) -> None:
    room = server.room("room", [alice.person, bob.person], private=True)
    await bob.join(room)
    server.django(lambda: Membership.objects.get(room__slug=room, user=bob.id).delete())
    began = time.monotonic()
    assert (await bob.expect("room:removed", room=room))["data"]["code"] == "kicked"
    assert time.monotonic() - began < ELSEWHERE
    await alice.say(room, "a secret")
    with pytest.raises(Refused) as refused:
        await bob.join(room)
    assert refused.value.code == "not_found"
    assert bob.seqs(room) == []


async def test_a_member_who_is_banned_from_a_room_is_removed_from_it(
    server: Server, alice: Client, bob: Client
) -> None:
    room = server.room("room", [alice.person, bob.person])
    await bob.join(room)
    server.django(lambda: Ban.objects.create(room=Room.objects.get(slug=room), user_id=bob.id))
    began = time.monotonic()
    assert (await bob.expect("room:removed", room=room))["data"]["code"] == "banned"
    assert time.monotonic() - began < ELSEWHERE
    await alice.say(room, "a secret")
    with pytest.raises(Refused) as refused:
        await bob.join(room)
    assert refused.value.code == "banned"
    assert bob.seqs(room) == []


@pytest.mark.each_server
async def test_a_process_that_was_paused_for_longer_than_its_orders_are_kept_sends_everyone_away(
    server: Server, connect: Connect, alice: Client, bob: Client
) -> None:
    def forget() -> None:
        ban(alice.id)
        control = Room.objects.get(kind=Room.Kind.CONTROL)
        Room.objects.filter(pk=control.pk).update(first=control.head + 1)

    os.kill(server.pid, signal.SIGSTOP)
    try:
        server.django(forget)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert await alice.closed() in (Close.GOING_AWAY, Close.NOT_ALLOWED)
    assert await bob.closed() == Close.GOING_AWAY
    await is_refused(connect, alice, "banned")
    assert (await connect(bob)).hello


# By a browser, in the same process


class Browser:
    """A signed-in browser that sends the site's own forms."""

    def __init__(self, server: Server, cookie: str) -> None:
        self._url = server.origin
        self._cookie = cookie

    def send(self, path: str, **fields: str) -> None:
        token = "a" * 32  # the same in the cookie and in the form, as the site asks
        data = urllib.parse.urlencode({"csrfmiddlewaretoken": token, **fields}).encode()
        headers = {"Cookie": f"{self._cookie}; csrftoken={token}", "Origin": self._url}
        request = urllib.request.Request(self._url + path, data, headers)
        with urllib.request.build_opener(Stay).open(request) as answer:
            assert answer.status == 302, answer.read()


class Stay(urllib.request.HTTPRedirectHandler):
    def http_error_302(self, request: Any, answer: Any, *about: Any) -> Any:
        return answer


@pytest.fixture
async def two_browsers(server: Server, connect: Connect) -> tuple[Browser, Client, Client]:
    """A browser, its socket, and the same person's socket from another browser."""
    person = server.person("alice")
    server.django(set_password, person.id)
    cookies = server.cookie(person), server.cookie(person)
    own, other = [await connect(person, by="cookie", cookie=cookie) for cookie in cookies]
    return Browser(server, cookies[0]), own, other


def set_password(user: int) -> None:
    person = User.objects.get(pk=user)
    hasher = PBKDF2PasswordHasher()  # the server's, not the tests'
    person.password = hasher.encode(SECRET, hasher.salt())
    person.save()


@pytest.mark.each_server
async def test_a_logout_ends_that_sessions_sockets(two_browsers: tuple[Browser, Client, Client]) -> None:
    browser, own, other = two_browsers
    await asyncio.to_thread(browser.send, "/accounts/logout/")
    await own.ends(Close.SESSION_ENDED, "session_ended", HERE)
    assert await other.call("rooms") and other.close_code is None


@pytest.mark.each_server
async def test_a_new_password_ends_the_other_sessions_and_not_ones_own(
    two_browsers: tuple[Browser, Client, Client],
) -> None:
    browser, own, other = two_browsers
    new = "battery staple correct"
    form = {"old_password": SECRET, "new_password1": new, "new_password2": new}
    await asyncio.to_thread(browser.send, "/accounts/password_change/", **form)
    await other.ends(Close.SESSION_ENDED, "session_ended", HERE)
    assert await own.call("rooms") and own.close_code is None


# Past all signals, found by the recheck


@pytest.mark.shortened(hub__rights__RECHECK=0.3)
@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda user: User.objects.filter(pk=user).update(is_active=False), Close.SESSION_ENDED),
        (lambda user: Token.objects.filter(user=user).update(revoked_at=timezone.now()), Close.SESSION_ENDED),
        (lambda user: Ban.objects.bulk_create([Ban(user_id=user)]), Close.NOT_ALLOWED),
    ],
    ids=["deactivated", "revoked", "banned"],
)
async def test_what_no_signal_told_is_found_by_the_recheck(
    server: Server, alice: Client, bob: Client, act: Callable[[int], Any], code: Close
) -> None:
    server.django(act, alice.id)
    assert await alice.closed() == code
    assert await bob.call("rooms") and bob.close_code is None


@pytest.mark.shortened(hub__rights__RECHECK=0.3)
async def test_a_membership_that_is_gone_without_a_signal_is_found_by_the_recheck(
    server: Server, alice: Client, bob: Client
) -> None:
    room = server.room("room", [alice.person, bob.person])
    await bob.join(room)
    members = Membership.objects.filter(room__slug=room, user=bob.id)
    server.django(lambda: members._raw_delete(members.db))
    await bob.expect("room:removed", room=room)
    await alice.say(room, "a secret")
    await alice.call("rooms")
    assert bob.seqs(room) == []


@pytest.mark.shortened(hub__rights__RECHECK=0.3)
async def test_a_recheck_changes_nothing_for_who_may_stay(
    server: Server, connect: Connect, alice: Client, bob: Client
) -> None:
    room = server.room("room", [alice.person, bob.person])
    browser = await connect(bob, by="cookie")
    staying = [alice, bob, browser]
    for client in staying:
        await client.join(room)
    for _ in range(3):
        going = await connect("someone")
        server.django(lambda: User.objects.filter(pk=going.id).update(is_active=False))  # noqa: B023
        await going.closed()
    seq = (await alice.say(room, "still here"))["seq"]
    await asyncio.gather(*(client.gets(room, seq=seq) for client in staying))

"""What is done to people in the admin, in a shell or by SQL reaches their sockets, too.

Bob is the person whom it is about, Alice a bystander. (What they do themselves, such as a logout,
is in `test_hub_rights`.)
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client as Browser

from chat.errors import Close
from chat.models import Membership
from tests.conftest import Connect
from tests.support import Client, Person, Refused, Server
from tests.support.server import ROOT


async def stays(client: Client) -> None:
    assert await client.call("rooms") and client.close_code is None


# In the admin


@pytest.fixture
def boss(server: Server) -> Person:
    person = server.person("boss", staff=True)
    server.django(lambda: User.objects.filter(pk=person.id).update(is_superuser=True))
    return person


@pytest.fixture
def admin(server: Server, boss: Person) -> Callable[..., Any]:
    """`admin(submit, …)`: called with the browser of a superuser."""

    def run(act: Callable[..., Any], *args: Any, **more: Any) -> Any:
        browser = Browser()
        browser.force_login(User.objects.get(pk=boss.id), "django.contrib.auth.backends.ModelBackend")
        return act(browser, *args, **more)

    return lambda *args, **more: server.django(run, *args, **more)


def change(browser: Browser, user: int, **changes: Any) -> None:
    """The form of a person, sent with some of its fields changed."""
    page = f"/admin/auth/user/{user}/change/"
    shown: Any = browser.get(page).context
    form = shown["adminform"].form
    data = {name: form[name].value() for name in form.fields}
    for inline in shown["inline_admin_formsets"]:
        data |= {field.html_name: field.value() for field in inline.formset.management_form}
    sent = {key: value for key, value in (data | changes).items() if value is not None and value is not False}
    answer = browser.post(page, sent)
    assert answer.status_code == 302, answer.context["errors"]


def act_on(browser: Browser, model: str, action: str, row: int, **more: str) -> None:
    """An action of a list, on one row of it."""
    answer = browser.post(f"/admin/{model}/", {"action": action, "_selected_action": row, **more})
    assert answer.status_code == 302


def set_password(browser: Browser, user: int) -> None:
    new = {"password1": "battery staple correct", "password2": "battery staple correct"}
    answer = browser.post(f"/admin/auth/user/{user}/password/", {"usable_password": "true", **new})
    assert answer.status_code == 302


async def test_an_account_that_is_switched_off_in_the_admin(
    admin: Any, connect: Connect, alice: Client, bob: Client
) -> None:
    browser = await connect(bob, by="cookie")
    admin(change, bob.id, is_active=False)
    for client in (bob, browser):
        await client.ends(Close.SESSION_ENDED, "session_ended")
    await stays(alice)


async def test_one_of_the_staff_who_is_made_a_plain_member_in_the_admin(
    server: Server, admin: Any, connect: Connect
) -> None:
    dora = server.person("dora", staff=True)
    overseeing, chatting = await connect(dora, namespace="admin"), await connect(dora)
    admin(change, dora.id, is_staff=False)
    await overseeing.ends(Close.NOT_ALLOWED, "forbidden")
    await stays(chatting)


async def test_a_password_that_is_set_in_the_admin(admin: Any, connect: Connect, bob: Client) -> None:
    browser = await connect(bob, by="cookie")
    admin(set_password, bob.id)
    await browser.ends(Close.SESSION_ENDED, "session_ended")
    await stays(bob)  # came with a token


async def test_a_ban_in_the_admin(admin: Any, alice: Client, bob: Client) -> None:
    admin(lambda browser: act_on(browser, "auth/user", "ban_all", bob.id, reason="spam"))
    assert (await bob.ends(Close.NOT_ALLOWED, "banned"))["reason"] == "spam"
    await stays(alice)


# In a shell


SHELL = """
from django.contrib.auth.models import User
from chat.models import Ban, Membership, Room, Token
switched_off, new_password, demoted, revoked, banned, removed = User.objects.in_bulk({people}).values()
switched_off.is_active = False
switched_off.save()
new_password.set_password("another one entirely")
new_password.save()
demoted.is_staff = False
demoted.save()
Token.objects.get(user=revoked).delete()
Ban.objects.create(user=banned, reason="spam")
room = Room.objects.get(slug="{room}")
Membership.objects.get(user=removed, room=room).delete()
room.filtered_words, room.filter_action = "darn", "refuse"
room.save()
"""


async def test_what_someone_does_in_a_shell(server: Server, connect: Connect, alice: Client) -> None:
    people = [server.person("shell", staff=True) for _ in range(6)]
    room = server.room("room", [alice.person, people[5]], private=True)
    off, password, demoted, revoked, banned, removed = [
        await connect(people[0]),
        await connect(people[1], by="cookie"),
        await connect(people[2], namespace="admin"),
        await connect(people[3]),
        await connect(people[4]),
        await connect(people[5]),
    ]
    await removed.join(room)
    lines = SHELL.format(people=[person.id for person in people], room=room)
    command = [sys.executable, "manage.py", "shell", "-c", lines]
    await asyncio.to_thread(subprocess.run, command, cwd=ROOT, env=server.environment, check=True, timeout=60)
    for client in (off, password, revoked):
        await client.ends(Close.SESSION_ENDED, "session_ended")
    await demoted.ends(Close.NOT_ALLOWED, "forbidden")
    assert (await banned.ends(Close.NOT_ALLOWED, "banned"))["reason"] == "spam"
    assert (await removed.expect("room:removed", room=room))["data"]["code"] == "kicked"
    await stays(removed)
    with pytest.raises(Refused, match="no message with 'darn'"):
        while True:  # each process hears of it by itself; without a pause this would be a flood
            await alice.say(room, "darn")
            await asyncio.sleep(0.05)


# By SQL, of which nobody is told: found when the rights of all are read again, here more often


def sql(statement: str) -> Callable[[int], None]:
    def run(user: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, [user])

    return run


@pytest.mark.shortened(hub__rights__RECHECK=0.3)
@pytest.mark.parametrize(
    ("act", "by", "code"),
    [
        (sql("UPDATE auth_user SET password = '!another' WHERE id = %s"), "cookie", Close.SESSION_ENDED),
        (sql("DELETE FROM chat_login WHERE user_id = %s"), "cookie", Close.SESSION_ENDED),
    ],
    ids=["password", "login"],
)
async def test_what_sql_took_is_found_within_a_minute(
    server: Server, connect: Connect, alice: Client, act: Callable[[int], Any], by: str, code: Close
) -> None:
    bob = await connect("bob", by=by)
    server.django(act, bob.id)
    assert await bob.closed() == code
    await stays(alice)


@pytest.mark.shortened(hub__rights__RECHECK=0.3)
async def test_a_role_that_sql_took_counts_at_the_next_act(
    server: Server, alice: Client, bob: Client
) -> None:
    room = server.room("room", [alice.person, bob.person])
    server.django(lambda: Membership.objects.filter(room__slug=room, user=alice.id).update(role="member"))
    with pytest.raises(Refused) as refused:
        await alice.call("room:kick", {"room": room, "user": bob.id})
    assert refused.value.code == "forbidden"

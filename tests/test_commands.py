"""`manage.py token`, `demo` and `run`."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError

from chat.management.commands import demo, run
from chat.models import Lease, Membership, Message, Room, Token
from chat.services import tokens
from tests.support.commands import call

ROOT = Path(__file__).parent.parent


# token


@pytest.mark.django_db
def test_token_prints_a_token_and_nothing_else() -> None:
    alice = User.objects.create_user("alice")
    printed = call("token", "alice")
    assert printed == printed.strip() + "\n"
    assert Token.objects.get(digest=tokens.digest(printed.strip())).user == alice


@pytest.mark.django_db
def test_token_create_makes_a_person_who_has_no_password() -> None:
    call("token", "worker-1", "--create")
    worker = User.objects.get(username="worker-1")
    assert not worker.has_usable_password()
    assert not worker.is_staff


@pytest.mark.django_db
def test_token_create_of_someone_who_exists_is_theirs() -> None:
    User.objects.create_user("alice")
    call("token", "alice", "--create")
    assert Token.objects.get().user.username == "alice"


@pytest.mark.django_db
def test_token_staff_makes_staff() -> None:
    call("token", "ops", "--create", "--staff")
    assert User.objects.get(username="ops").is_staff


@pytest.mark.django_db
def test_token_revoke_ends_all_tokens_of_the_person_and_of_nobody_else() -> None:
    for name in ("alice", "alice", "bob"):
        call("token", name, "--create")
    assert call("token", "alice", "--revoke") == ""
    assert list(Token.objects.filter(revoked_at=None).values_list("user__username", flat=True)) == ["bob"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nobody"], "There is no 'nobody'"),
        (["nobody", "--revoke"], "There is no 'nobody'"),
        (["system"], "not active"),
        (["SYSTEM", "--create"], "is taken"),
        (["no spaces", "--create"], "letters"),
        (["alice", "--revoke", "--staff"], "--revoke stands alone"),
    ],
)
def test_token_refuses_in_one_line_and_changes_nothing(arguments: list[str], says: str) -> None:
    people = User.objects.count()
    with pytest.raises(CommandError) as refused:
        call("token", *arguments)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert User.objects.count() == people
    assert not Token.objects.exists()


# demo


@pytest.mark.django_db
def test_demo_makes_people_rooms_messages_and_orders_once(settings: Any) -> None:
    settings.DEBUG = True
    call("demo")
    first = demo_state()
    call("demo")
    assert demo_state() == first
    people, rooms, memberships, messages, orders = first
    assert people == ["alice", "bob"]
    assert rooms == sorted(demo.ROOMS)
    assert memberships == len(demo.PEOPLE) * len(demo.ROOMS) + 1  # the queue's owner
    assert messages == sum(len(bodies) for _, _, bodies in demo.ROOMS.values())
    assert orders == [("kitchen", each, "queued") for each in (1, 2, 3)]
    assert demo.can_sign_in()


@pytest.mark.django_db
def test_demo_is_refused_without_debug() -> None:
    with pytest.raises(CommandError, match="only with DEBUG=1"):
        call("demo")


def demo_state() -> tuple[list[str], list[str], int, int, list[tuple[str, int, str]]]:
    return (
        sorted(User.objects.exclude(pk=0).values_list("username", flat=True)),
        sorted(Room.objects.filter(namespace="chat").values_list("slug", flat=True)),
        Membership.objects.count(),
        Message.objects.filter(kind="message").count(),
        list(Lease.objects.order_by("seq").values_list("room__slug", "seq", "state")),
    )


# restored


@pytest.mark.django_db
def test_restored_gives_every_log_a_new_epoch_and_changes_nothing_else() -> None:
    Room.objects.create(namespace="chat", slug="general")
    before = {room["id"]: room for room in Room.objects.values()}
    assert call("restored") == f"{len(before)} logs have a new epoch.\n"
    after = {room["id"]: room for room in Room.objects.values()}
    assert not {room.pop("epoch") for room in before.values()} & {
        room.pop("epoch") for room in after.values()
    }
    assert after == before


# run


@contextlib.contextmanager
def running(database: Path, port: int, **environment: str) -> Iterator[str]:
    """A server started by `manage.py run`; yields what it printed."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "run"],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "chatsite.settings",
            "DATABASE_URL": f"sqlite:///{database}",
            "PORT": str(port),
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    printed = []
    try:
        for line in process.stdout:
            printed.append(line)
            if line.startswith("Stop with"):
                break
        yield "".join(printed)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def get(port: int, path: str) -> http.client.HTTPResponse:
    deadline = time.monotonic() + 30
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse()
        except ConnectionRefusedError:
            # It has said where it will be; whether it is there yet, only the port tells.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_run_fills_a_new_database_serves_and_keeps_the_data(tmp_path: Path, free_port: int) -> None:
    database = tmp_path / "db.sqlite3"
    with running(database, free_port, DEBUG="1") as printed:
        assert get(free_port, "/healthz").status == 200
    assert f"http://127.0.0.1:{free_port}/" in printed
    assert f"Sign in as alice or bob, password {demo.PASSWORD}" in printed

    with sqlite3.connect(database) as connection:
        connection.execute("DELETE FROM auth_user WHERE username = 'bob'")
    with running(database, free_port, DEBUG="1"):
        assert get(free_port, "/healthz").status == 200
    with sqlite3.connect(database) as connection:
        names = {name for (name,) in connection.execute("SELECT username FROM auth_user")}
    assert names == {"system", "alice"}


def test_run_without_debug_makes_no_people_and_serves_hashed_files(tmp_path: Path, free_port: int) -> None:
    database = tmp_path / "db.sqlite3"
    static = str(tmp_path / "static")
    with running(database, free_port, DEBUG="0", SECRET_KEY="x", STATIC_ROOT=static) as printed:
        page = get(free_port, "/accounts/login/")
        assert page.status == 200
        style = re.search(r'href="(/static/[^"]+\.[0-9a-f]{12}\.css)"', page.read().decode())
        assert style
        file = get(free_port, style[1])
        assert (file.status, "immutable" in file.headers["Cache-Control"]) == (200, True)
    assert demo.PASSWORD not in printed
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT username FROM auth_user").fetchall() == [("system",)]


def test_run_prints_an_address_that_a_browser_takes() -> None:
    assert run.address("127.0.0.1", 80) == "http://127.0.0.1:80/"
    assert run.address("0.0.0.0", 8000) == "http://localhost:8000/"
    assert run.address("::1", 8000) == "http://[::1]:8000/"


def test_run_gives_daphne_an_endpoint_with_a_long_backlog() -> None:
    assert r"tcp:port=8000:interface=\:\:1:backlog=4096" in run.daphne_arguments("::1", 8000)

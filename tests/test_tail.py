"""`manage.py tail`."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError

from chat.delivery import door, epochs, log
from chat.delivery.entries import SYSTEM, Draft
from chat.management.following import Follower
from chat.models import Message, Room
from chat.services import queues, rooms
from tests.conftest import MakeServer
from tests.support import Server
from tests.support.commands import call
from tests.support.server import ROOT, close_connections, with_parent
from tests.test_work import unreachable

pytestmark = pytest.mark.django_db


@pytest.fixture
def general() -> Room:
    alice = User.objects.create(username="alice")
    return rooms.create("chat", alice.pk, "general")


def write(kind: str = "message", body: str = "", *, sender: str = "alice", **entry: Any) -> int:
    user = User.objects.get(username=sender).pk
    draft = Draft("chat", "general", user, uuid.uuid4().hex, kind, body=body, **entry)
    return door.write(draft)[0].seq


def tail(*arguments: str) -> list[str]:
    return call("tail", *arguments, "--no-follow").splitlines()


def shown(*arguments: str) -> list[str]:
    """Without the times, which have a form of their own."""
    return [re.sub(r"^(\d+) [\d-]{10} [\d:]{8}Z ", r"\1 ", line) for line in tail("general", *arguments)]


# What is shown


def test_each_kind_of_entry_is_a_line_that_says_who_did_what(general: Room) -> None:
    first, second = write(body="soup"), write(body="tea")
    write("edit", "hot soup", target=first)
    write("react", target=first, extra={"emoji": "🍲", "on": True})
    write("react", target=first, extra={"emoji": "🍲", "on": False})
    write("delete", target=second, extra={"reason": "cold"})
    rooms.note(general, "The topic is “lunch” now.")
    assert shown() == [
        "1 alice: soup",
        "2 alice: (deleted)",
        "3 alice edited 1: hot soup",
        "4 alice reacted to 1: 🍲",
        "5 alice took back of 1: 🍲",
        "6 alice deleted 2: cold",
        "7 system: The topic is “lunch” now.",
    ]


def test_the_orders_of_a_queue_are_shown_too() -> None:
    queues.create("orders", SYSTEM, "kitchen")
    door.write(Draft("orders", "kitchen", SYSTEM, "a", "item", body='{"dish": "soup"}'))
    (line,) = tail("kitchen")
    assert line.endswith('Z system: {"dish": "soup"}')


def test_nobody_can_write_what_looks_like_an_entry_or_moves_the_cursor(general: Room) -> None:
    write(body="one\n2 2026-01-31 12:00:00Z system: two\x1b[2J\u202e\r")
    assert shown() == ["1 alice: one", "    2 2026-01-31 12:00:00Z system: two�[2J��"]


def test_json_is_the_entry_as_a_client_gets_it(general: Room) -> None:
    write(body="zupa 🍲")
    (entry,) = log.read(general.pk, 0, 1)
    assert [json.loads(line) for line in tail("general", "--json")] == [entry.as_packet()]


def test_it_begins_with_the_last_ten_or_as_many_as_asked_for_or_after_a_number(general: Room) -> None:
    for number in range(1, 13):
        write(body=str(number))
    numbers = [f"{number} alice: {number}" for number in range(1, 13)]
    assert shown() == numbers[2:]
    assert shown("-n", "2") == numbers[10:]
    assert shown("-n", "0") == []
    assert shown("--since", "0") == numbers
    assert shown("--since", "11") == numbers[11:]


def test_a_long_log_is_read_by_pages(general: Room) -> None:
    Message.objects.bulk_create(
        Message(
            room=general, seq=seq, sender_id=SYSTEM, client_id=str(seq), kind="message", ordinal=seq,
            body="x", at="2026-01-31T12:00:00Z",
        )
        for seq in range(1, 1203)
    )  # fmt: skip
    Room.objects.filter(pk=general.pk).update(head=1202, messages=1202)
    assert [line.split()[0] for line in shown("--since", "0")] == [str(seq) for seq in range(1, 1203)]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["nowhere"], 1, "there is no queue or room 'nowhere'"),
        (["general", "--since", "1"], 2, "chat/general ends with 0: there is no 1."),
        (["general", "--since", "-1"], 2, "must be an integer from 0 to"),
        (["general", "--since", "0", "-n", "1"], 2, "not allowed with"),
    ],
)
def test_a_refusal_is_a_line(general: Room, arguments: list[str], status: int, says: str) -> None:
    with pytest.raises(CommandError) as refused:
        tail(*arguments)
    assert says in str(refused.value)
    assert refused.value.returncode in (status, 1)  # argparse says its own to a terminal alone


# What it says beside the log


def test_what_was_trimmed_is_said_and_passed_over(general: Room) -> None:
    for _ in range(3):
        write(body="x")
    said: list[str] = []
    follower = Follower(general, 0, said.append)
    Room.objects.filter(pk=general.pk).update(first=3)
    assert [entry.seq for entry in next(follower.entries(follow=False, idle=no_wait))] == [3]
    assert said == ["general begins at 3: what came before was trimmed"]


def test_of_a_restored_log_what_was_not_shown_follows(general: Room) -> None:
    """The backup had two entries; a third was shown, lost, and another one took its number."""
    for body in ("one", "two", "lost"):
        write(body=body)
    said: list[str] = []
    follower = Follower(general, 0, said.append)
    pages = follower.entries(follow=True, idle=no_wait)
    assert [entry.data["body"] for entry in next(pages)] == ["one", "two", "lost"]
    Message.objects.filter(room=general, seq=3).delete()
    Room.objects.filter(pk=general.pk).update(head=2, messages=2)
    epochs.renew()
    write(body="three")
    write(body="four")
    assert [(entry.seq, entry.data["body"]) for entry in next(pages)] == [(3, "three"), (4, "four")]
    assert said == ["general was restored from a backup: it goes on after 2"]


def no_wait(seconds: float) -> None:
    raise AssertionError("there was something to show")


# The command as a process


@contextmanager
def tailing(desk: Server, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [*with_parent(), sys.executable, "manage.py", "tail", *arguments]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=ROOT, env=desk.environment, text=True, **pipes)
    with process:
        try:
            yield process
        finally:
            process.kill()


def line(pipe: Any) -> str:
    read: str = pipe.readline()
    return read.partition("Z ")[2].rstrip("\n") or read.rstrip("\n")


def open_general(desk: Server) -> None:
    desk.django(lambda: rooms.create("chat", User.objects.create(username="alice").pk, "general"))


def test_new_entries_come_as_they_are_stored_until_ctrl_c(make_server: MakeServer) -> None:
    desk = make_server()
    open_general(desk)
    desk.django(write, body="one")
    with tailing(desk, "general") as process:
        assert line(process.stdout) == "alice: one"
        desk.django(write, body="two")
        assert line(process.stdout) == "alice: two"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == 130


def test_it_ends_without_a_word_when_nobody_reads_any_more(make_server: MakeServer) -> None:
    desk = make_server()
    open_general(desk)
    desk.django(write, body="one")
    with tailing(desk, "general") as process:
        assert process.stdout and process.stderr
        assert line(process.stdout) == "alice: one"
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == ""


def test_after_an_outage_of_the_database_the_log_goes_on_without_loss_or_doubles(
    make_server: MakeServer, postgres_url: str
) -> None:
    desk = make_server(database_url=postgres_url)
    open_general(desk)
    desk.django(write, body="one")
    with tailing(desk, "general") as process:
        assert line(process.stdout) == "alice: one"
        with unreachable(postgres_url):
            assert line(process.stderr).startswith("the database fails, trying again: ")
        desk.django(close_connections)  # the outage broke the test's own, too
        desk.django(write, body="two")
        assert line(process.stderr) == "the database is back"
        assert line(process.stdout) == "alice: two"

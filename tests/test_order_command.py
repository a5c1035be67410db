"""`manage.py order`."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import uuid
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError

from chat.delivery.entries import SYSTEM
from chat.errors import EventError
from chat.management.items import from_argument, from_lines
from chat.models import Ban, Lease, Message
from chat.services import queues
from tests.conftest import MakeServer
from tests.support import Server
from tests.support.commands import call
from tests.support.server import ROOT

pytestmark = pytest.mark.django_db

order = partial(call, "order")


@pytest.fixture
def kitchen() -> str:
    return queues.create("orders", SYSTEM, "kitchen").slug


def items() -> list[Any]:
    bodies = Message.objects.filter(room__slug="kitchen", kind="item").order_by("seq")
    return [json.loads(body) for body in bodies.values_list("body", flat=True)]


# One order


@pytest.mark.parametrize(
    ("argument", "item"),
    [
        ('{"dish": "soup", "table": 4}', {"dish": "soup", "table": 4}),
        ("soup", "soup"),
        ('"soup"', "soup"),
        ("12", 12),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("null", None),
        ("", ""),
        ("NaN", "NaN"),
        ("1e999", "1e999"),
        ("{dish: soup}", "{dish: soup}"),
        ('"\\u0000"', "\0"),
        ("zupa \u2028 🍲", "zupa \u2028 🍲"),
        ("[" * 5000, "[" * 5000),
    ],
)
def test_an_item_is_json_and_what_is_no_json_is_text(kitchen: str, argument: str, item: Any) -> None:
    assert order(kitchen, argument) == "kitchen 1\n"
    assert items() == [item]
    assert Lease.objects.get().state == "queued"


def test_each_order_is_a_new_one(kitchen: str) -> None:
    assert [order(kitchen, "soup"), order(kitchen, "soup")] == ["kitchen 1\n", "kitchen 2\n"]


def test_an_order_that_is_repeated_with_its_client_id_is_the_first_one(kitchen: str) -> None:
    assert order(kitchen, "soup", "--client-id", "a") == "kitchen 1\n"
    assert order(kitchen, "tea", "--client-id", "a") == "kitchen 1\n"
    assert items() == ["soup"]


def test_json_tells_a_repetition(kitchen: str) -> None:
    shown = {"queue": "kitchen", "seq": 1, "client_id": "a"}
    for duplicate in (False, True):
        printed = json.loads(order(kitchen, "soup", "--client-id", "a", "--json"))
        assert printed == shown | {"duplicate": duplicate}


def test_an_order_is_the_systems_or_of_the_person_who_is_named(kitchen: str) -> None:
    alice = User.objects.create_user("alice")
    order(kitchen, "soup")
    order(kitchen, "tea", "--user", "alice")
    senders = Message.objects.filter(kind="item").order_by("seq").values_list("sender_id", flat=True)
    assert list(senders) == [SYSTEM, alice.pk]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["nowhere", "soup"], 1, "there is no queue 'nowhere'; make it at /orders/"),
        (["general", "soup"], 1, "there is no queue 'general'"),
        (["kitchen"], 2, "Give either ITEM or --file FILE."),
        (["kitchen", "soup", "--file", "-"], 2, "Give either ITEM or --file FILE."),
        (["kitchen", "soup", "--client-id", "a b"], 2, "--client-id must be 1 to 64 printable ASCII"),
        (["kitchen", "soup", "--client-id", "a" * 65], 2, "--client-id must be 1 to 64"),
        (["kitchen", "--file", "-", "--client-id", "a" * 51], 2, "--client-id must be 1 to 50"),
        (["kitchen", "soup", "--user", "nobody"], 1, "there is no person 'nobody'"),
        (["kitchen", "soup", "--user", "mallory"], 1, "you are banned: spam"),
        (["kitchen", "x" * 32_768], 1, "`item` is at most 32768 bytes of JSON"),
        (["kitchen", "[" * 31 + "]" * 31], 1, "`item` is nested deeper than 30 levels"),
        (["kitchen", "--file", "/no/such/file"], 1, "/no/such/file: No such file or directory"),
    ],
)
def test_a_refusal_is_one_line_and_orders_nothing(
    kitchen: str, arguments: Sequence[str], status: int, says: str
) -> None:
    Ban.objects.create(user=User.objects.create_user("mallory"), reason="spam")
    with pytest.raises(CommandError) as refused:
        order(*arguments)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.returncode == status
    assert items() == []


# Many


def test_each_line_of_a_file_is_an_order(kitchen: str, tmp_path: Path) -> None:
    file = tmp_path / "orders.jsonl"
    file.write_text('{"dish": "soup"}\n\n  \n"tea"\r\n[1, 2]')
    assert order(kitchen, "--file", str(file)) == "kitchen 1\nkitchen 2\nkitchen 3\n"
    assert items() == [{"dish": "soup"}, "tea", [1, 2]]


def test_a_file_with_a_client_id_can_be_given_again_and_may_have_grown(kitchen: str, tmp_path: Path) -> None:
    file = tmp_path / "orders.jsonl"
    file.write_text("".join(f"{number}\n" for number in range(1200)))
    again = (kitchen, "--file", str(file), "--client-id", "import", "--json")
    assert [json.loads(line)["duplicate"] for line in order(*again).splitlines()] == [False] * 1200
    with file.open("a") as grown:
        grown.write("1200\n")
    assert [json.loads(line)["duplicate"] for line in order(*again).splitlines()] == [True] * 1200 + [False]
    assert items() == list(range(1201))


def test_a_line_that_wont_do_ends_it_and_says_how_to_go_on(kitchen: str, tmp_path: Path) -> None:
    file = tmp_path / "orders.jsonl"
    file.write_text("1\n\n2\nsoup\n3\n")
    with pytest.raises(CommandError) as refused:
        order(kitchen, "--file", str(file))
    said = str(refused.value)
    assert said.startswith("line 4 is no JSON: ")
    assert "(2 orders are in kitchen;" in said
    assert items() == [1, 2]
    file.write_text('1\n\n2\n"soup"\n3\n')
    client_id = said.rpartition("--client-id ")[2].strip(")")
    assert order(kitchen, "--file", str(file), "--client-id", client_id).count("kitchen") == 4
    assert items() == [1, 2, "soup", 3]


class Trickle(io.RawIOBase):
    """A pipe whose reads bring what was written together."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = list(chunks)

    def read1(self, size: int = -1) -> bytes:
        return self._chunks.pop(0) if self._chunks else b""


def test_lines_are_given_out_as_they_come() -> None:
    slices = from_lines(Trickle(b'"a"\n"b', b'"\n', b'"c"\n"d"'))  # type: ignore[arg-type]
    shown = [[(item.line, json.loads(item.json)) for item in some] for some in slices]
    assert [some for some in shown if some] == [[(1, "a")], [(2, "b")], [(3, "c")], [(4, "d")]]


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory() -> None:
    endless = Trickle(*[b" " * 65536] * 1000)
    with pytest.raises(EventError, match="line 1 is longer than 1048576 bytes"):
        list(from_lines(endless))  # type: ignore[arg-type]
    assert len(endless._chunks) > 900


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(EventError, match="`item` must be JSON"):
        from_argument("\udcff")


# As a process


def test_the_command_reads_stdin_and_prints_a_line_for_each_order(make_server: MakeServer) -> None:
    desk = make_server()
    desk.django(queues.create, "orders", SYSTEM, "kitchen")
    ended = run(desk, "kitchen", "--file", "-", stdin='"soup"\n"tea"\n')
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "kitchen 1\nkitchen 2\n", "")
    refused = run(desk, "nowhere", "soup")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.count("\n") == 1
    assert run(desk).returncode == 2


def test_a_database_that_cannot_be_reached_is_one_line(make_server: MakeServer, tmp_path: Path) -> None:
    desk = make_server(database_url=f"sqlite:///{tmp_path / 'no' / 'such' / 'db.sqlite3'}")
    refused = run(desk, "kitchen", "soup")
    assert refused.returncode == 1
    assert refused.stderr == "manage.py order: the database fails: unable to open database file\n"


def test_on_a_terminal_a_bar_shows_the_progress(make_server: MakeServer, tmp_path: Path) -> None:
    desk = make_server()
    desk.django(queues.create, "orders", SYSTEM, "kitchen")
    file = tmp_path / "orders.jsonl"
    file.write_text("".join(f'"{uuid.uuid4().hex}"\n' for _ in range(3000)))
    shown = on_a_terminal(desk, "order", "kitchen", "--file", str(file))
    assert "3,000 orders" in shown
    assert "3,000 new orders are in kitchen." in shown
    assert "kitchen 17" not in shown


def run(desk: Server, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "order", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=desk.environment, input=stdin, capture_output=True, text=True, timeout=60
    )


def on_a_terminal(desk: Server, *arguments: str) -> str:
    ours, theirs = pty.openpty()
    environment = desk.environment | {"TERM": "xterm", "COLUMNS": "120"}
    command = [sys.executable, "manage.py", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    assert process.wait(60) == 0, shown
    return shown.decode()

"""`manage.py export`, `import` and `erase`, as they are run."""

from __future__ import annotations

import asyncio
import json
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chat.delivery import door
from chat.delivery.entries import Draft
from chat.models import Ban, Login, Membership, Message, Report, Room, Token
from chat.services import archive, personal
from tests.conftest import MakeServer
from tests.support import Client, Server
from tests.support.commands import call, refusal
from tests.support.server import ROOT, fresh


def refused(*command: str) -> str:
    return str(refusal(*command))


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def say(room: Room, user: User, body: str, **more: Any) -> int:
    draft = Draft(room.namespace, room.slug, user.pk, fresh("c"), "message", body=body, **more)
    return door.write(draft)[0].seq


@pytest.fixture
def room() -> Room:
    room = Room.objects.create(namespace="chat", slug="general")
    for name in ("alice", "bob"):
        Membership.objects.create(room=room, user=User.objects.create(username=name))
    say(room, User.objects.get(username="alice"), "hello")
    return room


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rooms.jsonl"


def big(file: Path, room: str, entries: int, members: list[str]) -> Path:
    """An archive of one room, as another site may have written it."""
    at = "2026-01-31T12:00:00Z"
    name = fresh("them")
    said: list[dict[str, Any]] = [
        {"line": "chatsite", "version": 1, "at": at},
        {
            "line": "room",
            "namespace": "chat",
            "room": room,
            "head": entries,
            "created_at": at,
            "private": True,
        },
        *(
            {"line": "entry", "seq": seq, "kind": "message", "from": name, "client_id": f"c{seq}", "at": at}
            for seq in range(1, entries + 1)
        ),
        *({"line": "member", "name": each, "joined_at": at, "received": entries - 200} for each in members),
    ]
    said.append({"line": "end", "lines": len(said)})
    file.write_text("".join(json.dumps(line) + "\n" for line in said))
    return file


# export


@pytest.mark.django_db
def test_export_writes_a_file_that_only_its_owner_can_read(room: Room, file: Path) -> None:
    call("export", "general", "--output", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [line["line"] for line in lines(file)] == ["chatsite", "room", "entry", "member", "member", "end"]


@pytest.mark.django_db
def test_an_export_that_fails_leaves_what_was_there(room: Room, file: Path) -> None:
    file.write_text("the last one")
    Message.objects.filter(room=room).delete()  # a log that is broken
    assert "there is nothing after entry 0 of 1" in refused("export", "--output", str(file))
    assert [each.name for each in file.parent.iterdir()] == [file.name]
    assert file.read_text() == "the last one"


@pytest.mark.django_db
def test_export_has_no_secret_in_it(room: Room, file: Path) -> None:
    alice = User.objects.get(username="alice")
    alice.set_password("correct horse")
    alice.save()
    Token.objects.create(user=alice, digest="d" * 64)
    Login.objects.create(user=alice, session_key="s" * 32)
    for command in (["export"], ["export", "--user", "alice"]):
        call(*command, "--output", str(file))
        text = file.read_text()
        assert not any(secret in text for secret in (alice.password, "d" * 64, "s" * 32))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "there is no queue or room 'nowhere'"),
        (["--user", "nobody"], "there is no person 'nobody'"),
        (["general", "--user", "alice"], "give either rooms or --user"),
        (["--output", "/nowhere/at/all"], "/nowhere/at/all can't be written"),
    ],
)
def test_export_refuses_in_one_line(room: Room, arguments: list[str], says: str) -> None:
    assert says in refused("export", *arguments)


# import


@pytest.mark.django_db
def test_import_says_what_it_did_and_what_was_there(room: Room, file: Path) -> None:
    call("export", "--output", str(file))
    assert call("import", str(file)) == "chat/general 1 is there\n"
    assert call("import", str(file), "--as", "again", "--dry-run") == "chat/again 1 would come in\n"
    assert call("import", str(file), "--as", "again") == "chat/again 1 imported\n"
    done = json.loads(call("import", str(file), "--as", "again", "--json"))
    assert done == {
        "rooms": [{"namespace": "chat", "room": "again", "entries": 1, "state": "there"}],
        "people": [],
    }


@pytest.mark.django_db
def test_import_maps_people(room: Room, file: Path) -> None:
    call("export", "--output", str(file))
    done = json.loads(
        call("import", str(file), "--as", "b", "--map", "alice=ann", "--map", "bob=alice", "--json")
    )
    assert done["people"] == ["ann"]
    assert Message.objects.get(room__slug="b").sender.username == "ann"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give either a FILE or --abandon"),
        (["/nowhere"], "/nowhere can't be read"),
        (["/"], "/ can't be read"),
        (["{}", "--as", "No Slug"], "`--as` is 1 to 64 of a-z"),
        (["{}", "--map", "alice"], "--map"),
        (["{}"], "line 1: no JSON"),
    ],
)
def test_import_refuses_in_one_line(file: Path, arguments: list[str], says: str) -> None:
    file.write_text("nonsense\n")
    assert says in refused("import", *(each.format(file) for each in arguments))


@pytest.mark.timeout(300)
def test_an_import_that_was_killed_goes_on_and_loses_nothing(make_server: MakeServer, file: Path) -> None:
    there = make_server()  # only its database
    people = [there.person("member").name for _ in range(3)]
    slug = next(slug for slug in SLUGS if killed(there, big(file, slug, 8_000, people)))
    assert not there.django(Room.objects.filter(slug=slug).exists)
    there.manage("import", str(file))
    keys = [(seq, f"c{seq}") for seq in range(1, 8_001)]
    assert there.django(content, slug) == (8_000, 8_000, keys, 3)
    assert there.django(archive.leftovers) == []
    check_nobody_reads_on(there)


def check_nobody_reads_on(there: Server) -> None:
    """`manage.py export | head -c 1` ends without a word."""
    command = [sys.executable, "manage.py", "export"]
    with subprocess.Popen(
        command, cwd=ROOT, env=there.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as exporting:
        assert exporting.stdout and exporting.stderr
        exporting.stdout.read(1)
        exporting.stdout.close()
        assert exporting.stderr.read() == b""
    assert exporting.returncode == 128 + signal.SIGPIPE


#: For as many tries: one that was complete before the signal came shows nothing.
SLUGS = [f"restored-{number}" for number in range(5)]


def killed(there: Server, file: Path) -> bool:
    """Whether SIGKILL ended an import in the middle."""
    command = [sys.executable, "manage.py", "import", str(file)]
    with subprocess.Popen(command, cwd=ROOT, env=there.environment, stdout=subprocess.DEVNULL) as importing:
        wait_until(lambda: staged(there) or importing.poll() is not None)
        importing.kill()
    return importing.returncode == -signal.SIGKILL


def staged(there: Server) -> int:
    heads = Room.objects.filter(namespace="_import").values_list("head", flat=True)
    return there.django(lambda: heads.first() or 0)


def content(slug: str) -> Any:
    room = Room.objects.get(slug=slug)
    keys = list(Message.objects.filter(room=room).order_by("seq").values_list("seq", "client_id"))
    return room.head, room.messages, keys, room.memberships.count()


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_an_import_takes_a_pipe(make_server: MakeServer, file: Path) -> None:
    there = make_server()
    big(file, "piped", 200, [there.person().name])
    with file.open("rb") as stdin:
        done = subprocess.run(
            [sys.executable, "manage.py", "import", "-"],
            cwd=ROOT, env=there.environment, stdin=stdin, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert (done.stdout, done.returncode) == ("chat/piped 200 imported\n", 0), done.stderr


# erase


@pytest.mark.django_db
def test_erase_ends_the_person_and_what_they_wrote_where_that_is_asked_for(room: Room) -> None:
    bob = User.objects.get(username="bob")
    seq = say(room, bob, "secret")
    assert call("erase", "bob", "--yes") == f"bob is deleted-{bob.pk} now.\n"
    assert Message.objects.get(room=room, seq=seq).body == "secret"
    again = json.loads(call("erase", f"deleted-{bob.pk}", "--messages", "--yes", "--json"))
    assert again == {"id": bob.pk, "name": f"deleted-{bob.pk}", "messages": 1}
    tombstone = Message.objects.get(room=room, seq=seq)
    assert (tombstone.body, bool(tombstone.deleted), bool(tombstone.client_id)) == ("", True, True)
    assert not Membership.objects.filter(user=bob).exists()


@pytest.mark.django_db
def test_erase_asks_first(room: Room) -> None:
    assert "no terminal to ask on" in refused("erase", "bob")
    assert "there is no person 'nobody'" in refused("erase", "nobody", "--yes")
    assert User.objects.filter(username="bob").exists()


# A person's data


@pytest.mark.django_db
def test_a_persons_data_is_all_that_is_theirs_and_nothing_of_others(room: Room, file: Path) -> None:
    alice, bob = (User.objects.get(username=name) for name in ("alice", "bob"))
    say(room, alice, "mine")
    say(room, bob, "not mine")
    door.write(Draft("chat", "general", alice.pk, "e", "edit", target=2, body="mine, too"))
    Ban.objects.create(user=alice, room=None, reason="once", by=bob)
    Report.objects.create(room=room, seq=3, reporter=alice, reason="rude")
    Report.objects.create(room=room, seq=2, reporter=bob, reason="too short")
    Login.objects.create(user=alice, session_key="s" * 32)
    call("export", "--user", "alice", "--output", str(file))
    found = lines(file)
    assert {line["line"] for line in found} >= {"person", "membership", "entry", "ban", "report", "login"}
    assert [line["body"] for line in found if line["line"] == "entry"] == ["hello", "mine", "mine, too"]
    assert [(line["seq"], line["state"]) for line in found if line["line"] == "report_about"] == [(2, "open")]
    assert found[-1] == {"line": "end", "lines": len(found) - 1}
    assert "bob" not in file.read_text() and "too short" not in file.read_text()


@pytest.mark.django_db
def test_a_persons_entries_are_found_without_looking_through_a_log(room: Room) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("how PostgreSQL reads depends on its statistics")
    with CaptureQueriesContext(connection) as seen:
        list(personal.export(User.objects.get(username="alice")))
    [read] = [each["sql"] for each in seen if 'SELECT "chat_message"' in each["sql"]]
    with connection.cursor() as cursor:
        assert "sender_id=?" in str(cursor.execute(f"EXPLAIN QUERY PLAN {read}").fetchall())


# Beside a live server


async def test_an_import_beside_a_live_server_holds_nobody_up_and_brings_its_members_the_room(
    server: Server, alice: Client, bob: Client, file: Path
) -> None:
    room, restored = server.room("room", [alice.person, bob.person]), fresh("restored")
    big(file, restored, 3000, [alice.name])
    await alice.join(room)
    await bob.join(room)
    importing = asyncio.create_task(asyncio.to_thread(server.manage, "import", str(file)))
    acks: list[int] = []
    while not importing.done():
        acks.append((await alice.say(room, f"{len(acks)}"))["seq"])
    await importing
    assert acks == list(range(1, len(acks) + 1))
    assert len(acks) > 3
    await bob.gets_upto(room, acks[-1])
    assert bob.seqs(room) == acks
    await alice.expect("room:added", room=restored)
    # Of the room as it was before it was lost she knew the epoch: she starts over after her cursor.
    answer = await alice.join(restored, after=2990, epoch="of old", after_client_id="c2990")
    assert (answer["head"], answer["reset"]) == (3000, True)
    await alice.gets(restored, seq=3000)
    assert alice.seqs(restored) == list(range(2801, 3001))
    seq = (await alice.say(restored, "on it goes"))["seq"]
    assert seq == 3001

"""`manage.py prune` and `stats`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError
from django.db.models.functions import Now

from chat.delivery import door
from chat.delivery.entries import SYSTEM, Draft
from chat.models import DeadLetter, Membership, Message, Presence, Process, Report, Room
from chat.services import queues, rooms
from tests.conftest import MakeServer
from tests.support.commands import call
from tests.support.server import ROOT, with_parent

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> User:
    return User.objects.create(username="alice")


def make_room(alice: User, slug: str, messages: int, **policy: Any) -> Room:
    """With messages that Alice, its only member, has received."""
    room = rooms.create("chat", alice.pk, slug)
    door.write(*(Draft("chat", slug, SYSTEM, uuid.uuid4().hex, "message", body="x") for _ in range(messages)))
    Membership.objects.filter(room=room).update(received=messages)
    Room.objects.filter(pk=room.pk).update(**policy)
    return room


def kept(room: Room) -> int:
    return Message.objects.filter(room=room).exclude(body="").count()


# prune


def test_prune_trims_every_room_that_has_a_policy(alice: User) -> None:
    """More than one transaction of them."""
    general = make_room(alice, "general", 1010, retain_entries=5)
    random, help = make_room(alice, "random", 3, retain_entries=5), make_room(alice, "help", 3)
    assert call("prune") == "chat/general: 1,005 entries went.\nchat/random: nothing was to go.\n"
    assert [kept(room) for room in (general, random, help)] == [5, 3, 3]
    assert call("prune") == "chat/general: nothing was to go.\nchat/random: nothing was to go.\n"


def test_prune_says_beforehand_what_would_go_and_keeps_it(alice: User) -> None:
    general = make_room(alice, "general", 9, retain_entries=5, retain_seconds=3600)
    Message.objects.filter(room=general, seq__lte=3).update(at=Now() - timedelta(hours=2))
    assert call("prune", "--dry-run") == "chat/general: 3 entries would go.\n"
    assert kept(general) == 9
    Membership.objects.update(received=2)
    assert json.loads(call("prune", "--dry-run", "--json")) == {"room": "chat/general", "entries": 2}
    assert json.loads(call("prune", "--json")) == {"room": "chat/general", "entries": 2}
    assert kept(general) == 7


def test_prune_takes_the_rooms_that_are_named_alone(alice: User) -> None:
    general = make_room(alice, "general", 9, retain_entries=5)
    random = make_room(alice, "random", 9, retain_entries=5)
    make_room(alice, "help", 1)
    said = "chat/random: 4 entries went.\nchat/help: keeps everything: it has no retention.\n"
    assert call("prune", "random", "chat/help") == said
    assert [kept(general), kept(random)] == [9, 5]
    with pytest.raises(CommandError, match="there is no queue or room 'nowhere'"):
        call("prune", "general", "nowhere")
    assert kept(general) == 9


def test_prune_without_any_policy_says_so() -> None:
    assert call("prune") == "No room has a policy of retention.\n"
    assert call("prune", "--json") == ""


# stats


def test_stats_count_what_there_is_and_what_goes_on(alice: User) -> None:
    general = make_room(alice, "general", 3)
    Membership.objects.filter(room=general).update(received=1)
    Message.objects.filter(room=general, seq=1).update(at=Now() - timedelta(minutes=2))
    queues.create("orders", SYSTEM, "kitchen")
    door.write(Draft("orders", "kitchen", SYSTEM, "a", "item", body="1"))
    here = Process.objects.create(id="here", started_at=Now(), beat_at=Now(), sockets=4)
    long_ago = Now() - timedelta(minutes=1)
    Process.objects.create(id="gone", started_at=long_ago, beat_at=long_ago, sockets=9)
    Presence.objects.create(user=alice, process=here)
    DeadLetter.objects.create(room=general, user=alice, first=1, last=1, reason="expired")
    Report.objects.create(room=general, seq=2, reporter=alice, reason="rude")
    shown = json.loads(call("stats", "--json"))
    assert {name: shown[name] for name in shown if name not in ("at", "lag")} == {
        "processes": 1,
        "sockets": 4,
        "online": 1,
        "messages_last_minute": 3,
        "rooms": 2,
        "entries": 4,
        "orders": {"queued": 1, "leased": 0, "dead": 0},
        "dead_letters": 1,
        "open_reports": 1,
    }
    assert (shown["lag"]["room"], shown["lag"]["lag"]) == ("general", 2)
    assert call("stats").splitlines() == [
        "people online: 1",
        "sockets: 4 at 1 server process",
        "rooms: 2, with 4 entries",
        "messages: 3 in the last minute",
        "furthest behind: alice in general, by 2",
        "orders: 1 queued, 0 in progress, 0 dead",
        "dead letters: 1",
        "open reports: 1",
    ]


def test_an_empty_site_has_stats_too() -> None:
    assert json.loads(call("stats", "--json"))["lag"] is None
    assert "furthest behind: nobody\n" in call("stats")


def test_stats_are_watched_until_ctrl_c(make_server: MakeServer) -> None:
    desk = make_server()
    desk.migrate()
    command = [*with_parent(), sys.executable, "manage.py", "stats", "--watch", "0.1", "--json"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, env=desk.environment, text=True, **pipes) as process:
        assert process.stdout is not None
        first, second = [json.loads(process.stdout.readline()) for _ in range(2)]
        assert first["at"] < second["at"]
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 130

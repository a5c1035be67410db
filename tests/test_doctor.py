"""`manage.py doctor`, and what it looks at."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models.functions import Now

from chat.management.commands import demo
from chat.management.commands import doctor as command
from chat.management.visiting import first_word, judged, visit
from chat.models import DeadLetter, Message, Process, Report, Room
from chat.services import rooms
from chat.services.doctor import Finding, database, site
from chat.services.doctor import settings as site_settings
from tests.support import Server
from tests.support.server import ROOT, environment, free_port

KEY = "".join(map(chr, range(40, 100)))
on_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite's own")


def levels(findings: Iterable[Finding]) -> dict[str, str]:
    """Of each check the worst."""
    worst = sorted(findings, key=lambda finding: ("ok", "warning", "error").index(finding.level))
    return {finding.check: finding.level for finding in worst}


def advised(*findings: Finding) -> None:
    """What isn't well has an advice, and what is has none."""
    assert [bool(finding.advice) for finding in findings] == [finding.level != "ok" for finding in findings]


@pytest.fixture
def good(settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The settings of a site that is as it should be, behind a proxy of its own machine."""
    monkeypatch.setenv("SECRET_KEY", KEY)
    settings.DEBUG, settings.SECRET_KEY = False, KEY
    settings.ALLOWED_HOSTS, settings.ALLOWED_ORIGINS = ["chat.example.org"], ["https://chat.example.org"]
    settings.HOST, settings.TRUSTED_PROXIES = "127.0.0.1", ["127.0.0.1"]
    settings.RATE_LIMIT = (100.0, 1000)
    settings.STATIC_ROOT = tmp_path
    (tmp_path / "staticfiles.json").touch()
    return settings


# Settings


def test_good_settings_have_nothing_to_be_said_of(good: Any) -> None:
    assert set(levels(site_settings.examine()).values()) == {"ok"}


@pytest.mark.parametrize(
    ("changes", "check", "level"),
    [
        ({"DEBUG": True}, "DEBUG", "error"),
        ({"DEBUG": True, "ALLOWED_HOSTS": ["localhost"], "ALLOWED_ORIGINS": []}, "DEBUG", "warning"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY", "error"),
        ({"SECRET_KEY": "a" * 60}, "SECRET_KEY", "error"),
        ({"ALLOWED_HOSTS": ["*"]}, "ALLOWED_HOSTS", "warning"),
        ({"ALLOWED_HOSTS": [".localhost", "127.0.0.1", "[::1]"]}, "ALLOWED_HOSTS", "warning"),
        ({"ALLOWED_ORIGINS": []}, "ALLOWED_ORIGINS", "ok"),
        ({"ALLOWED_ORIGINS": ["https://chat.exmaple.org"]}, "ALLOWED_ORIGINS", "warning"),
        ({"ALLOWED_ORIGINS": ["http://chat.example.org"]}, "ALLOWED_ORIGINS", "warning"),
        (
            {"ALLOWED_ORIGINS": ["https://chat.example.org", "http://localhost:8000"]},
            "ALLOWED_ORIGINS",
            "error",
        ),
        ({"TRUSTED_PROXIES": []}, "TRUSTED_PROXIES", "warning"),
        ({"TRUSTED_PROXIES": [], "HOST": "0.0.0.0"}, "TRUSTED_PROXIES", "ok"),
        ({"TRUSTED_PROXIES": ["10.0.0.0/8", "::/0"]}, "TRUSTED_PROXIES", "error"),
        ({"RATE_LIMIT": None}, "RATE_LIMIT", "warning"),
        ({"RATE_LIMIT": (1.0, 1000)}, "RATE_LIMIT", "warning"),
        ({"STATIC_ROOT": Path("/nowhere")}, "static files", "error"),
    ],
)
def test_settings_that_people_or_strangers_stumble_over_are_found(
    good: Any, changes: dict[str, Any], check: str, level: str
) -> None:
    for name, value in changes.items():
        setattr(good, name, value)
    findings = list(site_settings.examine())
    assert levels(findings)[check] == level
    advised(*findings)


def test_a_key_that_is_made_at_every_start_is_found(good: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET_KEY")
    assert levels(site_settings.examine())["SECRET_KEY"] == "warning"


# The database and what is in it


@pytest.mark.django_db
def test_a_good_database_has_nothing_to_be_said_of() -> None:
    found = levels(database.examine())
    assert found.pop("commit") in ("ok", "warning")  # a busy machine is slow
    assert found.pop("disk", "ok") in ("ok", "warning", "error")  # nor is its disk known
    assert set(found.values()) == {"ok"}
    assert {"database", "migrations", "durability", "system", "clock"} <= found.keys()


@pytest.mark.django_db
@on_sqlite
def test_a_database_that_takes_nothing_is_found() -> None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA query_only = ON")
        with transaction.atomic():
            finding = database.commits()
        cursor.execute("PRAGMA query_only = OFF")
    assert finding.level == "error"
    assert finding.text == "nothing can be written: attempt to write a readonly database"


@on_sqlite
def test_a_file_that_is_not_there_is_not_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "db.sqlite3"
    monkeypatch.setitem(connection.settings_dict, "NAME", str(file))
    (finding,) = database.examine()
    assert finding.text == f"there is no file {file}"
    assert not file.exists()


@pytest.mark.django_db
def test_what_migrations_put_in_is_missed_when_it_is_gone() -> None:
    Room.objects.filter(kind="control").delete()
    assert levels(database.examine())["system"] == "error"


@pytest.mark.django_db
def test_an_entry_from_the_future_shows_a_clock_that_was_wrong() -> None:
    room = rooms.create("chat", User.objects.create(username="alice").pk, "general")
    rooms.note(room, "The topic is “tea” now.")
    assert database.last_entry().level == "ok"
    Message.objects.update(at=Now() + timedelta(hours=1))
    assert database.last_entry().level == "warning"


@pytest.mark.django_db
def test_what_waits_for_someone_is_found(settings: Any) -> None:
    settings.REDIS_URLS = []
    found = list(site.examine())
    assert levels(found) == {
        "servers": "warning",
        "superusers": "warning",
        "dead letters": "ok",
        "reports": "ok",
    }
    alice = User.objects.create(username="alice", is_staff=True, is_superuser=True)
    room = Room.objects.create(namespace="chat", slug="general")
    DeadLetter.objects.create(room=room, user=alice, first=1, last=1, reason="expired")
    Report.objects.create(room=room, seq=1, reporter=alice, reason="rude")
    Process.objects.create(id="a", started_at=Now(), beat_at=Now())
    found = list(site.examine())
    assert levels(found) == {
        "servers": "ok",
        "superusers": "ok",
        "dead letters": "warning",
        "reports": "warning",
    }
    advised(*found)


@pytest.mark.django_db
def test_several_processes_need_a_redis(settings: Any) -> None:
    for name in "ab":
        Process.objects.create(id=name, started_at=Now(), beat_at=Now())
    settings.REDIS_URLS = []
    assert site.processes().level == "warning"
    settings.REDIS_URLS = ["redis://127.0.0.1:6379/0"]
    assert site.processes().level == "ok"


@pytest.mark.django_db
def test_demo_people_with_their_known_password_are_found_without_debug(settings: Any) -> None:
    User.objects.create_user(demo.PEOPLE[0], password=demo.PASSWORD)
    settings.DEBUG = True
    assert list(command.demo_people()) == []
    settings.DEBUG = False
    assert levels(command.demo_people()) == {"demo people": "error"}


# Redis


def test_a_hint_is_carried_by_a_real_redis(redis_url: str, settings: Any) -> None:
    settings.REDIS_URLS = [redis_url]
    layer = {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [redis_url]}}
    settings.CHANNEL_LAYERS = {"default": layer}
    (finding,) = command.redis()
    assert finding.level == "ok"
    assert finding.text.startswith("a hint takes ")


def test_a_password_is_not_shown() -> None:
    assert command.without_password("rediss://user:hush@cache:6380/1") == "rediss://cache:6380/1"


# The site as it is seen from outside


def test_a_site_that_lets_its_own_pages_in_is_well(server: Server) -> None:
    assert [finding.level for finding in visit(server.origin)] == ["ok", "ok"]


def test_a_page_of_another_origin_is_refused_and_the_advice_names_it(server: Server) -> None:
    origin = "https://chat.example.org"
    finding = judged(origin, first_word(f"{server.ws}/ws/chat/", origin))
    assert finding.level == "error"
    assert f"ALLOWED_ORIGINS={origin}" in finding.advice


def test_a_host_that_the_site_does_not_know_and_a_port_where_nobody_is_are_found(server: Server) -> None:
    (unknown,) = visit(f"http://127.1:{server.port}")
    assert (unknown.level, "ALLOWED_HOSTS" in unknown.advice) == ("error", True)
    (nobody,) = visit(f"http://127.0.0.1:{free_port()}")
    assert (nobody.level, "Connection refused" in nobody.text) == ("error", True)


# The command in real trouble


def examine(url: str, *arguments: str, **variables: str) -> tuple[int, dict[str, dict[str, Any]], str]:
    """Its exit status, the findings that are not ok by check, and what it says at last."""
    ended = subprocess.run(
        [sys.executable, "manage.py", "doctor", "--json", *arguments],
        cwd=ROOT, env={**environment(url), **variables}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    findings = [json.loads(line) for line in ended.stdout.splitlines()]
    assert all(finding.keys() == {"check", "level", "text", "advice"} for finding in findings)
    bad = {finding["check"]: finding for finding in findings if finding["level"] != "ok"}
    return ended.returncode, bad, ended.stderr


def test_a_database_that_is_not_migrated_is_one_finding(tmp_path: Path) -> None:
    file = tmp_path / "db.sqlite3"
    file.touch()
    status, bad, said = examine(f"sqlite:///{file}", REDIS_URL="", DEBUG="1")
    assert status == 1
    assert bad["migrations"]["advice"] == "run `manage.py migrate`"
    assert [check for check in bad if bad[check]["level"] == "error"] == ["migrations"]
    assert said.startswith("manage.py doctor: 1 error, ")


def test_a_postgresql_and_a_redis_that_are_down_and_wrong_origins_are_told_apart() -> None:
    down = free_port()
    status, bad, said = examine(
        f"postgres://chat:hush@127.0.0.1:{down}/chat",
        REDIS_URL=f"redis://:hush@127.0.0.1:{down}/0",
        ALLOWED_HOSTS="chat.example.org",
        ALLOWED_ORIGINS="https://chat.exmaple.org",
    )
    assert status == 1
    assert "Connection refused" in bad["database"]["text"]
    assert "PostgreSQL" in bad["database"]["advice"]
    assert f"redis://127.0.0.1:{down}/0: " in bad["Redis"]["text"]
    assert "is no host of ALLOWED_HOSTS" in bad["ALLOWED_ORIGINS"]["text"]
    assert "hush" not in str(bad) + said

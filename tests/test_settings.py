"""What comes from the environment: its shapes, and one clear line for each wrong value."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from chatsite import env, logs

ROOT = Path(__file__).parent.parent

# A whole environment: `.env`, where a developer has one, must not decide what is tested here.
UNSET = dict.fromkeys(
    ["HOST", "PORT", "WORKERS", "SECRET_KEY", "DEBUG", "DATABASE_URL", "REDIS_URL"]
    + ["ALLOWED_HOSTS", "ALLOWED_ORIGINS", "TRUSTED_PROXIES", "RATE_LIMIT", "FILTERED_WORDS"],
    "",
)


def start(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, **UNSET, "DJANGO_SETTINGS_MODULE": "chatsite.settings", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


WRONG = [
    ("DEBUG", "maybe"),
    ("HOST", "not-an-address"),
    ("PORT", "http"),
    ("WORKERS", "0"),
    ("WORKERS", "many"),
    ("PORT", "0"),
    ("PORT", "65536"),
    ("DATABASE_URL", "mysql://root@localhost/chat"),
    ("DATABASE_URL", "no url at all"),
    ("DATABASE_URL", "sqlite://:memory:"),
    ("DATABASE_URL", "postgres://user:secret@localhost:port/chat"),
    ("REDIS_URL", "localhost:6379"),
    ("REDIS_URL", "redis://localhost:6379/0,redis://localhost:port/0"),
    ("ALLOWED_HOSTS", "https://chat.example.org"),
    ("ALLOWED_ORIGINS", "chat.example.org"),
    ("ALLOWED_ORIGINS", "https://chat.example.org/path"),
    ("ALLOWED_ORIGINS", "https://*.example.org"),
    ("TRUSTED_PROXIES", "proxy.example.org"),
    ("TRUSTED_PROXIES", "10.0.0.1/8"),
    ("RATE_LIMIT", "100"),
    ("RATE_LIMIT", "0/s:10"),
    ("RATE_LIMIT", "ten/s:100"),
    ("FILTERED_WORDS", "two words"),
    ("FILTERED_WORDS", "fine,f*ck"),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_is_one_line_that_names_the_variable(name: str, value: str) -> None:
    ended = start("-c", "import chatsite.settings", SECRET_KEY="x", **{name: value})
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"chatsite: {name} ")


@pytest.mark.parametrize(
    "command",
    [
        ["manage.py", "run"],
        ["manage.py", "migrate"],
        ["manage.py", "token", "alice"],
        ["-m", "daphne", "chatsite.asgi:application"],
        ["-m", "uvicorn", "chatsite.asgi:application"],
    ],
    ids=" ".join,
)
def test_every_way_to_start_says_a_wrong_value_in_one_line(command: list[str]) -> None:
    ended = start(*command, DEBUG="1", RATE_LIMIT="many")
    assert ended.returncode != 0
    (line,) = ended.stderr.splitlines()
    assert line == "chatsite: RATE_LIMIT is 'many'; give N/s:BURST, such as 100/s:1000, or off"


def test_a_missing_secret_key_is_refused_without_debug() -> None:
    ended = start("manage.py", "check")
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("chatsite: SECRET_KEY is missing")


def test_a_missing_secret_key_is_made_up_with_debug() -> None:
    show = "from chatsite import settings; print(settings.SECRET_KEY)"
    first, second = (start("-c", show, DEBUG="1").stdout for _ in range(2))
    assert len(first) > 50
    assert first != second


def test_the_password_of_a_wrong_database_url_is_not_shown() -> None:
    ended = start("-c", "import chatsite.settings", DEBUG="1", DATABASE_URL="oracle://me:hush@host/x")
    assert "DATABASE_URL" in ended.stderr
    assert "hush" not in ended.stderr


def test_a_database_that_cannot_be_reached_is_one_line(tmp_path: Path, free_port: int) -> None:
    url = f"postgres://nobody:hush@127.0.0.1:{free_port}/nothing"
    ended = start("manage.py", "run", DEBUG="1", DATABASE_URL=url, PORT=str(free_port))
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("manage.py run: DATABASE_URL: cannot connect")
    assert "hush" not in line


def test_a_port_in_use_is_one_line_and_leaves_no_database(tmp_path: Path) -> None:
    database = tmp_path / "db.sqlite3"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = start("manage.py", "run", DEBUG="1", PORT=port, DATABASE_URL=f"sqlite:///{database}")
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "Address already in use" in line
    assert port in line
    assert not database.exists()


def test_an_address_of_another_machine_is_one_line() -> None:
    ended = start("manage.py", "run", DEBUG="1", HOST="192.0.2.1")
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert "192.0.2.1" in ended.stderr


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


# What right values become


@pytest.mark.parametrize(
    ("value", "limit"), [("", (100, 1000)), ("off", None), ("OFF", None), ("2.5/s:40", (2.5, 40))]
)
def test_a_rate_limit_is_a_rate_and_a_burst(
    monkeypatch: pytest.MonkeyPatch, value: str, limit: tuple[float, int] | None
) -> None:
    monkeypatch.setenv("RATE_LIMIT", value)
    assert env.rate_limit() == limit


def test_origins_are_kept_as_browsers_send_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_ORIGINS", "https://Chat.Example.org:443/, http://[::1]:8000,http://a.b:81")
    assert env.origins() == ["https://chat.example.org", "http://[::1]:8000", "http://a.b:81"]


def test_host_takes_addresses_of_both_families(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, host in [
        ("", "127.0.0.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("[::1]", "::1"),
        ("localhost", "localhost"),
    ]:
        monkeypatch.setenv("HOST", value)
        assert env.host() == host


def test_sqlite_and_postgresql_urls_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for url, name in [("sqlite:////tmp/x.sqlite3", "/tmp/x.sqlite3"), ("postgres://a:b@h/chat", "chat")]:
        monkeypatch.setenv("DATABASE_URL", url)
        assert env.database(default="")["NAME"] == name


def test_the_file_is_read_and_the_real_environment_wins_over_it(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "chatsite", tmp_path / "chatsite")
    (tmp_path / ".env").write_text("DEBUG=1\nPORT=8001\nRATE_LIMIT=off\n")
    environment = {name: value for name, value in os.environ.items() if name not in UNSET}
    ended = subprocess.run(
        [sys.executable, "-c", "from chatsite.settings import *; print(DEBUG, PORT, RATE_LIMIT)"],
        cwd=tmp_path,
        env={**environment, "PORT": "8002"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.stdout == "True 8002 None\n"


# Security that depends on them


def settings_with(**environment: str) -> dict[str, str]:
    names = ["SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_HSTS_SECONDS", "CSRF_TRUSTED_ORIGINS"]
    show = (
        f"from chatsite import settings as s; print(*(repr(getattr(s, name)) for name in {names}), sep='|')"
    )
    return dict(zip(names, start("-c", show, **environment).stdout.strip().split("|"), strict=True))


def test_cookies_are_secure_where_the_site_has_an_https_origin() -> None:
    found = settings_with(SECRET_KEY="x", ALLOWED_ORIGINS="https://chat.example.org")
    assert found["SESSION_COOKIE_SECURE"] == found["CSRF_COOKIE_SECURE"] == "True"
    assert found["CSRF_TRUSTED_ORIGINS"] == "['https://chat.example.org']"
    assert int(found["SECURE_HSTS_SECONDS"]) > 0


def test_a_development_server_asks_for_no_tls() -> None:
    found = settings_with(DEBUG="1")
    assert found["SESSION_COOKIE_SECURE"] == "False"
    assert found["SECURE_HSTS_SECONDS"] == "0"


# Logs


def record(message: str, *values: object) -> logs.logging.LogRecord:
    return logs.logging.LogRecord("chat", logs.logging.INFO, "", 0, message, values, None)


def test_a_log_record_is_one_line_whatever_is_in_it() -> None:
    line = logs.OneLine("%(message)s").format(
        record("joined: %s", "eve\nINFO chat: joined: root\r\x1b[2J\u2028")
    )
    assert line == r"joined: eve\nINFO chat: joined: root\r\x1b[2J\u2028"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("alice", "alice"),
        (7, "7"),
        (True, "true"),
        ("", '""'),
        ("two words", '"two words"'),
        ("id=1", '"id=1"'),
        ('say "hi"', r'"say \"hi\""'),
        ("back\\slash", r'"back\\slash"'),
        ("a\nb", r'"a\nb"'),
        ("\u2028\x1b[2J", r'"\u2028\u001b[2J"'),
        ("\u202eeve", r'"\u202eeve"'),
        ("Zoë", "Zoë"),
        (["a", 1], r'"[\"a\", 1]"'),
    ],
)
def test_fields_of_a_record_follow_as_logfmt_that_nobody_can_forge(value: object, written: str) -> None:
    said = record("a user connected")
    said.fields = {"user": value, "sid": "S1"}
    assert logs.OneLine("%(message)s").format(said) == f"a user connected user={written} sid=S1"


def test_a_traceback_is_one_line_too_but_on_a_developers_console() -> None:
    failed = record("failed")
    try:
        raise ValueError("a\nb")
    except ValueError:
        failed.exc_info = sys.exc_info()
    assert "\n" not in logs.OneLine("%(message)s").format(failed)
    assert "\n" in logs.OneLine("%(message)s", readable_traces=True).format(failed)

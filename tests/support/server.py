"""The real server as a child process, on a port and in a database of its own."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from chat.models import Room

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
KINDS = ("daphne", "uvicorn")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Person:
    id: int
    name: str
    token: str


class Server:
    """`start`, `stop` (SIGTERM), `kill` (SIGKILL) and start again: same port, same database.

    `kind` is "daphne", "uvicorn", or "serve" for `manage.py serve`; `database_url` is a new SQLite
    file where it is empty; `wrap` is a command to run the server under, such as strace; `app` is an
    ASGI application.
    """

    alive: list[Server] = []

    def __init__(
        self,
        directory: Path,
        kind: str = "daphne",
        *,
        database_url: str = "",
        app: str = "chatsite.asgi:application",
        env: Mapping[str, str] | None = None,
        wrap: Sequence[str] = (),
        unblock: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext,
    ) -> None:
        self.kind = kind
        self.directory = directory
        self.database_url = database_url or f"sqlite:///{directory / 'db.sqlite3'}"
        self.port = free_port()
        self.log_path = directory / "server.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._app = app
        self._env = dict(env or {})
        self._wrap = list(wrap)
        self._unblock = unblock
        self._migrated = False
        self._desk = ThreadPoolExecutor(1, "desk", initializer=self._open_desk)

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    # The process

    @property
    def origin(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None, "the server isn't running"
        return self.process.pid

    @property
    def environment(self) -> dict[str, str]:
        place = {"HOST": HOST, "PORT": str(self.port), "STATIC_ROOT": str(self.directory / "static")}
        return {**environment(self.database_url), **place, **self._env}

    def start(self) -> Server:
        """Returns when it accepts connections."""
        self.launch()
        self.wait()
        return self

    def launch(self) -> None:
        assert self.process is None, "the server is running"
        self.migrate()
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*with_parent(), *self._wrap, sys.executable, "-m", *self._command()],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        Server.alive.append(self)

    def _command(self) -> list[str]:
        if self.kind == "daphne":
            endpoint = f"tcp:port={self.port}:interface={HOST}:backlog=2048"
            return ["daphne", "-e", endpoint, "--no-server-name", self._app]
        if self.kind == "serve":
            return ["django", "serve"]
        assert self.kind == "uvicorn", self.kind
        return [
            "uvicorn", self._app, "--host", HOST, "--port", str(self.port),
            "--loop", "uvloop", "--ws", "websockets-sansio", "--ws-per-message-deflate", "false",
            "--ws-max-size", str(1024 * 1024), "--log-level", "warning",
        ]  # fmt: skip

    def wait(self, timeout: float = 60) -> None:
        """Until it accepts connections; a port can only be asked again and again."""
        deadline = time.monotonic() + timeout
        while not self.accepts():
            if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server didn't start:\n{self.log()}")
            time.sleep(0.01)

    def accepts(self) -> bool:
        with contextlib.suppress(ConnectionError):
            socket.create_connection((HOST, self.port), timeout=1).close()
            return True
        return False

    def stop(self, timeout: float = 20) -> int:
        """SIGTERM; returns the exit status."""
        return self._end(signal.SIGTERM, timeout)

    def kill(self) -> None:
        """SIGKILL; returns when the process is gone."""
        self._end(signal.SIGKILL, 10)

    def _end(self, number: signal.Signals, timeout: float) -> int:
        process, self.process = self.process, None
        assert process is not None, "the server isn't running"
        Server.alive.remove(self)
        process.send_signal(number)
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise RuntimeError(f"the server didn't stop within {timeout} s:\n{self.log()}") from None

    def close(self) -> None:
        """Ends the process, whatever it does; for the end of a test."""
        if self.process is not None:
            self.kill()
        self._desk.submit(close_connections).result()
        self._desk.shutdown()

    def log(self, lines: int = 80) -> str:
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def memory(self) -> int:
        """The process's resident bytes."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE")

    # Its database

    def manage(self, *arguments: str) -> str:
        """Runs a management command on this server's database; returns what it prints."""
        return manage(self.environment, *arguments)

    def migrate(self) -> None:
        if self._migrated:
            return
        if self.database_url.startswith("sqlite:"):
            shutil.copy(migrated_file(), self.database_url.removeprefix("sqlite:///"))
        else:
            self.manage("migrate", "--verbosity=0")
        self._migrated = True

    def django(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Calls `function` with Django's default connection being this server's database.

        In a thread of its own: the test's own connection isn't touched, and Django refuses
        database work on an event loop's thread. Milliseconds, where a command takes a second.
        """
        self.migrate()

        def call() -> T:
            with self._unblock():
                return function(*arguments, **named)

        return self._desk.submit(call).result(60)

    def _open_desk(self) -> None:
        from django.db import connections
        from django.db.utils import load_backend

        settings = connections.configure_settings({"default": database_settings(self.database_url)})
        backend = load_backend(settings["default"]["ENGINE"])
        connections["default"] = backend.DatabaseWrapper(settings["default"], "default")

    # Who and what is in it

    def person(self, name: str = "alice", *, staff: bool = False) -> Person:
        """Someone new with a token; `name` becomes unique, so that tests can share a server."""
        return self.django(make_person, fresh(name), staff)

    def people(self, count: int, name: str = "member") -> list[Person]:
        return self.django(lambda: [make_person(fresh(name), False) for _ in range(count)])

    def cookie(self, person: Person) -> str:
        """A signed-in browser's `Cookie` header."""
        return self.django(make_cookie, person.id)

    def room(self, slug: str = "room", members: Iterable[Any] = (), **fields: Any) -> str:
        """A new room; `members` have an `id`, the first is the owner. Returns its slug."""
        return self.django(make_room, fresh(slug), [member.id for member in members], fields)


def fresh(name: str) -> str:
    return f"{name}-{secrets.token_hex(4)}"


def make_person(name: str, staff: bool) -> Person:
    from django.contrib.auth import get_user_model

    from chat.services import tokens

    user = get_user_model().objects.create(username=name, is_staff=staff, password="!")
    return Person(user.pk, user.username, tokens.create(user))


def make_cookie(user: int) -> str:
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.test import Client

    browser = Client()
    browser.force_login(get_user_model().objects.get(pk=user), "django.contrib.auth.backends.ModelBackend")
    name = settings.SESSION_COOKIE_NAME
    return f"{name}={browser.cookies[name].value}"


def make_room(slug: str, members: Sequence[int], fields: Mapping[str, Any]) -> str:
    from chat.models import Membership, Room

    room: Room = Room.objects.create(**{"namespace": "chat", "slug": slug, "name": slug, **fields})
    Role = Membership.Role
    Membership.objects.bulk_create(
        Membership(room=room, user_id=user, role=Role.MEMBER if number else Role.OWNER)
        for number, user in enumerate(members)
    )
    return room.slug


def close_connections() -> None:
    from django.db import connections

    connections.close_all()


def environment(database_url: str) -> dict[str, str]:
    """The project's real settings; the key is the test process's, so that a session made here
    is valid there.
    """
    from django.conf import settings

    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "chatsite.settings",
        "DATABASE_URL": database_url,
        "SECRET_KEY": settings.SECRET_KEY,
        "ALLOWED_HOSTS": f"{HOST},localhost",
        "DEBUG": "0",
        "PYTHONUNBUFFERED": "1",
    }


def manage(env: Mapping[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"manage.py {' '.join(arguments)}: {done.stderr}")
    return done.stdout.strip()


def database_settings(url: str) -> dict[str, Any]:
    """What the server's settings make of this URL."""
    import dj_database_url
    from django.conf import settings

    config: dict[str, Any] = {**dj_database_url.parse(url)}
    own = settings.DATABASES["default"]
    if config["ENGINE"] == own["ENGINE"]:
        config["OPTIONS"] = {**own.get("OPTIONS", {}), **config.get("OPTIONS", {})}
    return config


_migrated: Path | None = None


def migrated_file() -> Path:
    """A migrated SQLite database, made once in a process and copied for each server."""
    global _migrated
    if _migrated is None:
        path = Path(tempfile.mkdtemp(prefix="chatsite-")) / "template.sqlite3"
        manage(environment(f"sqlite:///{path}"), "migrate", "--verbosity=0")
        _migrated = path
    return _migrated


def free_port() -> int:
    """A port below those that the system gives to clients: while the server is down, none of
    its reconnecting clients can be given the server's own.
    """
    for port in random.SystemRandom().sample(range(20_000, 32_000), 1_000):
        with contextlib.closing(socket.socket()) as probe:
            try:
                probe.bind((HOST, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return port
    raise RuntimeError("no free port")


def with_parent() -> list[str]:
    """A test run that is killed takes its servers along."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []

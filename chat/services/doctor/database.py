"""Whether the database is there, up to date, durable, quick enough, and of one time with us."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from django.contrib.auth.models import User
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor

from chat.delivery import clock, door, durability
from chat.delivery.entries import SYSTEM
from chat.models import Message, Room

from .findings import Finding, error, ok, warning

#: Seconds that a database may take to answer a connection.
CONNECT = 5
#: Seconds that a commit may take: each message waits for one.
SLOW = 0.05
#: Seconds by which clocks may differ: leases are measured by the database's, entries are
#: dated by the servers'.
APART, FAR_APART = 1.0, 30.0
#: Bytes that should be free, and that must be.
LOW, FULL = 2 * 2**30, 200 * 2**20


def examine() -> Iterator[Finding]:
    """One finding after the other; after one that makes the next senseless it ends."""
    for question in (reach, migrations):
        answer = question()
        yield answer
        if answer.level == "error":
            return
    yield from disk()
    yield from durable()
    yield commits()
    yield system()
    yield clocks()
    yield last_entry()


def reach() -> Finding:
    try:
        return connected()
    except (DatabaseError, InterfaceError) as failure:
        return error("database", f"it can't be reached: {one_line(failure)}", unreachable())


def connected() -> Finding:
    if connection.vendor == "postgresql":
        connection.settings_dict["OPTIONS"].setdefault("connect_timeout", CONNECT)
    elif not Path(connection.settings_dict["NAME"]).exists():  # to ask for it would make it
        return error("database", f"there is no file {connection.settings_dict['NAME']}", ADVICE_MIGRATE)
    began = time.perf_counter()
    connection.ensure_connection()
    took = (time.perf_counter() - began) * 1000
    version = ".".join(map(str, connection.get_database_version()))
    return ok("database", f"{connection.display_name} {version} answers in {took:.0f} ms")


ADVICE_MIGRATE = "run `manage.py migrate`"


def unreachable() -> str:
    if connection.vendor == "postgresql":
        return "see that PostgreSQL runs, and that DATABASE_URL has its host, port, user, password and name"
    return "see that DATABASE_URL names SQLite's file, in a directory that this user may write to"


def unwritable() -> str:
    if connection.vendor == "postgresql":
        return "see that it is no standby, and that the user of DATABASE_URL owns the tables"
    return "see that this user may write to the file and its directory, and that the disk isn't full"


def durable() -> Iterator[Finding]:
    """Whether what was acknowledged outlives a power cut."""
    modes = durability.modes()
    if connection.vendor == "sqlite":
        if modes["journal_mode"] != "wal":
            yield error(
                "durability",
                f"journal_mode is {modes['journal_mode']}: readers and the writer hold each other up",
                "start a server, which sets WAL; if that changes nothing, the file system can't share "
                "memory (a network drive?): put the file on a local disk",
            )
        else:
            yield ok("durability", "journal_mode is wal, each commit is synced")
        return
    off = [name for name in ("fsync", "full_page_writes") if modes[name] == "off"]
    if off:
        yield error(
            "durability",
            f"PostgreSQL runs with {' and '.join(f'{name}=off' for name in off)}: a crash of its machine "
            "loses messages that were acknowledged, or the database",
            "set them to on in postgresql.conf and reload it",
        )
    else:
        yield ok("durability", f"synchronous_commit is {modes['synchronous_commit']}, fsync is on")


def disk() -> Iterator[Finding]:
    """Of a database in a file; PostgreSQL's own disk can't be seen from here."""
    if connection.vendor != "sqlite":
        return
    free = shutil.disk_usage(Path(connection.settings_dict["NAME"]).resolve().parent).free
    text = f"{free / 2**30:.1f} GiB are free where the database is"
    advice = "make room, or let rooms forget (their retention, `manage.py prune`)"
    if free < FULL:
        yield error("disk", text, advice)
    elif free < LOW:
        yield warning("disk", text, advice)
    else:
        yield ok("disk", text)


def migrations() -> Finding:
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    unknown = executor.loader.applied_migrations.keys() - executor.loader.disk_migrations.keys()
    ours = sorted(f"{app}.{name}" for app, name in unknown if app == "chat")
    if pending:
        first = f"{pending[0][0].app_label}.{pending[0][0].name}"
        return error("migrations", f"{len(pending)} are not applied, the first is {first}", ADVICE_MIGRATE)
    if ours:
        return error(
            "migrations",
            f"the database has {', '.join(ours)}, which this version does not know",
            "it was migrated by a newer version: run that one",
        )
    return ok("migrations", "all are applied")


def commits() -> Finding:
    began = time.perf_counter()
    try:
        durability.touch()
    except (DatabaseError, InterfaceError) as failure:
        return error("commit", f"nothing can be written: {one_line(failure)}", unwritable())
    took = time.perf_counter() - began
    text = f"one takes {took * 1000:.1f} ms, sync included"
    if took > SLOW:
        return warning("commit", text, "each message waits for one: give the database a quicker disk")
    return ok("commit", text)


def system() -> Finding:
    """What migrations put in, and everything relies on."""
    namespace, slug = door.CONTROL
    control = Room.objects.filter(namespace=namespace, slug=slug)
    if not (control.exists() and User.objects.filter(pk=SYSTEM).exists()):
        return error(
            "system",
            "the system's person or the control log is gone: was the database flushed?",
            "restore a backup, or begin with a new database and `manage.py migrate`",
        )
    return ok("system", "the system's person and the control log are there")


def clocks() -> Finding:
    before = datetime.now(UTC)
    theirs = clock.read()
    ahead = (theirs - before - (datetime.now(UTC) - before) / 2).total_seconds()
    if connection.vendor == "sqlite":
        return ok("clock", "the database's is this machine's")
    text = f"the database's is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    advice = "let NTP keep both machines' clocks (`timedatectl set-ntp true`)"
    if abs(ahead) > FAR_APART:
        return error("clock", text, advice)
    return warning("clock", text, advice) if abs(ahead) > APART else ok("clock", text)


def last_entry() -> Finding:
    """A clock that was set back makes bans, mutes and retention last too long."""
    at = Message.objects.order_by("-pk").values_list("at", flat=True).first()
    ahead = 0.0 if at is None else (at - datetime.now(UTC)).total_seconds()
    if ahead > FAR_APART:
        return warning(
            "clock",
            f"the newest entry is dated {ahead:.0f} s in the future",
            "this machine's clock, or another server's, is or was wrong: let NTP keep them",
        )
    return ok("entries", "there are none yet" if at is None else f"the newest is of {at:%Y-%m-%d %H:%M:%S}Z")


def one_line(failure: Exception) -> str:
    return " ".join(str(failure).split())

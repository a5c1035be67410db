"""`python -m bench.archive [ENTRIES]`: rooms out of each database and into it again.

How many entries a second, with how much memory, and how long someone's messages in another room
of the same server take meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import django
from rich.console import Console
from rich.table import Table

from tests.support import Client, Server, databases
from tests.support.server import ROOT

PEOPLE = [f"p{number}" for number in range(200)]
WORDS = ("the", "quick", "brown", "fox", "tea", "coffee", "ready", "server", "room", "message", "later")
AT = "2026-01-31T12:00:00.123Z"
#: Messages a second that someone sends in another room.
RATE = 20


@dataclass(frozen=True, slots=True)
class Run:
    seconds: float
    cpu: float  #: of the command; PostgreSQL's own isn't in it
    mebibytes: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.archive", description=__doc__)
    parser.add_argument("entries", metavar="ENTRIES", nargs="?", type=int, default=1_000_000)
    entries = parser.parse_args().entries
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    logging.disable(logging.INFO)
    table = Table("", "", "entries/s", "seconds", "of CPU", "MiB", "messages elsewhere, ms: p50 / p99 / max")
    with tempfile.TemporaryDirectory() as directory, servers(Path(directory)) as made:
        file = Path(directory) / "rooms.jsonl"
        write(file, entries)
        for name, server in made:
            for what, run, others in asyncio.run(runs(server, file)):
                figures = (entries / run.seconds, run.seconds, run.cpu, run.mebibytes)
                table.add_row(name, what, *(f"{figure:,.0f}" for figure in figures), others)
    Console().print(table)


@contextlib.contextmanager
def servers(directory: Path) -> Iterator[list[tuple[str, Server]]]:
    with databases.postgres() as url, contextlib.ExitStack() as made:
        (directory / "sqlite").mkdir()
        (directory / "postgres").mkdir()
        sqlite = Server(directory / "sqlite", "uvicorn", env={"RATE_LIMIT": "off"})
        postgres = Server(
            directory / "postgres",
            "uvicorn",
            database_url=databases.new_database(url),
            env={"RATE_LIMIT": "off"},
        )
        for server in (sqlite, postgres):
            made.enter_context(contextlib.closing(server))
            server.migrate()
        yield [("SQLite", sqlite), ("PostgreSQL", postgres)]


def write(file: Path, entries: int) -> None:
    """A room as people make it: every fifth message has markup, every tenth entry is a reaction."""
    chance = random.Random(1)
    lines = 2
    with file.open("w") as out:

        def line(**fields: object) -> None:
            out.write(json.dumps(fields) + "\n")

        line(line="chatsite", version=1, at=AT)
        line(line="room", namespace="chat", room="big", head=entries, created_at=AT)
        for seq in range(1, entries + 1):
            who = {"from": chance.choice(PEOPLE), "client_id": str(uuid.UUID(int=chance.getrandbits(128)))}
            said: dict[str, object] = {"kind": "message", "body": words(chance)}
            if seq % 10 == 0:
                said = {"kind": "react", "target": seq - 1, "extra": {"emoji": "👍", "on": True}}
            elif seq % 5 == 0:
                said["html"] = f"<p>{words(chance)} <strong>yes</strong></p>"
            line(line="entry", seq=seq, at=AT, **who, **said)
            lines += 1
        for name in PEOPLE:
            line(line="member", name=name, joined_at=AT, received=entries // 2, read=entries // 3)
        line(line="end", lines=lines + len(PEOPLE))


def words(chance: random.Random) -> str:
    return " ".join(chance.choices(WORDS, k=chance.randint(3, 25)))


async def runs(server: Server, file: Path) -> list[tuple[str, Run, str]]:
    alone = [
        ("import", manage(server, "import", str(file)), ""),
        ("import again: it is there", manage(server, "import", str(file)), ""),
        ("export", manage(server, "export", "big", "--output", str(file) + ".out"), ""),
    ]
    server.start()
    alice = server.person()
    room = server.room("elsewhere", [alice])
    client = await Client.open(server.ws, token=alice.token)
    quiet = await talk(client, room, asyncio.create_task(asyncio.sleep(10)))
    importing = asyncio.create_task(asyncio.to_thread(manage, server, "import", str(file), "--as", "beside"))
    busy = await talk(client, room, importing)
    exporting = asyncio.create_task(
        asyncio.to_thread(manage, server, "export", "big", "--output", str(file) + ".out")
    )
    leaving = await talk(client, room, exporting)
    await client.close()
    server.stop()
    beside = f"{busy} (quiet: {quiet})"
    return [
        *alone,
        ("import beside a server", importing.result(), beside),
        ("export beside a server", exporting.result(), leaving),
    ]


async def talk(client: Client, room: str, until: asyncio.Task[object]) -> str:
    """How long each message took from sending to its ack."""
    times: list[float] = []
    while not until.done():
        began = time.perf_counter()
        await client.say(room, "a line")
        times.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(max(0.0, 1 / RATE - times[-1] / 1000))
    times.sort()
    return " / ".join(f"{times[min(int(len(times) * part), len(times) - 1)]:.0f}" for part in (0.5, 0.99, 1))


def manage(server: Server, *command: str) -> Run:
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env=server.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"manage.py {' '.join(command)} ended with {process.returncode}")
    return Run(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


if __name__ == "__main__":
    main()

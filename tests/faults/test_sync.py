"""A SIGKILL can't show a missing sync, since what was written stays in the page cache: so the
server's system calls are looked at.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import MakeServer
from tests.faults.mutants import mutant
from tests.support import Client
from tests.support.server import KINDS

MESSAGES = 20
CALL = re.compile(
    r"(?P<thread>\d+) +(?:(?P<name>\w+)\((?P<arguments>.*)|<\.\.\. (?P<resumed>\w+) resumed>.*)"
)
SYNCS = ("fsync", "fdatasync")

pytestmark = [
    pytest.mark.skipif(not shutil.which("strace"), reason="needs strace (apt-get install strace)"),
    pytest.mark.timeout(120),
]


async def acks_and_syncs(make_server: MakeServer, trace: Path, **options: object) -> list[str]:
    """ "write", "sync" and "ack" as they follow on each other, while messages are sent one by one."""
    strace = [
        "strace", "--daemonize", "-f", "-q", "-yy", "-s", "200", "-o", str(trace),
        "-e", "trace=fsync,fdatasync,pwrite64,write,writev,sendto,sendmsg",
    ]  # fmt: skip
    server = make_server(wrap=strace, **options).start()
    alice = server.person("alice")
    room = server.room(members=[alice])
    client = await Client.open(server.ws, token=alice.token)
    for number in range(MESSAGES):
        await client.say(room, f"message {number}")
    await client.close()
    server.stop()
    return list(events(complete(trace).splitlines()))


def complete(trace: Path) -> str:
    """strace ends after the server, and nothing tells when. uvicorn ends by the signal itself."""
    while not re.search(r"\+\+\+ (exited|killed)", text := trace.read_text()):
        time.sleep(0.01)
    return text


def events(lines: list[str]) -> Iterator[str]:
    """A write counts from where it begins, a sync from where it ends."""
    for line in lines:
        if not (call := CALL.match(line)):
            continue
        name, arguments = call["name"], call["arguments"] or ""
        synced = name in SYNCS and "-wal>" in arguments and "<unfinished" not in arguments
        if synced or call["resumed"] in SYNCS:
            yield "sync"
        elif name == "pwrite64" and "-wal>" in arguments:
            yield "write"
        elif name and name not in SYNCS and r"{\"ack\":" in arguments:
            yield "ack"


def unsynced_acks(found: list[str]) -> int:
    """Acks with a write before them that no sync followed."""
    written, count = False, 0
    for event in found:
        if event == "ack":
            count += written
        else:
            written = event == "write"
    return count


@pytest.mark.parametrize("kind", KINDS)
async def test_a_sync_lies_between_each_insert_and_its_ack(
    make_server: MakeServer, tmp_path: Path, kind: str
) -> None:
    found = await acks_and_syncs(make_server, tmp_path / "trace", kind=kind, env={"RATE_LIMIT": "off"})
    assert found.count("ack") == MESSAGES
    assert unsynced_acks(found) == 0
    assert "".join(event[0] for event in found).count("wsa") >= MESSAGES


async def test_a_server_that_does_not_sync_is_found(make_server: MakeServer, tmp_path: Path) -> None:
    found = await acks_and_syncs(make_server, tmp_path / "trace", **mutant("sync"))
    assert found.count("ack") == MESSAGES
    assert unsynced_acks(found) == MESSAGES

"""`make bench`: drives the real server, on uvicorn and on Daphne, and prints a table.

Permissions are on and receivers acknowledge; only the rate limit is off. `QUICK=1` takes
shorter looks; `python -m bench uvicorn flood` runs one server, or one work, alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import platform
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import django
import uvloop
from rich.console import Console
from rich.table import Table

from tests.support import Server
from tests.support.server import KINDS

from .socketio import AnyServer, NodeServer, socketio
from .works import Result, flood, memory, stream, without_collector

QUICK = os.environ.get("QUICK", "") not in ("", "0")
SECONDS = 2 if QUICK else 6
RESULTS = Path(__file__).parent / "results" / "latest.json"

Work = Callable[[Any], Awaitable[Result]]
WORKS: dict[str, tuple[str, Work]] = {
    "flood": (
        "200 members × 20 senders × 8 in flight",
        partial(flood, seconds=SECONDS, members=200, senders=20, in_flight=8),
    ),
    "pair": (
        "2 members × 64 in flight",
        partial(flood, seconds=SECONDS, members=2, senders=1, in_flight=64),
    ),
    "stream50": (
        "50 messages/s to 200 members",
        partial(stream, seconds=SECONDS, members=200, senders=20, rate=50),
    ),
    "stream200": (
        "200 messages/s to 200 members",
        partial(stream, seconds=SECONDS, members=200, senders=20, rate=200),
    ),
    "socketio": (
        "the first, by Socket.IO without receipts",
        partial(socketio, seconds=SECONDS, members=200, senders=20, in_flight=8),
    ),
    "memory": ("memory a connection, of 1,000 idle ones", partial(memory, connections=1_000)),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "what", nargs="*", help=f"of {', '.join([*KINDS, *WORKS])}, calibrate; all by default"
    )
    what = parser.parse_args().what
    if unknown := set(what) - {*KINDS, *WORKS, "calibrate"}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    console = Console(width=130)
    if "calibrate" in what:
        from .calibrate import deliveries_a_second

        console.print(f"the client alone takes {deliveries_a_second(200, SECONDS):,.0f} deliveries/s")
        return
    set_up()
    kinds = [kind for kind in ("uvicorn", "daphne") if kind in what] or ["uvicorn", "daphne"]
    works = [work for work in WORKS if work in what] or list(WORKS)
    results = {work: {kind: run(kind, work, console) for kind in kinds_of(work, kinds)} for work in works}
    print_results(results, console)
    if not what and not QUICK:
        save(results)
        console.print(f"written to {RESULTS.relative_to(Path.cwd())}")


def kinds_of(work: str, kinds: list[str]) -> list[str]:
    """Socket.IO's own server is measured beside ours, in the same run."""
    return [*kinds, "node"] if work == "socketio" else kinds


def set_up() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    logging.disable(logging.INFO)
    without_collector()


def run(kind: str, work: str, console: Console) -> Result:
    """One work on a new server with a new SQLite database."""
    title, measure = WORKS[work]
    with (
        console.status(f"{kind}: {title}"),
        tempfile.TemporaryDirectory(prefix="chatsite-bench-") as directory,
        make_server(kind, Path(directory)) as server,
    ):
        try:
            return uvloop.run(call(measure, server))
        except Exception:
            console.print(server.log())
            raise


def make_server(kind: str, directory: Path) -> AnyServer:
    return NodeServer(directory) if kind == "node" else Server(directory, kind, env={"RATE_LIMIT": "off"})


async def call(measure: Work, server: AnyServer) -> Result:
    async with asyncio.timeout(300):
        return await measure(server)


def print_results(results: dict[str, dict[str, Result]], console: Console) -> None:
    table = Table(title="SQLite, synced at every commit; permissions checked, receivers acknowledge")
    for name in ("work", "server"):
        table.add_column(name, no_wrap=True)
    for name in (
        "deliveries/s",
        "stored/s",
        "ack ms\np50 / p99",
        "delivery ms\np50 / p99",
        "CPU\nserver / client",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for work, by_kind in results.items():
        if work == "memory":
            continue
        for number, (kind, result) in enumerate(by_kind.items(), start=1):
            table.add_row(
                "" if number > 1 else WORKS[work][0], kind, *cells(result), end_section=number == len(by_kind)
            )
    if table.row_count:
        console.print(table)
    for kind, result in results.get("memory", {}).items():
        console.print(f"{WORKS['memory'][0]}, {kind}: {result.bytes_a_connection / 1000:.1f} kB")


def cells(result: Result) -> list[str]:
    return [
        f"{result.deliveries:,.0f}",
        f"{result.stored:,.0f}",
        f"{result.ack_p50:.1f} / {result.ack_p99:.1f}",
        f"{result.delivery_p50:.1f} / {result.delivery_p99:.1f}",
        f"{result.server_cpu:.0%} / {result.client_cpu:.0%}",
    ]


def save(results: dict[str, dict[str, Result]]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    figures = {
        WORKS[work][0]: {kind: result.as_dict() for kind, result in by_kind.items()}
        for work, by_kind in results.items()
    }
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    RESULTS.write_text(
        json.dumps({"machine": machine, "results": figures}, indent=2, ensure_ascii=False) + "\n"
    )


if __name__ == "__main__":
    main()

"""`manage.py work`: real workers on a real database; no server runs."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from chat.delivery import leases
from chat.delivery.entries import SYSTEM, Draft
from chat.delivery.leases import Want
from chat.management.programs import OUTPUT
from chat.management.worker import LONGEST_DELAY, Policy
from chat.models import DeadLetter, Lease, Message
from chat.services import queues
from tests.conftest import MakeServer
from tests.support import Server
from tests.support.server import ROOT, close_connections
from tests.support.worker import SECONDS, Conducted, Worker

Work = Callable[..., Worker]


@pytest.fixture
def desk(make_server: MakeServer) -> Server:
    """A database of the test's own."""
    return make_server()


@pytest.fixture
def work(desk: Server) -> Iterator[Work]:
    """`work("kitchen", "--max", "2", command=[…])` starts a worker."""
    with contextlib.ExitStack() as started:
        yield lambda *arguments, command: started.enter_context(Worker(desk, *arguments, command=command))


@pytest.fixture
def conducted(tmp_path: Path) -> Iterator[Conducted]:
    with contextlib.closing(Conducted(tmp_path)) as command:
        yield command


def fill(desk: Server, *items: Any, **policy: Any) -> None:
    """A queue `kitchen` with these orders, numbered from 1."""
    from chat.delivery import door

    def make() -> None:
        queues.create("orders", SYSTEM, "kitchen", **policy)
        drafts = [
            Draft("orders", "kitchen", SYSTEM, uuid.uuid4().hex, "item", body=json.dumps(item))
            for item in items
        ]
        door.write(*drafts)

    desk.django(make)


def lease(desk: Server, seq: int = 1) -> Lease:
    return desk.django(Lease.objects.get, room__slug="kitchen", seq=seq)


def result(desk: Server, seq: int = 1) -> Any:
    found = lease(desk, seq)
    assert found.state == "done"
    return json.loads(found.result or "null")


def until(condition: Callable[[], bool]) -> None:
    """A database tells nobody that it has changed."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


# What a command is given and gives


ITEMS = [
    {"dish": "soup", "table": 4, "notes": ["hot", None, True]},
    "zażółć \u2028 🍲\n\"quoted\" 'and' $HOME",
    123456789012345678901234567890,
    0.1,
    "",
    [],
    None,
    "x" * 30_000,
]


def test_a_command_gets_the_item_exactly_and_knows_which_order_it_is(
    desk: Server, work: Work, tmp_path: Path
) -> None:
    fill(desk, *ITEMS)
    code = (
        "import os, sys, pathlib;"
        "about = [os.environ['ORDER_QUEUE'], os.environ['ORDER_SEQ'], os.environ['ORDER_ATTEMPT']];"
        f"pathlib.Path({str(tmp_path)!r}, '-'.join(about)).write_bytes(sys.stdin.buffer.read())"
    )
    worker = work("kitchen", "--drain", command=python(code))
    assert worker.end() == 0
    for seq, item in enumerate(ITEMS, start=1):
        stdin = (tmp_path / f"kitchen-{seq}-1").read_bytes()
        assert stdin.endswith(b"\n")
        assert stdin.count(b"\n") == 1
        assert json.loads(stdin) == item


@pytest.mark.parametrize(
    ("printed", "stored"),
    [
        (b"", None),
        (b"\n", None),
        (b'{"minutes": 12}\n', {"minutes": 12}),
        (b"12\n13\n", "12\n13"),
        ("servi à table\n".encode(), "servi à table"),
        (b"NaN\n", "NaN"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"a\0b", "a\0b"),
        (b"[" * 5000 + b"]" * 5000, "[" * 5000 + "]" * 5000),
    ],
    ids=["nothing", "white", "json", "text", "unicode", "nan", "bytes", "nul", "deep"],
)
def test_what_a_command_prints_is_the_result(
    desk: Server, work: Work, tmp_path: Path, printed: bytes, stored: Any
) -> None:
    fill(desk, "soup")
    (tmp_path / "printed").write_bytes(printed)
    worker = work("kitchen", "--drain", command=["cat", str(tmp_path / "printed")])
    assert worker.end() == 0
    assert result(desk) == stored


def test_a_result_that_is_too_long_is_cut_and_the_line_says_so(desk: Server, work: Work) -> None:
    fill(desk, "soup")
    worker = work("kitchen", "--drain", command=python("print('€' * 500_000)"))
    assert worker.end() == 0
    stored = result(desk)
    assert stored.startswith("€€€")
    assert stored.endswith("€ … (cut)")
    assert OUTPUT - 10 < len(stored.encode()) <= OUTPUT
    assert worker.count("order done .*result=cut") == 1


def test_a_command_need_not_read_its_stdin(desk: Server, work: Work) -> None:
    fill(desk, "x" * 32_000)
    assert work("kitchen", "--drain", command=["true"]).end() == 0
    assert result(desk) is None


# Failing


def test_a_command_that_fails_makes_a_dead_letter_after_as_many_attempts_as_the_queue_allows(
    desk: Server, work: Work
) -> None:
    fill(desk, "soup", max_attempts=3)
    command = ["sh", "-c", "echo first >&2; echo no gas in $ORDER_ATTEMPT >&2; exit 3"]
    worker = work("kitchen", "--drain", "--delay", "0", command=command)
    assert worker.end() == 0
    dead = lease(desk)
    assert (dead.state, dead.attempts) == ("dead", 3)
    assert dead.reason == "exit status 3: first | no gas in 3"
    letter = desk.django(DeadLetter.objects.get)
    assert (letter.user_id, letter.first, letter.last, letter.attempts) == (None, 1, 1, 3)
    assert [worker.count("order failed "), worker.count("order dead ")] == [2, 1]
    assert worker.count("attempt=3 .*status=3 reason=.exit status 3: first") == 1


def test_a_reason_is_the_end_of_what_was_said_and_fits(desk: Server, work: Work) -> None:
    fill(desk, "soup", max_attempts=1)
    code = "import sys; sys.stderr.write('x' * 100_000 + '\\n\\x1b[31m the end'); sys.exit(1)"
    assert work("kitchen", "--drain", command=python(code)).end() == 0
    reason = lease(desk).reason
    assert len(reason) == 500
    assert reason.startswith("exit status 1: …xxx")
    assert reason.endswith("x |  [31m the end")


def test_a_signal_that_ended_a_command_is_named(desk: Server, work: Work) -> None:
    fill(desk, "soup", max_attempts=1)
    assert work("kitchen", "--drain", command=["sh", "-c", "kill -SEGV $$"]).end() == 0
    assert lease(desk).reason == "ended by SIGSEGV"


@pytest.mark.parametrize(("status", "seconds"), [(1, 20), (75, 3000)], ids=["failed", "later"])
def test_an_order_that_failed_waits_before_its_next_attempt(
    desk: Server, work: Work, status: int, seconds: int
) -> None:
    fill(desk, "soup")
    options = ("--delay", "20", "--later", "3000")
    worker = work("kitchen", *options, command=["sh", "-c", f"exit {status}"])
    worker.said("order failed")
    worker.signal(signal.SIGTERM)
    assert worker.end() == 0
    waiting = lease(desk)
    assert (waiting.state, waiting.attempts) == ("queued", 1)
    assert (waiting.visible_at - waiting.changed_at).total_seconds() == seconds


def test_delays_double_up_to_an_hour() -> None:
    from chat.management.programs import Ended

    failed = Ended(1, b"", False, b"")
    waits = [Policy(delay=2).wait(failed, attempt) for attempt in (1, 2, 3, 12, 900)]
    assert waits == [2, 4, 8, LONGEST_DELAY, LONGEST_DELAY]


def test_draining_waits_for_what_is_delayed(desk: Server, work: Work) -> None:
    fill(desk, "soup")
    command = ["sh", "-c", "test $ORDER_ATTEMPT = 2"]
    worker = work("kitchen", "--drain", "--delay", "0.5", command=command)
    assert worker.end() == 0
    assert lease(desk).state == "done"


def test_a_command_that_takes_too_long_is_ended_and_has_failed(
    desk: Server, work: Work, conducted: Conducted
) -> None:
    fill(desk, "soup", max_attempts=1)
    worker = work("kitchen", "--drain", "--timeout", "0.2", command=conducted.command)
    assert worker.end() == 0
    assert (lease(desk).state, lease(desk).reason) == ("dead", "took more than 0.2 s")
    assert gone(conducted.begun()[1])


def test_what_a_command_leaves_running_goes_with_it(desk: Server, work: Work, tmp_path: Path) -> None:
    fill(desk, "soup")
    pid = tmp_path / "pid"
    worker = work("kitchen", "--drain", command=["sh", "-c", f"sleep 1000 & echo $! >{pid}"])
    assert worker.end() == 0
    assert lease(desk).state == "done"
    assert gone(int(pid.read_text()))


def gone(pid: int) -> bool:
    """Zombies count as gone: in a container nobody may collect them."""
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


# Many at once


def test_two_workers_never_share_an_order(desk: Server, work: Work, tmp_path: Path) -> None:
    share(desk, work, tmp_path)


@pytest.mark.timeout(300)
def test_workers_keep_their_promises_on_postgresql(
    make_server: MakeServer, postgres_url: str, tmp_path: Path
) -> None:
    desk = make_server(database_url=postgres_url)
    with contextlib.ExitStack() as started:
        work: Work = lambda *arguments, command: started.enter_context(  # noqa: E731
            Worker(desk, *arguments, command=command)
        )
        share(desk, work, tmp_path)


def share(desk: Server, work: Work, directory: Path) -> None:
    """Every fifth order always fails; the others are done, by two workers with four commands each."""
    fill(desk, *range(1, 101), max_attempts=2)
    ran = directory / "ran"
    command = ["sh", "-c", f"cat >>{ran}; exit $((ORDER_SEQ % 5 == 0))"]
    workers = [work("kitchen", "--drain", "--max", "4", "--delay", "0", command=command) for _ in range(2)]
    assert [worker.end() for worker in workers] == [0, 0]
    runs = Counter(map(int, ran.read_text().split()))
    assert runs == {item: 2 if item % 5 == 0 else 1 for item in range(1, 101)}
    states = desk.django(lambda: Counter(Lease.objects.values_list("state", "attempts")))
    assert states == {("done", 1): 80, ("dead", 2): 20}
    assert desk.django(DeadLetter.objects.count) == 20


def test_max_commands_run_at_once(desk: Server, work: Work, conducted: Conducted) -> None:
    fill(desk, *"abcd", ordering="unordered")
    worker = work("kitchen", "--drain", "--max", "3", command=conducted.command)
    assert sorted(conducted.begun()[0] for _ in range(3)) == [1, 2, 3]
    assert lease(desk, 4).state == "queued"
    conducted.end()
    assert conducted.begun()[0] == 4
    for _ in range(3):
        conducted.end()
    assert worker.end() == 0
    assert worker.count("order done") == 4


def test_an_ordered_queue_gives_out_one_order_at_a_time_in_its_order(
    desk: Server, work: Work, conducted: Conducted
) -> None:
    fill(desk, *"abc", ordering="ordered")
    worker = work("kitchen", "--drain", "--max", "3", "--delay", "0", command=conducted.command)
    for seq, status in ((1, 0), (2, 1), (2, 0), (3, 0)):
        assert conducted.begun()[0] == seq
        assert desk.django(Lease.objects.filter(state="leased").count) == 1
        conducted.end(status)
    assert worker.end() == 0


def test_an_idle_worker_finds_what_comes(desk: Server, work: Work, conducted: Conducted) -> None:
    fill(desk)
    worker = work("kitchen", command=conducted.command)
    desk.manage("order", "kitchen", "soup")
    assert conducted.begun()[0] == 1
    conducted.end()
    worker.said("order done")
    worker.signal(signal.SIGINT)
    assert worker.end() == 0


def test_draining_waits_also_for_what_fails_when_nothing_else_is_queued(
    desk: Server, work: Work, conducted: Conducted
) -> None:
    fill(desk, "soup")
    worker = work("kitchen", "--drain", "--max", "2", "--delay", "0.5", command=conducted.command)
    for status in (1, 0):
        conducted.begun()
        conducted.end(status)
    assert worker.end() == 0
    assert lease(desk).state == "done"


def test_draining_an_ordered_queue_waits_while_somebody_else_is_at_work(desk: Server, work: Work) -> None:
    fill(desk, *"ab", ordering="ordered", lease_seconds=1)
    desk.django(lambda: leases.take([Want(Lease.objects.get(seq=1).room_id, SYSTEM, "gone", 1)]))
    worker = work("kitchen", "--drain", command=["true"])
    assert worker.end() == 0
    assert [worker.count("seq=1 attempt=2"), worker.count("seq=2 attempt=1")] == [1, 1]


# Ending


def test_a_signal_lets_what_runs_finish_and_takes_no_more(
    desk: Server, work: Work, conducted: Conducted
) -> None:
    fill(desk, *"ab")
    worker = work("kitchen", command=conducted.command)
    conducted.begun()
    worker.signal(signal.SIGTERM)
    worker.said("stopping")
    conducted.end()
    assert worker.end() == 0
    assert [lease(desk, 1).state, lease(desk, 2).state] == ["done", "queued"]


def test_a_second_signal_ends_what_runs_and_puts_it_back(
    desk: Server, work: Work, conducted: Conducted
) -> None:
    fill(desk, *"ab")
    worker = work("kitchen", "--max", "2", command=conducted.command)
    pids = [conducted.begun()[1] for _ in range(2)]
    worker.signal(signal.SIGTERM)
    worker.said("stopping")
    worker.signal(signal.SIGTERM)
    assert worker.end() == 1
    assert all(map(gone, pids))
    for seq in (1, 2):
        assert (lease(desk, seq).state, lease(desk, seq).attempts) == ("queued", 1)
    assert worker.count("order interrupted") == 2
    assert worker.lines[-1] == "manage.py work: ended by a second signal; what ran goes back to the queue"


def test_after_a_worker_was_killed_another_does_its_order_once_the_lease_has_lapsed(
    desk: Server, work: Work, conducted: Conducted
) -> None:
    fill(desk, "soup", lease_seconds=1)
    killed = work("kitchen", command=conducted.command)
    conducted.begun()
    killed.signal(signal.SIGKILL)
    killed.end()
    other = work("kitchen", command=["true"])
    other.said("order done queue=kitchen seq=1 attempt=2")
    other.signal(signal.SIGTERM)
    assert other.end() == 0
    conducted.end()  # what the killed one left behind


# Leases


def test_a_lease_is_extended_while_the_command_runs(desk: Server, work: Work, conducted: Conducted) -> None:
    fill(desk, "soup", lease_seconds=1)
    worker = work("kitchen", "--drain", command=conducted.command)
    conducted.begun()
    given = lease(desk)
    until(lambda: (lease(desk).visible_at - given.visible_at).total_seconds() > 2)
    conducted.end()
    assert worker.end() == 0
    assert (lease(desk).state, lease(desk).attempts) == ("done", 1)


def test_a_lost_lease_ends_the_command(desk: Server, work: Work, conducted: Conducted) -> None:
    fill(desk, "soup", lease_seconds=1)
    worker = work("kitchen", command=conducted.command)
    pid = conducted.begun()[1]
    other = desk.django(take_away)
    worker.said("order lost queue=kitchen seq=1 attempt=1 .*another worker may have the order")
    assert gone(pid)
    assert lease(desk).token == other.token
    worker.signal(signal.SIGTERM)
    assert worker.end() == 0


def take_away() -> leases.Leased:
    """What a lapse and a faster worker do."""
    running = Lease.objects.get(room__slug="kitchen", seq=1)
    leases.put_back([running.holder])
    return leases.take([Want(running.room_id, SYSTEM, "other", 1)])[0]


def test_an_order_that_was_done_counts_also_after_a_mere_lapse(
    desk: Server, work: Work, conducted: Conducted
) -> None:
    fill(desk, "soup", lease_seconds=100)
    worker = work("kitchen", "--drain", command=conducted.command)
    conducted.begun()
    assert desk.django(lambda: leases.put_back([Lease.objects.get(seq=1).holder]))
    conducted.end()
    assert worker.end() == 0
    assert (lease(desk).state, lease(desk).attempts) == ("done", 1)


def test_a_workers_leases_are_of_one_person_and_of_holders_of_its_own(
    desk: Server, work: Work, conducted: Conducted
) -> None:
    fill(desk, *"ab")
    alice = desk.person("alice")
    worker = work("kitchen", "--drain", "--max", "2", "--user", alice.name, command=conducted.command)
    conducted.begun(), conducted.begun()
    assert {lease(desk, seq).worker_id for seq in (1, 2)} == {alice.id}
    holders = {lease(desk, seq).holder for seq in (1, 2)}
    assert len(holders) == 2
    assert not any("/" in holder for holder in holders)  # no socket's: nobody takes them over
    conducted.end(), conducted.end()
    assert worker.end() == 0


# Outages and other people


def test_an_outage_of_the_database_costs_nothing(
    make_server: MakeServer, postgres_url: str, conducted: Conducted
) -> None:
    desk = make_server(database_url=postgres_url)
    fill(desk, *"ab")
    with Worker(desk, "kitchen", "--drain", command=conducted.command) as worker:
        conducted.begun()
        with unreachable(postgres_url):
            conducted.end()
            worker.said("ERROR chat.work: the database fails, trying again")
        worker.said("the database is back")
        assert conducted.begun()[0] == 2
        conducted.end()
        assert worker.end() == 0
        assert worker.count("order done") == 2
    desk.django(close_connections)  # the outage broke the test's own, too
    assert [lease(desk, 1).attempts, lease(desk, 2).attempts] == [1, 1]


def test_a_worker_can_be_ended_during_an_outage(
    make_server: MakeServer, postgres_url: str, conducted: Conducted
) -> None:
    desk = make_server(database_url=postgres_url)
    fill(desk, "a", lease_seconds=1)
    with Worker(desk, "kitchen", command=conducted.command) as worker:
        pid = conducted.begun()[1]
        with unreachable(postgres_url):
            worker.said("the database fails")
            worker.signal(signal.SIGTERM)
            worker.said("stopping")
            worker.signal(signal.SIGTERM)
            assert worker.end() == 1
    assert gone(pid)
    desk.django(close_connections)
    assert lease(desk).state == "leased"  # until it lapses


@contextlib.contextmanager
def unreachable(url: str) -> Iterator[None]:
    import psycopg

    server, _, name = url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        yield
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def test_a_worker_who_is_banned_takes_no_more(desk: Server, work: Work, conducted: Conducted) -> None:
    from chat.models import Ban

    fill(desk, *"ab")
    alice = desk.person("alice")
    worker = work("kitchen", "--user", alice.name, command=conducted.command)
    conducted.begun()
    desk.django(Ban.objects.create, user_id=alice.id, reason="burnt the soup")
    conducted.end()
    assert worker.end() == 1
    assert worker.lines[-1] == "manage.py work: you are banned: burnt the soup"
    assert [lease(desk, 1).state, lease(desk, 2).state] == ["done", "queued"]


def test_a_program_that_has_gone_costs_no_order_more_than_an_attempt(
    desk: Server, work: Work, tmp_path: Path
) -> None:
    fill(desk, *"ab")
    program = tmp_path / "cook"
    program.write_text('#!/bin/sh\nrm "$0"\n')
    program.chmod(0o755)
    worker = work("kitchen", command=[str(program)])
    assert worker.end() == 1
    assert worker.lines[-1] == f"manage.py work: {program} can't be started: No such file or directory"
    assert [lease(desk, 1).state, lease(desk, 2).state] == ["done", "queued"]


def test_those_who_watch_are_told_through_the_control_log(desk: Server, work: Work) -> None:
    fill(desk, *"ab", max_attempts=1)
    command = ["sh", "-c", "exit $((ORDER_SEQ == 2))"]
    assert work("kitchen", "--drain", command=command).end() == 0
    entries = desk.django(lambda: list(Message.objects.filter(kind="control").order_by("seq")))
    told = [news for entry in entries for news in json.loads(entry.extra).get("news", [])]
    assert [(event, order["seq"], order["state"]) for event, order in told] == [
        ("order:leased", 1, "leased"),
        ("order:done", 1, "done"),
        ("order:leased", 2, "leased"),
        ("order:dead", 2, "dead"),
    ]
    assert told[-1][1]["reason"] == "exit status 1"


def test_a_worker_that_does_it_twice_does_no_harm(desk: Server, work: Work, tmp_path: Path) -> None:
    """The one in docs/queues.md, which is killed after its work and before it could say so."""
    fill(desk, {"amount": 12}, lease_seconds=1)
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/queues.md").read_text(), re.S)
    code = code.replace("bills.sqlite3", str(tmp_path / "bills.sqlite3"))
    code += "\nif os.environ['ORDER_ATTEMPT'] == '1':\n    os.kill(os.getppid(), 9)"
    killed = work("kitchen", command=python(code))
    assert killed.end() == -signal.SIGKILL
    other = work("kitchen", command=python(code))
    other.said("order done .*attempt=2")
    with sqlite3.connect(tmp_path / "bills.sqlite3") as books:
        assert books.execute("SELECT * FROM bill").fetchall() == [("kitchen/1", 12)]


# Wrong usage


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["kitchen"], 2, "COMMAND is missing: manage.py work QUEUE -- COMMAND"),
        (["kitchen", "--"], 2, "COMMAND is missing"),
        (["kitchen", "true"], 2, "unrecognized arguments: true"),
        (["kitchen", "--max", "0", "--", "true"], 2, "--max: must be an integer from 1 to 1000, not '0'"),
        (["kitchen", "--delay", "nan", "--", "true"], 2, "--delay: must be a number from 0 to 604800"),
        (["nowhere", "--", "true"], 1, "there is no queue 'nowhere'"),
        (["kitchen", "--", "/no/such/program"], 1, "there is no program '/no/such/program'"),
        (["kitchen", "--user", "nobody", "--", "true"], 1, "there is no person 'nobody'"),
    ],
)
def test_wrong_usage_is_a_line_and_a_status(
    desk: Server, arguments: Sequence[str], status: int, says: str
) -> None:
    fill(desk)
    ended = run(desk, "work", *arguments)
    assert ended.returncode == status
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("usage:")]
    assert len(lines) == 1
    assert says in lines[0]


def test_options_of_the_command_are_its_own(desk: Server, work: Work) -> None:
    fill(desk, "soup")
    worker = work("kitchen", "--drain", command=["sh", "-c", 'echo "$@"', "--", "--max", "7", "--", "--help"])
    assert worker.end() == 0
    assert result(desk) == "--max 7 -- --help"


def run(desk: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=desk.environment, capture_output=True, text=True, timeout=SECONDS
    )

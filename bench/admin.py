"""`python -m bench.admin`: the admin's pages over 1,000,000 messages: queries and time of each.

Fills a new SQLite and a new PostgreSQL and asks for each page as one of the staff does; prints a
table. `python -m bench.admin sqlite --messages 100000` takes less.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from tests.support import databases

ROUNDS = 5
PEOPLE, ROOMS, DAYS = 2_000, 200, 60
ORDERS = 100_000  #: at most; of a smaller log a tenth
BATCH = 20_000
WORDS = [f"word{number}" for number in range(5_000)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.admin", description=__doc__)
    parser.add_argument("databases", nargs="*", default=["sqlite", "postgres"])
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # the empty DATABASE_URL
    options = parser.parse_args()
    if options.here:
        measure(options.messages)
        return
    for name in options.databases:
        with ExitStack() as stack:
            print(f"\n{name}\n", flush=True)
            again = [sys.executable, "-m", "bench.admin", "--here", f"--messages={options.messages}"]
            subprocess.run(again, env=environment(url_of(name, stack)), check=True)


def url_of(name: str, stack: ExitStack) -> str:
    if name == "postgres":
        return databases.new_database(stack.enter_context(databases.postgres()))
    return f"sqlite:///{stack.enter_context(tempfile.TemporaryDirectory())}/db.sqlite3"


def environment(url: str) -> dict[str, str]:
    more = {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "chatsite.settings", "STATIC_ROOT": ""}
    return {**os.environ, **more, "SECRET_KEY": "for-the-bench-only", "DEBUG": "1"}


# Filling


def fill(count: int) -> None:
    """A site of some months: busy rooms and quiet ones, people who write a lot and hardly ever."""
    from django.contrib.auth.models import User
    from django.core.management import call_command

    from chat.models import Room

    call_command("migrate", verbosity=0)
    User.objects.create_superuser("boss", password="!")
    User.objects.bulk_create(User(username=f"person{n}", password="!") for n in range(PEOPLE))
    people = list(User.objects.filter(username__startswith="person").values_list("pk", flat=True))
    Room.objects.bulk_create(
        Room(namespace="chat", slug=f"room{n:03}", name=f"Room {n}") for n in range(ROOMS)
    )
    rooms = list(Room.objects.filter(namespace="chat").order_by("pk"))
    fill_log(rooms, people, count)
    fill_queue(people, min(ORDERS, count // 10))
    fill_moderation(list(Room.objects.filter(namespace="chat").order_by("pk")), people)


def fill_log(rooms: list[Any], people: list[int], count: int) -> None:
    """The index of words is made at the end: a batch at a time it takes three times as long."""
    from django.db import connection, transaction

    from chat.delivery import search
    from chat.models import Message, Room

    with connection.schema_editor() as editor:
        search.drop(editor)
    columns = "room_id, seq, sender_id, client_id, kind, target, ordinal, body, html, extra, deleted, at"
    marks = ", ".join(["%s"] * 12)
    statement = f"INSERT INTO {Message._meta.db_table} ({columns}) VALUES ({marks})"
    heads = dict.fromkeys((room.pk for room in rooms), 0)
    rows = entries(heads, people, count)
    while batch := list(islice(rows, BATCH)):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(statement, batch)
        print(".", end="", flush=True, file=sys.stderr)
    for room, head in heads.items():
        Room.objects.filter(pk=room).update(head=head, messages=head)
    with connection.schema_editor() as editor:
        search.create(editor)


def entries(heads: dict[int, int], people: list[int], count: int) -> Iterator[tuple[Any, ...]]:
    chance = random.Random(4)
    rooms = list(heads)
    bodies = [" ".join(chance.choices(WORDS, k=11)) for _ in range(1_000)]
    begin = datetime.now(UTC) - timedelta(days=DAYS)
    step = timedelta(days=DAYS) / count
    for number in range(count):
        # Few have most of it: the first room a sixth, the last ones next to nothing.
        room = rooms[int(ROOMS * chance.random() ** 3)]
        sender = people[int(PEOPLE * chance.random() ** 3)]
        seq = heads[room] = heads[room] + 1
        at = (begin + number * step).replace(tzinfo=None).isoformat(" ")
        if seq > 1 and number % 5 == 0:
            act = ("react", seq - 1, seq, "", "", '{"emoji": "👍", "on": true}')
        else:
            body = f"{bodies[number % 1_000]} {WORDS[int(5_000 * chance.random() ** 2)]}"
            act = ("message", None, seq, body, "", "")
        yield (room, seq, sender, f"c{number}", *act, "", at)


def fill_queue(people: list[int], count: int) -> None:
    from chat.delivery.entries import now
    from chat.models import DeadLetter, Lease, Message, Room

    queue = Room.objects.create(namespace="orders", slug="kitchen", kind="queue")
    states = ["done"] * 97 + ["queued", "leased", "dead"]
    for first in range(1, count + 1, BATCH):
        seqs = range(first, min(first + BATCH, count + 1))
        Message.objects.bulk_create(
            Message(room=queue, seq=seq, sender_id=people[0], client_id=f"o{seq}", kind="item",
                    ordinal=0, body='{"dish": "soup"}', at=now()) for seq in seqs
        )  # fmt: skip
        Lease.objects.bulk_create(
            Lease(room=queue, seq=seq, state=states[seq % 100], attempts=1, visible_at=now(),
                  changed_at=now(), worker_id=people[seq % 10]) for seq in seqs
        )  # fmt: skip
    Room.objects.filter(pk=queue.pk).update(head=count)
    dead = Lease.objects.filter(state="dead").values_list("seq", flat=True)
    DeadLetter.objects.bulk_create(
        DeadLetter(room=queue, first=seq, last=seq, reason="max_attempts") for seq in dead
    )


def fill_moderation(rooms: list[Any], people: list[int]) -> None:
    from django.contrib.admin.models import LogEntry
    from django.contrib.auth.models import User
    from django.utils import timezone

    from chat.models import Ban, Login, Membership, Report, Token

    boss = User.objects.get(username="boss")
    later = timezone.now() + timedelta(days=1)
    Membership.objects.bulk_create(
        Membership(room=room, user_id=user, received=max(0, room.head - number % 50),
                   muted_until=later if number % 97 == 0 else None)
        for number, (room, user) in enumerate((room, user) for room in rooms for user in people[::20])
    )  # fmt: skip
    Ban.objects.bulk_create(Ban(user_id=user, reason="spam", by=boss) for user in people[::9])
    Report.objects.bulk_create(
        Report(room=rooms[0], seq=seq * 7 + 1, reporter_id=people[seq % 50], reason="rude")
        for seq in range(2_000)
    )
    Token.objects.bulk_create(Token(user_id=user, digest=str(user)) for user in people)
    Login.objects.bulk_create(Login(user_id=user, session_key=str(user)) for user in people)
    LogEntry.objects.bulk_create(
        LogEntry(user=boss, action_flag=2, object_repr="x", change_message="a user was banned")
        for _ in range(20_000)
    )


# Measuring


def pages() -> dict[str, str]:
    from chat.models import Message, Room

    big, small = (Room.objects.get(slug=slug) for slug in ("room000", f"room{ROOMS - 1:03}"))
    first, last = big.log.order_by("seq").values_list("sender", flat=True)[:1][0], rarest()
    day = datetime.now(UTC) - timedelta(days=DAYS // 2)
    month = f"at__year={day.year}&at__month={day.month}"
    message = Message.objects.filter(kind="message").order_by("-pk").values_list("pk", flat=True)[0]
    log, room = "chat/message/", "room__id__exact"
    return {
        "dashboard": "",
        "messages": log,
        "messages, page 100": f"{log}?p=100",
        "reactions": f"{log}?kind=react",
        "deletions (there are none)": f"{log}?kind=delete",
        "of the busiest room": f"{log}?{room}={big.pk}",
        "of the quietest room": f"{log}?{room}={small.pk}",
        "of a month": f"{log}?{month}",
        "of a day": f"{log}?{month}&at__day={day.day}",
        "of a day in the quietest room": f"{log}?{month}&at__day={day.day}&{room}={small.pk}",
        "of a day in the busiest room": f"{log}?{month}&at__day={day.day}&{room}={big.pk}",
        "by who writes most": f"{log}?sender__id__exact={first}",
        "by who hardly writes": f"{log}?sender__id__exact={last}",
        "with a word": f"{log}?q=word17",
        "with a word, in a room": f"{log}?q=word17&{room}={small.pk}",
        "a message": f"{log}{message}/change/",
        "rooms": "chat/room/",
        "a room": f"chat/room/{big.pk}/change/",
        "members": "chat/membership/",
        "members of a room": f"chat/membership/?{room}={big.pk}",
        "people": "auth/user/",
        "a person": f"auth/user/{first}/change/",
        "orders": "chat/lease/",
        "dead orders": "chat/lease/?state__exact=dead",
        "dead letters": "chat/deadletter/",
        "reports": "chat/report/?state__exact=open",
        "bans": "chat/ban/",
        "mutes": "chat/mute/",
        "tokens": "chat/token/",
        "sessions": "chat/login/",
        "audit": "admin/logentry/",
    }


def rarest() -> int:
    from django.db.models import Count

    from chat.models import Message

    counts = Message.objects.order_by().values("sender").annotate(count=Count("pk")).order_by("count")
    return int(counts[0]["sender"])


def measure(count: int) -> None:
    import django

    django.setup()
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    fill(count)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE") if connection.vendor == "postgresql" else None  # as autovacuum does
    staff = Client(SERVER_NAME="localhost")
    staff.force_login(User.objects.get(username="boss"), "django.contrib.auth.backends.ModelBackend")
    print("\n| page | queries | database, ms | processor, ms |\n| --- | ---: | ---: | ---: |")
    for name, path in pages().items():
        busy, inside, queries = [], [], 0
        for _ in range(ROUNDS):
            with CaptureQueriesContext(connection) as caught:
                begun = time.process_time()
                answer = staff.get(f"/admin/{path}")
                busy.append(time.process_time() - begun)
            assert answer.status_code == 200, (name, answer.status_code)
            queries = len(caught)
            inside.append(sum(float(query["time"]) for query in caught.captured_queries))
        show(name, queries, inside, busy)


def show(name: str, queries: int, inside: list[float], busy: list[float]) -> None:
    """Medians. The processor's time is that of this process, with SQLite's, which is in it."""
    database, processor = (statistics.median(each) * 1000 for each in (inside, busy))
    print(f"| {name} | {queries} | {database:.0f} | {processor:.0f} |", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    main()

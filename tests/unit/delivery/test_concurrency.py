"""Several writers at once, in threads and in processes: one log, without gaps."""

from __future__ import annotations

import asyncio
import os

from django.contrib.auth.models import User
from django.db import connection

from chat.models import Message, Room

from .conftest import MakeRoom
from .support import check_dense, codes, draft, others, say, submit
from .writers import start, write_at_random


def check(rooms: list[Room], written: int) -> None:
    for room in rooms:
        check_dense(room)
    assert Message.objects.filter(kind="message").count() == written


def test_threads_that_write_and_roll_back_leave_no_gap(make_room: MakeRoom, alice: User, bob: User) -> None:
    rooms = [make_room() for _ in range(3)]
    slugs = [room.slug for room in rooms]
    with others(4) as threads:
        counts = [threads.submit(write_at_random, seed, slugs, [alice.pk, bob.pk], 40) for seed in range(4)]
        written = sum(count.result() for count in counts)
    check(rooms, written)


def test_processes_that_write_and_roll_back_leave_no_gap(make_room: MakeRoom, alice: User, bob: User) -> None:
    rooms = [make_room() for _ in range(3)]
    slugs = [room.slug for room in rooms]
    writers = [start(database_url(), seed, slugs, [alice.pk, bob.pk], 30) for seed in range(3)]
    written = sum(int(writer.communicate(timeout=60)[0]) for writer in writers)
    check(rooms, written)


def test_the_journal_and_other_writers_share_a_log(room: Room, alice: User, bob: User) -> None:
    async def stream() -> list[str]:
        answers = []
        for number in range(40):
            answers += await submit(*(draft(room, alice, str(number)) for _ in range(5)))
        return codes(answers)

    with others(2) as threads:
        writing = [threads.submit(lambda: [say(room, bob) for _ in range(40)]) for _ in range(2)]
        answers = asyncio.run(stream())
        seqs = [seq for each in writing for seq in each.result()]
    assert len(set(seqs)) == 80
    stored = answers.count("ok")
    assert set(answers) <= {"ok", "unavailable"}
    check([room], 80 + stored)


def database_url() -> str:
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return f"{os.environ['DATABASE_URL'].rpartition('/')[0]}/{name}"

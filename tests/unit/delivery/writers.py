"""Writers that get in each other's way, in this process or in processes of their own."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


class Rollback(Exception):
    pass


def write_at_random(seed: int, rooms: Sequence[str], people: Sequence[int], times: int) -> int:
    """Transactions of a few entries each, in any rooms, one in three rolled back.
    Returns how many entries were committed."""
    from django.db import transaction

    from chat.delivery import door
    from chat.delivery.entries import Draft

    chance = random.Random(seed)
    written = 0
    for number in range(times):
        drafts = [
            Draft("chat", chance.choice(rooms), chance.choice(people), f"{seed}-{number}-{each}", "message")
            for each in range(chance.randint(1, 4))
        ]
        try:
            with transaction.atomic():
                door.write(*drafts)
                if chance.random() < 1 / 3:
                    raise Rollback
            written += len(drafts)
        except Rollback:
            pass
    return written


def start(database_url: str, *arguments: Any) -> subprocess.Popen[str]:
    """Prints the result of `write_at_random` with these arguments."""
    return subprocess.Popen(
        [sys.executable, "-c", f"from {__name__} import main; main(*{arguments!r})"],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        stdout=subprocess.PIPE,
        text=True,
    )


def main(*arguments: Any) -> None:
    import django

    django.setup()
    print(write_at_random(*arguments))

"""What the commands of moderation share: whom it is about, where, for how long, why and by whom."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandParser

from chat.delivery.entries import Person, rfc3339
from chat.models import Room
from chat.services.deadletters import find_place
from chat.services.moderation import FOR_GOOD

from .base import ChatCommand, duration

EPILOG = """\
exit status:
  0        done
  1        refused: nobody of that name, no such room, {refused}
  2        wrong usage

examples:
"""


class ModeratingCommand(ChatCommand):
    """`handle` calls one act of `chat.services.moderation` and `say`s what it came to."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", metavar="USER", help="the person's name")

    def add_reason(self, parser: CommandParser, *, required: bool = False) -> None:
        parser.add_argument(
            "--reason", metavar="TEXT", default="", required=required, help="why; the person is told"
        )

    def add_time(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--for",
            metavar="TIME",
            dest="seconds",
            type=duration,
            help="how long: 90s, 30m, 2h, 7d, 2w; without it for good",
        )

    def add_common(self, parser: CommandParser) -> None:
        parser.add_argument("--by", metavar="STAFF", help="whose act it is (the system's)")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def say(self, as_json: bool, user: User, room: Room | None, text: str, **more: Any) -> None:
        if not as_json:
            self.stdout.write(text)
            return
        about = {"user": Person(user.pk, user.username).as_dict(), "room": room and str(room)}
        self.stdout.write(json.dumps({**about, **more}, ensure_ascii=False))


def place_of(room: str | None) -> Room | None:
    return None if room is None else find_place(room)


def where(room: Room | None) -> dict[str, Any]:
    """As the acts of moderation take it."""
    return {"room": None} if room is None else {"room": room.slug, "namespace": room.namespace}


def spoken(until: datetime | None) -> str:
    if until is None or until == FOR_GOOD:
        return "for good"
    return f"until {until:%Y-%m-%d %H:%M:%S}Z"


def written(until: datetime | None) -> str | None:
    return None if until is None or until == FOR_GOOD else rfc3339(until)

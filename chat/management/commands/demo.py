"""Two people, a few rooms to try the chat with, and a queue of orders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import CommandError
from django.db import transaction

from chat.delivery import door
from chat.delivery.entries import SYSTEM, Draft
from chat.errors import EventError
from chat.services import queues, rooms
from chat.services.rendering import render

from ..base import ChatCommand

PEOPLE = ("alice", "bob")
PASSWORD = "chatsite-demo"

ROOMS = {
    "general": (
        "General",
        "Whatever doesn't fit elsewhere",
        [
            "Welcome to Chatsite! Everyone in this room gets every message, also after being away.",
            "Open this room in two browsers, as **alice** and as **bob**: ✓ is stored, ✓✓ is with everyone.",
            "Stop the server while you write, and start it again. Nothing is lost, and nothing comes twice.",
        ],
    ),
    "random": (
        "Random",
        "Off topic is the topic",
        ["Bodies are Markdown: **bold**, *italic*, `code`, links."],
    ),
    "help": ("Help", "How does this work?", ["Ask here. The documentation is in `docs/`."]),
}

QUEUE = ("kitchen", "Kitchen", [{"dish": "soup", "table": 4}, {"dish": "pancakes", "table": 2}, "more forks"])


def can_sign_in() -> bool:
    """Whether the first demo person is there and still has the demo password."""
    return any(user.check_password(PASSWORD) for user in User.objects.filter(username=PEOPLE[0]))


@contextmanager
def unless_it_is_there() -> Iterator[None]:
    try:
        yield
    except EventError as error:
        if error.code != "conflict":
            raise


class Command(ChatCommand):
    help = """\
Fill a development database with demo people, rooms and a queue; what is there already stays.

Their password is known to everybody, so it is refused without DEBUG=1."""
    epilog = """\
exit status:
  0        they are there
  1        DEBUG is off, or the database fails

example:
  manage.py demo"""

    def handle(self, *, verbosity: int, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("The demo people's password is known to all: only with DEBUG=1.")
        owner, *others = [self._person(name) for name in PEOPLE]
        for slug, (name, topic, bodies) in ROOMS.items():
            self._room(owner, others, slug, name, topic)
            door.write(*(self._welcome(slug, number, body) for number, body in enumerate(bodies, start=1)))
        self._queue(owner, *QUEUE)
        if verbosity:
            self.stdout.write(
                f"People: {', '.join(PEOPLE)}; their password: {PASSWORD}; rooms: {', '.join(ROOMS)}; "
                f"queue: {QUEUE[0]}."
            )

    def _person(self, name: str) -> User:
        user = User.objects.filter(username=name).first()
        return user or User.objects.create_user(name, password=PASSWORD)

    def _room(self, owner: User, others: list[User], slug: str, name: str, topic: str) -> None:
        with unless_it_is_there(), transaction.atomic():
            room = rooms.create("chat", owner.pk, slug, name=name, topic=topic)
            for user in others:
                rooms.seat_person(room, user.pk)

    def _queue(self, owner: User, slug: str, name: str, items: list[Any]) -> None:
        with unless_it_is_there():
            queues.create("orders", owner.pk, slug, name=name)
        door.write(
            *(
                Draft("orders", slug, SYSTEM, f"demo-{slug}-{n}", "item", body=queues.as_json("item", item))
                for n, item in enumerate(items, start=1)
            )
        )

    def _welcome(self, slug: str, number: int, body: str) -> Draft:
        # A client_id of its own makes each message stay the only one, however often this runs.
        return Draft("chat", slug, SYSTEM, f"demo-{slug}-{number}", "message", body=body, html=render(body))

"""What commands share: help as it is written, one clear line for what goes wrong, who and where."""

from __future__ import annotations

import argparse
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    DjangoHelpFormatter,
    SystemCheckError,
)
from django.db import DatabaseError, InterfaceError, OperationalError

from chat.delivery.entries import SYSTEM
from chat.errors import EventError
from chat.models import Room
from chat.services import people, queues
from chat.services.deadletters import find_place

NAMESPACE = "orders"
CLIENT_ID = re.compile(r"[!-~]+")
LONGEST_CLIENT_ID = 64
#: Of many lines it is followed by the number of each.
LONGEST_PREFIX = 50
#: Exit status of wrong usage; everything else that goes wrong is 1.
USAGE = 2
#: As a shell has it of a program that SIGPIPE has ended.
BROKEN_PIPE = 128 + signal.SIGPIPE
#: What the database raises while it can't be reached; SQLite too, when others keep it locked.
OUTAGE = (OperationalError, InterfaceError)
SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 24 * 3600.0, "w": 7 * 24 * 3600.0}


class AsWritten(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    pass


class ChatCommand(BaseCommand):
    """Its help and its epilog are shown in the lines in which they are written; what goes wrong ends
    it with one line on stderr and a status."""

    # They have nothing to do with pages, and are to start fast.
    requires_system_checks: tuple[str, ...] | Literal["__all__"] = ()
    #: Django's own options, which go on working, are no help.
    suppressed_base_arguments = {
        *("--version", "--verbosity", "--settings", "--pythonpath"),
        *("--traceback", "--no-color", "--force-color"),
    }
    epilog = ""
    _called_from_command_line = False

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"formatter_class": AsWritten, "epilog": self.epilog}
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        self._prog = parser.prog
        return parser

    def run_from_argv(self, argv: list[str]) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):  # some terminals know few letters
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            super().run_from_argv(argv)
            sys.stdout.flush()
        except BrokenPipeError:  # whoever reads has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more
            sys.exit(BROKEN_PIPE)

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            with one_line():
                return super().execute(*args, **options)
        except SystemCheckError:  # many lines, which Django writes
            raise
        except CommandError as refusal:
            if not self._called_from_command_line or options["traceback"]:
                raise
            self.stderr.write(f"{self._prog}: {refusal}")
            sys.exit(refusal.returncode)


@contextmanager
def one_line() -> Iterator[None]:
    """A refusal, or a database that can't be reached, ends a command with a line."""
    try:
        yield
    except EventError as refusal:
        raise CommandError(refusal.message) from None
    except (DatabaseError, InterfaceError) as error:
        raise CommandError(f"the database fails: {first_line(error)}") from None


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def person(name: str | None) -> int:
    """The id of who acts: the active person of this name, or the system. Raises EventError."""
    return SYSTEM if name is None else people.find(name).pk


def open_room(name: str) -> Room:
    """The room of this name, or of `NAMESPACE/NAME`. Raises EventError."""
    room = find_place(name)
    if room.kind == Room.Kind.QUEUE:
        raise EventError("not_found", f"{room} is a queue, not a room")
    if room.closed_at is not None:
        raise EventError("forbidden", f"{room} is closed")
    return room


def open_queue(slug: str, user: int) -> Room:
    """The queue, where it is open to who acts. Raises EventError."""
    if user != SYSTEM:
        if not User.objects.filter(pk=user, is_active=True).exists():
            raise EventError("session_ended", "this account is no longer active")
        if ban := people.site_bans([user]).get(user):
            raise people.banned(ban)
        return queues.look(NAMESPACE, slug, user)
    queue = Room.objects.filter(namespace=NAMESPACE, slug=slug, kind=Room.Kind.QUEUE).first()
    if queue is None:
        raise EventError("not_found", f"there is no queue {slug!r}; make it at /orders/ or by `queue:create`")
    return queue


def check_client_id(client_id: str | None, longest: int) -> None:
    if client_id is not None and not (CLIENT_ID.fullmatch(client_id) and len(client_id) <= longest):
        wanted = f"1 to {longest} printable ASCII characters without spaces"
        raise CommandError(f"--client-id must be {wanted}, not {client_id!r}.", returncode=USAGE)


def number(least: float, most: float) -> Callable[[str], float]:
    """The type of an option that takes a number of these bounds."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must be a number from {least:g} to {most:g}, not {text!r}")
        return value

    return parse


def duration(text: str) -> float:
    """The type of an option that takes a time: its seconds."""
    match = re.fullmatch(r"([0-9]{1,10})([smhdw])", text)
    if match is None or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"must be a time such as 90s, 30m, 2h, 7d or 2w, not {text!r}")
    return int(match[1]) * SECONDS[match[2]]


def integer(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"must be an integer from {least} to {most}, not {text!r}")
        return int(text)

    return parse


@contextmanager
def as_refusal(what: str) -> Iterator[None]:
    """What Django finds wrong, as one line."""
    try:
        yield
    except ValidationError as error:
        raise CommandError(f"{what} will not do: {' '.join(error.messages)}") from None

"""A durable worker: runs a command for each order of a queue."""

from __future__ import annotations

import shutil
from functools import partial
from typing import Any

from django.core.management.base import CommandError, CommandParser

from chat.services.queues import LONGEST_DELAY

from ..base import USAGE, ChatCommand, integer, number, open_queue, person
from ..worker import Policy, Worker


class Command(ChatCommand):
    help = """\
Run COMMAND for each order of a queue, until a signal ends it.

COMMAND gets the order's item on stdin, as one line of JSON, and in its environment ORDER_QUEUE,
ORDER_SEQ and ORDER_ATTEMPT (the first is 1). What it prints is the order's result: JSON where
it is JSON, else text; after 32 KiB it is cut.

COMMAND's exit status says what became of the order:
  0        done
  75       not now (EX_TEMPFAIL): another attempt after --later seconds
  other    failed, with the end of stderr as the reason: another attempt after --delay seconds,
           twice as many after each further one

After as many attempts as the queue allows the order is a dead letter. While COMMAND runs the
lease of its order is extended; if it is lost all the same, COMMAND is ended, as a process group.

The first SIGTERM, SIGINT or SIGHUP takes no more orders and lets what runs finish. The second
ends it and puts its orders back."""
    epilog = """\
exit status:
  0        stopped by a signal, or nothing left to do with --drain
  1        no such queue, person or program; the queue was closed to this worker; or a second
           signal ended commands
  2        wrong usage

example:
  manage.py work kitchen --max 4 -- python cook.py --fast"""

    command: list[str] = []

    def run_from_argv(self, argv: list[str]) -> None:
        # argparse would look for our options among COMMAND's arguments, too.
        if "--" in argv:
            at = argv.index("--")
            argv, self.command = argv[:at], argv[at + 1 :]
        super().run_from_argv(argv)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.usage = "manage.py work QUEUE [--max N] [--user NAME] [--drain] ... -- COMMAND [ARGUMENT ...]"
        parser.add_argument("queue", metavar="QUEUE", help="an existing queue of /orders")
        parser.add_argument(
            "--max",
            metavar="N",
            type=integer(1, 1000),
            default=1,
            help="run up to N commands at once (1); an ordered queue gives out one order at a time",
        )
        parser.add_argument("--user", metavar="NAME", help="whose work it is (the system's)")
        parser.add_argument(
            "--drain", action="store_true", help="end once nothing is queued; delayed orders are waited for"
        )
        parser.add_argument(
            "--delay",
            metavar="SECONDS",
            type=number(0, LONGEST_DELAY),
            default=1.0,
            help="between two attempts (1), doubled up to an hour",
        )
        parser.add_argument(
            "--later",
            metavar="SECONDS",
            type=number(0, LONGEST_DELAY),
            default=60.0,
            help="the delay after exit status 75 (60)",
        )
        parser.add_argument(
            "--timeout",
            metavar="SECONDS",
            type=number(0.1, LONGEST_DELAY),
            help="end a command that takes longer: its order has failed",
        )

    def handle(self, *, queue: str, user: str | None, **options: Any) -> None:
        program = find_program(self.command)
        policy = Policy(
            options["max"], options["delay"], options["later"], options["timeout"], options["drain"]
        )
        who = person(user)
        worker = Worker(partial(open_queue, queue, who), who, [program, *self.command[1:]], policy)
        worker.run()
        if worker.refused:
            raise CommandError(worker.refused)
        if worker.interrupted:
            raise CommandError("ended by a second signal; what ran goes back to the queue")


def find_program(command: list[str]) -> str:
    if not command:
        raise CommandError("COMMAND is missing: manage.py work QUEUE -- COMMAND", returncode=USAGE)
    program = shutil.which(command[0])
    if program is None:
        raise CommandError(f"there is no program {command[0]!r} that can be executed")
    return program

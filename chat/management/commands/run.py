"""What `make run` does once everything is installed: make the database ready, and serve."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, connection

from chat.delivery.entries import SYSTEM

from ..base import ChatCommand
from . import demo

# A reconnect storm fills the usual queue of 50 at once; what is turned away there comes
# back a second later. The kernel's own bound (net.core.somaxconn) still holds.
BACKLOG = 4096


class Command(ChatCommand):
    help = """\
Migrate, fill a new development database with a demo, and serve on HOST and PORT with Daphne.

It is what `make run` does once everything is installed. Settings come from the environment or from
.env; the README lists them."""
    epilog = """\
exit status:
  0        stopped by Ctrl-C or SIGTERM
  1        HOST and PORT are taken, the database can't be reached, or a setting is wrong

example:
  PORT=8080 manage.py run"""
    requires_system_checks = "__all__"

    def handle(self, **options: Any) -> None:
        check_free(settings.HOST, settings.PORT)
        self._make_ready()
        self._say_where()
        self.stdout.flush()
        os.execv(
            sys.executable, [sys.executable, "-m", "daphne", *daphne_arguments(settings.HOST, settings.PORT)]
        )

    def _make_ready(self) -> None:
        try:
            connection.ensure_connection()
        except DatabaseError as error:
            raise CommandError(f"DATABASE_URL: cannot connect: {' '.join(str(error).split())}") from None
        call_command("migrate", verbosity=0)
        if settings.DEBUG and not User.objects.exclude(pk=SYSTEM).exists():
            call_command("demo", verbosity=0)
        if not settings.DEBUG:
            call_command("collectstatic", interactive=False, verbosity=0)
        connection.close()  # exec would leave it open in the server

    def _say_where(self) -> None:
        self.stdout.write(f"Chatsite is at {address(settings.HOST, settings.PORT)}")
        if settings.DEBUG and demo.can_sign_in():
            names = " or ".join(demo.PEOPLE)
            self.stdout.write(f"Sign in as {names}, password {demo.PASSWORD}, or make an account.")
            if not is_loopback(settings.HOST):
                self.stderr.write("Beware: everyone who can reach this port can sign in as them.")
        self.stdout.write("Stop with Ctrl-C.")


def check_free(host: str, port: int) -> None:
    """Say what is wrong with HOST and PORT in a line, where the server would print a traceback."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        # The name of the error alone; its text repeats the address.
        reason = os.strerror(error.errno) if error.errno else error
        raise CommandError(f"HOST {host}, PORT {port}: {reason}. Give others.") from None


def daphne_arguments(host: str, port: int) -> list[str]:
    interface = host.replace(":", r"\:")
    endpoint = f"tcp:port={port}:interface={interface}:backlog={BACKLOG}"
    # Quiet: a line for each request would bury what people do.
    return ["--verbosity", "0", "--endpoint", endpoint, "chatsite.asgi:application"]


def address(host: str, port: int) -> str:
    if host in ("0.0.0.0", "::"):
        host = "localhost"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def is_loopback(host: str) -> bool:
    return host == "localhost" or ipaddress.ip_address(host).is_loopback

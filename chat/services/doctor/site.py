"""Whether the site runs, and whether something waits for somebody."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.contrib.auth.models import User

from chat.models import DeadLetter, Report
from chat.services import presence

from .findings import Finding, ok, warning


def examine() -> Iterator[Finding]:
    yield processes()
    yield superusers()
    yield dead_letters()
    yield reports()


def processes() -> Finding:
    running = presence.running()
    count = running["processes"]
    if not count:
        return warning("servers", "no process is alive", "start one: `make run`, or uvicorn (see the README)")
    text = f"{counted(count, 'process', 'processes')}, {counted(running['sockets'], 'socket')}"
    if count > 1 and not settings.REDIS_URLS:
        return warning(
            "servers",
            f"{text}, and no Redis: what is written in one comes to the others a second later, what is typed "
            "and emitted never",
            "give them a REDIS_URL, or run one",
        )
    return ok("servers", text)


def superusers() -> Finding:
    if not User.objects.filter(is_active=True, is_staff=True, is_superuser=True).exists():
        return warning(
            "superusers", "there is none: nobody can manage the staff", "`manage.py adduser NAME --superuser`"
        )
    return ok("superusers", "there is at least one")


def dead_letters() -> Finding:
    count = DeadLetter.objects.count()
    if count:
        return warning("dead letters", f"{count:,} wait for someone", "see `manage.py deadletters list`")
    return ok("dead letters", "none")


def reports() -> Finding:
    count = Report.objects.filter(state=Report.State.OPEN).count()
    if count:
        return warning("reports", f"{count:,} wait for someone", "see /console/ or the rooms")
    return ok("reports", "none is open")


def counted(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"

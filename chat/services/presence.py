"""Which server processes are alive, and who is online.

A person is online who has a row at any process. Rows of people change only under the lock of
the control log, which tells every process of what changed in the same transaction: of two
processes that write at the same time the second sees what the first has written, so that a
transition is told once. Times are the database's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Count, Q, Sum
from django.db.models.functions import Now

from chat.delivery import door
from chat.delivery.entries import now, rfc3339
from chat.models import LastSeen, Presence, Process

from . import people
from .paging import SLICE, clamp, fitting

TIMEOUT = 15.0  #: seconds without a beat after which a process is dead
GRACE = 5.0  #: seconds in which people may come back unnoticed; a reload is no departure
MOST = SLICE  #: people that come or go in one transaction


# Processes


def register(process: str) -> None:
    """A process began, or was taken for dead and goes on."""
    row = Process(id=process, started_at=Now(), beat_at=Now())
    Process.objects.bulk_create([row], update_conflicts=True, update_fields=["beat_at"], unique_fields=["id"])


def beat(process: str, sockets: int = 0) -> bool:
    """This process is alive, with so many sockets. False where its row had gone; then it has one
    again, without people."""
    if Process.objects.filter(pk=process).update(beat_at=Now(), sockets=sockets):
        return True
    register(process)
    return False


def end(process: str) -> None:
    """A process has stopped: it is dead at once. Its people keep their places for as long as
    they have to come back elsewhere, then someone sweeps it."""
    mine = Process.objects.filter(pk=process)
    if not mine.filter(presences=None).delete()[0]:
        mine.update(beat_at=Now() - timedelta(seconds=TIMEOUT))


def alive() -> set[str]:
    """The processes that are alive, as the database has it now."""
    return set(Process.objects.exclude(_silent_for(TIMEOUT)).values_list("pk", flat=True))


def running() -> dict[str, int]:
    """`{"processes", "sockets"}`: how many there are, sockets as of each process's last beat."""
    processes = Process.objects.exclude(_silent_for(TIMEOUT))
    return processes.aggregate(processes=Count("pk"), sockets=Sum("sockets", default=0))


def anyone_dead() -> bool:
    """Whether there is something to `sweep`."""
    return Process.objects.filter(_silent_for(TIMEOUT + GRACE)).exists()


def sweep() -> bool:
    """Forget processes that are dead, and take their people off the list, some in a transaction.
    True where more are left."""
    with door.controlled():
        dead = list(Process.objects.filter(_silent_for(TIMEOUT + GRACE)))
        left = Presence.objects.filter(process__in=dead).select_related("user", "process")[:MOST]
        seen: dict[int, datetime] = {}
        for row in left:
            until = row.process.beat_at + timedelta(seconds=TIMEOUT)
            seen[row.user_id] = max(until, seen.get(row.user_id, until))
        Presence.objects.filter(pk__in=[row.pk for row in left]).delete()
        if len(left) < MOST:
            Process.objects.filter(pk__in=[process.pk for process in dead]).delete()
        _tell(came={}, went=_gone({row.user_id: row.user.get_username() for row in left}, seen))
    return len(left) == MOST


def _silent_for(seconds: float) -> Q:
    return Q(beat_at__lte=Now() - timedelta(seconds=seconds))


# People


def at(process: str) -> set[int]:
    """Whom the database knows to be connected to a process."""
    return set(Presence.objects.filter(process=process).values_list("user", flat=True))


def change(process: str, came: Iterable[int], went: Iterable[int]) -> bool:
    """These people came to a process and those went, `MOST` at most. What changes by that for
    the site is told to every process. False where the process isn't known (any more): then
    nothing is written, and it has to register."""
    with door.controlled():
        if not Process.objects.filter(pk=process).exists():
            return False
        arrived = _arrive(process, came)
        _tell(arrived, _leave(process, went))
    return True


def _arrive(process: str, users: Iterable[int]) -> dict[int, str]:
    """Returns who of them wasn't online. One whose account is gone or off stays out."""
    names = _names(people.everyone().filter(pk__in=users))
    online = set(Presence.objects.filter(user__in=names).values_list("user", flat=True))
    rows = [Presence(user_id=user, process_id=process) for user in names]
    Presence.objects.bulk_create(rows, ignore_conflicts=True)
    return {user: name for user, name in names.items() if user not in online}


def _leave(process: str, users: Iterable[int]) -> dict[int, str]:
    """Returns who of them isn't online any more."""
    mine = Presence.objects.filter(process=process, user__in=users)
    names = _names(User.objects.filter(presences__in=mine))
    Presence.objects.filter(process=process, user__in=names).delete()
    return _gone(names, dict.fromkeys(names, Now()))


def _gone(names: Mapping[int, str], seen: Mapping[int, Any]) -> dict[int, str]:
    """Who of these people has no row left. When they were last `seen` is kept."""
    if not names:
        return {}
    online = set(Presence.objects.filter(user__in=names).values_list("user", flat=True))
    gone = {user: name for user, name in names.items() if user not in online}
    rows = [LastSeen(user_id=user, at=seen[user]) for user in gone]
    LastSeen.objects.bulk_create(rows, update_conflicts=True, update_fields=["at"], unique_fields=["user"])
    return gone


def forget(user: User) -> None:
    """The account comes to its end, and with it what is known of where the person is."""
    with door.controlled():
        LastSeen.objects.filter(user=user).delete()
        if Presence.objects.filter(user=user).delete()[0]:
            _tell(came={}, went={user.pk: user.get_username()})


def _names(users: Any) -> dict[int, str]:
    return dict(users.values_list("pk", User.USERNAME_FIELD))


def _tell(came: Mapping[int, str], went: Mapping[int, str]) -> None:
    if came or went:
        door.control("presence", came=_persons(came), went=_persons(went))


def _persons(names: Mapping[int, str]) -> list[dict[str, Any]]:
    return [{"id": user, "name": name} for user, name in names.items()]


# The list


def list_people(query: str = "", after: str = "", limit: int | None = None) -> dict[str, Any]:
    """`{"users", "more", "next"?}`: everyone who has an account that is in use, by name. `query`
    is a part of the name, in capitals or not; `after` the last name of the page before.

    `last_seen` is the present for those who are online, null for those who never were.
    """
    limit = clamp(limit)
    found = people.everyone().filter(username__gt=_plain(after))
    if query:
        found = found.filter(people.whose_name_has(query))
    page = list(found.order_by("username").values_list("pk", "username")[: limit + 1])
    fit = fitting(_as_listed(page[:limit]))
    reply: dict[str, Any] = {"users": fit, "more": len(fit) < len(page)}
    if reply["more"]:
        reply["next"] = fit[-1]["name"]
    return reply


def _as_listed(page: list[tuple[int, str]]) -> list[dict[str, Any]]:
    ids = [user for user, _ in page]
    online = set(Presence.objects.filter(user__in=ids).values_list("user", flat=True))
    seen = dict(LastSeen.objects.filter(user__in=ids).values_list("user", "at"))
    seen |= dict.fromkeys(online, now())
    return [
        {
            "id": user,
            "name": name,
            "online": user in online,
            "last_seen": rfc3339(seen[user]) if user in seen else None,
        }
        for user, name in page
    ]


def _plain(text: str) -> str:
    """PostgreSQL has no place for a NUL; no name holds what it becomes."""
    return text.replace("\0", "\ufffd")

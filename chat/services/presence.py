"""Which server processes are alive, by the database's clock."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

from chat.models import Process

TIMEOUT = 15.0  #: seconds without a beat after which a process is dead
GRACE = 5.0  #: seconds in which people may come back unnoticed; a reload is no departure


# Processes


def register(process: str) -> None:
    """A process began, or was taken for dead and goes on."""
    row = Process(id=process, started_at=Now(), beat_at=Now())
    Process.objects.bulk_create([row], update_conflicts=True, update_fields=["beat_at"], unique_fields=["id"])


def beat(process: str) -> bool:
    """This process is alive. False where its row had gone; then it has one again, without people."""
    if Process.objects.filter(pk=process).update(beat_at=Now()):
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


def _silent_for(seconds: float) -> Q:
    return Q(beat_at__lte=Now() - timedelta(seconds=seconds))

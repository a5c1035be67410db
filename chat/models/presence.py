"""Which server processes run, and who is connected to them."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Process(models.Model):
    """A server process, which says every few seconds that it is alive."""

    id = models.CharField(max_length=32, primary_key=True)
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField()
    # As of the last beat.
    sockets = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return self.id


class Presence(models.Model):
    """A person with a socket at a process. Online is who has a row; a dead process's are swept."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="presences")
    process = models.ForeignKey(Process, on_delete=models.CASCADE, related_name="presences")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "process"], name="presence_user_process")]


class LastSeen(models.Model):
    """When a person was last known to be online."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="last_seen", primary_key=True
    )
    at = models.DateTimeField()

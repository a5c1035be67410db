"""Bans and reports."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from .rooms import Room


class Ban(models.Model):
    """A person kept out of a room, or of the site where `room` is empty."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="bans")
    room = models.ForeignKey(Room, null=True, blank=True, on_delete=models.CASCADE, related_name="bans")
    reason = models.CharField(max_length=300, blank=True)
    until = models.DateTimeField(null=True, blank=True, help_text="Empty: for good.")
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "room"], name="ban_user_room"),
            models.UniqueConstraint(
                fields=["user"], name="ban_user_site", condition=models.Q(room__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} from {self.room or 'the site'}"


class Report(models.Model):
    """A message that someone asks the moderators to look at."""

    class State(models.TextChoices):
        OPEN = "open"
        CLAIMED = "claimed"
        RESOLVED = "resolved"
        DISMISSED = "dismissed"

    room = models.ForeignKey(Room, on_delete=models.CASCADE, related_name="reports")
    seq = models.BigIntegerField()
    reporter = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    reason = models.CharField(max_length=300)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    handled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    handled_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=300, blank=True, help_text="What came of it, in words.")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["room", "seq", "reporter"], name="report_message_reporter"),
        ]
        indexes = [models.Index(fields=["state", "id"], name="report_state")]

    def __str__(self) -> str:
        return f"{self.room} {self.seq}, by {self.reporter}"

"""Who may come in: tokens of programs, and browsers' logins."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Token(models.Model):
    """A bearer token, stored as its SHA-256."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tokens")
    digest = models.CharField(max_length=64, unique=True)
    label = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"token {self.pk} of {self.user}"


class Login(models.Model):
    """A person's browser session. Django's sessions have no user column, so this row is
    what finds a person's sessions; it outlives a change of the session's key.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="logins")
    session_key = models.CharField(max_length=40, unique=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "session"

    def __str__(self) -> str:
        return f"session {self.pk} of {self.user}"

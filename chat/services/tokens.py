"""Bearer tokens of programs: shown once, kept as their SHA-256."""

from __future__ import annotations

import hashlib
import secrets

from django.contrib.auth.models import User
from django.utils import timezone

from chat.models import Token


def create(user: User, label: str = "") -> str:
    """A new token, which nobody can read again."""
    raw = secrets.token_urlsafe(32)
    Token.objects.create(user=user, digest=digest(raw), label=label)
    return raw


def revoke(token: Token) -> None:
    """The token opens no more sockets, and those that it opened are closed with 4509."""
    token.revoked_at = timezone.now()
    token.save(update_fields=["revoked_at"])


def digest(raw: str) -> str:
    # A token is 256 random bits: a slow or salted hash would protect nothing.
    return hashlib.sha256(raw.encode(errors="replace")).hexdigest()

"""Django's signals that the chat listens to; connected by `apps.py`."""

from __future__ import annotations

from django.db.backends.signals import connection_created

from .delivery import durability


def connect() -> None:
    connection_created.connect(durability.make_durable, dispatch_uid="chat.durability")

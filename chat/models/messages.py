"""Entries of a room's log, and what became undeliverable."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from .rooms import Room


class Message(models.Model):
    """One entry of a room's log. Written by `chat.delivery.log` alone.

    A tombstone (`deleted` set) keeps `seq`, `sender` and `client_id`, so that a retry of a
    deleted message still gets its first answer.
    """

    class Kind(models.TextChoices):
        MESSAGE = "message"
        EDIT = "edit"
        DELETE = "delete"
        REACT = "react"
        NOTICE = "notice"
        CONTROL = "control"
        ITEM = "item"  # of a queue; its body is JSON

    SHOWN = (Kind.MESSAGE, Kind.NOTICE)

    room = models.ForeignKey(Room, on_delete=models.CASCADE, related_name="log", db_index=False)
    seq = models.BigIntegerField()
    sender = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    client_id = models.CharField(max_length=64)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    target = models.BigIntegerField(null=True)
    # Messages (not edits, reactions, …) in the room up to and with this entry.
    ordinal = models.BigIntegerField()
    body = models.TextField(blank=True)
    html = models.TextField(blank=True)
    # What else the entry's `data` holds, as JSON: reply_to, mentions, emoji, on, text, …
    extra = models.TextField(blank=True)
    # JSON {"by": {"id", "name"}, "at", "reason"?} once the message was deleted.
    deleted = models.TextField(blank=True)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["room", "seq"], name="message_room_seq"),
            models.UniqueConstraint(
                fields=["room", "sender", "client_id"], name="message_room_sender_client_id"
            ),
        ]
        indexes = [
            # history: the newest messages and notices below a seq, however many reactions lie
            # between. They alone have no target; SQLite would not use an index on their kinds
            # for a query that gives the kinds as parameters.
            models.Index(
                fields=["room", "seq"], name="message_shown", condition=models.Q(target__isnull=True)
            ),
            # history: what later entries did to a message
            models.Index(
                fields=["room", "target"], name="message_target", condition=models.Q(target__isnull=False)
            ),
            # the staff's lists and figures: what was written when, in all rooms; with the kind, so
            # that what lies between is passed over in the index. (The other way round SQLite would
            # take it for other queries that name a kind.)
            models.Index(fields=["at", "kind"], name="message_at_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.room_id}:{self.seq} {self.kind}"


class Mention(models.Model):
    """A message that names a person; counted for the list of rooms."""

    room = models.ForeignKey(Room, on_delete=models.CASCADE, related_name="+", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    seq = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["room", "user", "seq"], name="mention_room_user_seq"),
        ]


class DeadLetter(models.Model):
    """Entries that a member did not get and will not be sent again; of a queue, where `user` is
    empty, an order that no worker got done."""

    class Reason(models.TextChoices):
        MAX_DELIVER = "max_deliver", "never acknowledged"
        TOO_MANY_OPEN = "too_many_open", "too many open entries"
        EXPIRED = "expired", "trimmed before it was received"
        MAX_ATTEMPTS = "max_attempts", "failed too often"

    room = models.ForeignKey(Room, on_delete=models.CASCADE, related_name="dead_letters")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="dead_letters",
    )
    first = models.BigIntegerField()
    last = models.BigIntegerField()
    attempts = models.PositiveIntegerField(default=0)
    reason = models.CharField(max_length=20, choices=Reason.choices)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["room", "user", "first", "last"], name="dead_letter_range"),
            models.UniqueConstraint(
                fields=["room", "first"], name="dead_letter_order", condition=models.Q(user__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.room} {self.first}" + (f"-{self.last}" if self.last > self.first else "")

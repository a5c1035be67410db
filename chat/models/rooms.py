"""Rooms and who belongs to them."""

from __future__ import annotations

import secrets
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

SLUG_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}\Z"
#: Seconds of slow mode, at most.
SLOWEST = 24 * 3600


def new_epoch() -> str:
    return secrets.token_hex(8)


class WithDelivery(models.Model):
    """A row some of whose columns are written by `chat.delivery` alone: a stale `save()` would
    write back an old value, so `save()` leaves them out of an update."""

    DELIVERY_FIELDS: tuple[str, ...] = ()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding and kwargs.get("update_fields") is None:
            kwargs["update_fields"] = [
                field.name
                for field in self._meta.concrete_fields
                if not field.primary_key and field.name not in self.DELIVERY_FIELDS
            ]
        super().save(*args, **kwargs)


class Room(WithDelivery):
    """A log of entries with members.

    `head`, `messages`, `first` and `epoch` are written by `chat.delivery` alone: a stale
    `save()` would move `head` back and every later send would fail. `save()` therefore
    leaves them out of an update.
    """

    class Kind(models.TextChoices):
        FANOUT = "fanout", "every member gets each entry"
        QUEUE = "queue", "each entry goes to one worker"
        CONTROL = "control", "the server's own messages to its processes"

    class Ordering(models.TextChoices):
        ORDERED = "ordered"
        UNORDERED = "unordered"

    class FilterAction(models.TextChoices):
        MASK = "mask", "mask them with asterisks"
        REFUSE = "refuse", "refuse the message"

    DELIVERY_FIELDS = ("head", "messages", "first", "epoch")

    namespace = models.CharField(max_length=64)
    slug = models.CharField(max_length=64, validators=[RegexValidator(SLUG_PATTERN)])
    name = models.CharField(max_length=100, blank=True)
    topic = models.CharField(max_length=300, blank=True)
    private = models.BooleanField(default=False)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.FANOUT)
    ordering = models.CharField(max_length=10, choices=Ordering.choices, default=Ordering.ORDERED)
    created_at = models.DateTimeField(auto_now_add=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    # Policy
    ack_wait = models.FloatField(
        default=30.0,
        validators=[MinValueValidator(0.1)],
        help_text="Seconds after which an unacknowledged entry is sent again on a live socket.",
    )
    max_deliver = models.PositiveIntegerField(
        default=5,
        validators=[MinValueValidator(1)],
        help_text="Unordered rooms: deliveries of an entry to a member before it is a dead letter.",
    )
    lease_seconds = models.FloatField(
        default=30.0,
        validators=[MinValueValidator(1)],
        help_text="Queues: how long a worker has an order before it goes to another one.",
    )
    max_attempts = models.PositiveIntegerField(
        default=5,
        validators=[MinValueValidator(1)],
        help_text="Queues: leases of an order before it is a dead letter.",
    )
    retain_entries = models.PositiveIntegerField(
        null=True, blank=True, help_text="Keep at least this many of the newest entries; empty keeps all."
    )
    retain_seconds = models.PositiveIntegerField(
        null=True, blank=True, help_text="Trim entries older than this; empty keeps all."
    )
    expire_seconds = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Trim even what a member has not received after this long; it becomes a dead letter.",
    )
    history_from_join = models.BooleanField(
        default=False, help_text="Members see nothing from before they joined."
    )

    # Rules
    slow_mode = models.PositiveIntegerField(
        default=0,
        validators=[MaxValueValidator(SLOWEST)],
        help_text="Seconds that a member waits from one message to the next; 0: none.",
    )
    filtered_words = models.TextField(blank=True, help_text="One a line, beside those of the site.")
    filter_action = models.CharField(
        max_length=10,
        choices=FilterAction.choices,
        default=FilterAction.MASK,
        help_text="What happens to a message with a filtered word of this room.",
    )

    # Delivery's own
    head = models.BigIntegerField(default=0, editable=False)
    messages = models.BigIntegerField(default=0, editable=False)
    first = models.BigIntegerField(default=1, editable=False)
    epoch = models.CharField(max_length=32, default=new_epoch, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["namespace", "slug"], name="room_namespace_slug"),
        ]

    def __str__(self) -> str:
        return f"{self.namespace}/{self.slug}"


class Membership(WithDelivery):
    """A person's place in a room: rights, and how far they have received and read.

    `received`, `acked`, `deliveries`, `read`, `read_messages` and `wrote_at` are written by
    `chat.delivery` alone.
    """

    class Role(models.TextChoices):
        OWNER = "owner"
        MODERATOR = "moderator"
        MEMBER = "member"

    DELIVERY_FIELDS = ("received", "acked", "deliveries", "read", "read_messages", "wrote_at")

    room = models.ForeignKey(Room, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
    joined_at = models.DateTimeField(auto_now_add=True)
    joined_at_seq = models.BigIntegerField(default=0, editable=False)
    muted_until = models.DateTimeField(null=True, blank=True)
    notify = models.BooleanField(default=True)

    received = models.BigIntegerField(default=0, editable=False)
    # Unordered rooms: acknowledged ranges above `received`, "5-9,12" (see delivery/ranges.py),
    # and the deliveries counted so far of what is still open, {"10": 2}.
    acked = models.TextField(default="", blank=True, editable=False)
    deliveries = models.JSONField(default=dict, blank=True, editable=False)
    read = models.BigIntegerField(default=0, editable=False)
    # The room's message count at `read`: unread messages cost a subtraction, not a count.
    read_messages = models.BigIntegerField(default=0, editable=False)
    # Rooms in slow mode: when this person wrote their last message.
    wrote_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["room", "user"], name="membership_room_user"),
        ]
        indexes = [
            # The lowest cursors of a room: one look-up each for its receipts.
            models.Index(fields=["room", "received"], name="membership_room_received"),
            models.Index(fields=["room", "read"], name="membership_room_read"),
            models.Index(
                fields=["muted_until"],
                name="membership_muted",
                condition=models.Q(muted_until__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.room}"


class Former(models.Model):
    """What still holds for someone who was a member, so that to leave and come back is no way around
    it: a mute, or the wait of slow mode."""

    room = models.ForeignKey(Room, on_delete=models.CASCADE, related_name="+", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    muted_until = models.DateTimeField(null=True)
    wrote_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["room", "user"], name="former_room_user")]

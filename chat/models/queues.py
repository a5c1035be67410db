"""What became of each order of a queue."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from .rooms import Room


class Lease(models.Model):
    """The state of one order, kept as long as its entry. Written by `chat.delivery.leases` alone."""

    class State(models.TextChoices):
        QUEUED = "queued"
        LEASED = "leased"
        DONE = "done"
        DEAD = "dead"
        BURIED = "buried"

    #: What there is no more to do about.
    SETTLED = (State.DONE, State.BURIED)

    room = models.ForeignKey(Room, on_delete=models.CASCADE, related_name="leases", db_index=False)
    seq = models.BigIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    #: Leases given since the order was created or revived; the first is 1.
    attempts = models.PositiveIntegerField(default=0)
    #: When a queued order may be leased, or a lease lapses.
    visible_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    worker = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    #: The last lease's: empty before the first one and after a revival.
    token = models.CharField(max_length=32, blank=True)
    #: Who works on it for the worker: a socket (`PROCESS/SID`) or a command.
    holder = models.CharField(max_length=100, blank=True)
    #: Whether the last lease was given back by a `fail`; after a mere lapse its token still counts.
    failed = models.BooleanField(default=False)
    reason = models.CharField(max_length=500, blank=True)
    result = models.TextField(blank=True)  # JSON

    class Meta:
        verbose_name = "order"  # one of each
        constraints = [models.UniqueConstraint(fields=["room", "seq"], name="lease_room_seq")]
        indexes = [
            # the next order of a queue, and the counts of what isn't done: a queue may have
            # millions of orders that are. With the time, so that those that wait out a delay
            # are passed over in the index.
            models.Index(
                fields=["room", "state", "seq", "visible_at"],
                name="lease_open",
                condition=~models.Q(state="done"),
            ),
            # the sweep for leases that lapsed
            models.Index(fields=["visible_at"], name="lease_running", condition=models.Q(state="leased")),
            # a socket that went
            models.Index(fields=["holder"], name="lease_holder", condition=models.Q(state="leased")),
        ]

    def __str__(self) -> str:
        return f"{self.room_id}:{self.seq} {self.state}"

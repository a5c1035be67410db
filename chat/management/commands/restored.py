"""To be run after a backup was restored."""

from __future__ import annotations

from typing import Any

from chat.delivery import epochs

from ..base import ChatCommand


class Command(ChatCommand):
    help = (
        "Say that the database was restored from a backup: numbers that clients know from after it will be "
        "given again, to other entries. Every client starts over, after what its member had received."
    )

    def handle(self, *, verbosity: int, **options: Any) -> None:
        count = epochs.renew()
        if verbosity:
            self.stdout.write(f"{count} logs have a new epoch.")

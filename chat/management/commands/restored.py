"""To be run after a backup was restored."""

from __future__ import annotations

from typing import Any

from chat.delivery import epochs

from ..base import ChatCommand


class Command(ChatCommand):
    help = """\
Say that the database was restored from a backup, before a server starts on it.

Numbers that clients know from after the backup will be given again, to other entries. By this every
client starts over, after what its member had received, and nobody takes the one for the other."""
    epilog = """\
exit status:
  0        every log has a new epoch
  1        the database fails; none has

example:
  manage.py restored"""

    def handle(self, *, verbosity: int, **options: Any) -> None:
        count = epochs.renew()
        if verbosity:
            self.stdout.write(f"{count} logs have a new epoch.")

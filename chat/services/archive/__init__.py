"""Rooms as JSON lines: out of one database, into another one or the same again."""

from .checking import Found, check
from .exporting import export, find
from .importing import import_room, leftovers, remove, unknown

__all__ = ["Found", "check", "export", "find", "import_room", "leftovers", "remove", "unknown"]

"""The namespaces of this app, one file each."""

from . import admin, chat, orders, users

__all__ = ["admin", "chat", "orders", "users"]
